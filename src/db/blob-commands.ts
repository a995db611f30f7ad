// Writes on blobs and their membership in repositories. Each is one transaction of the write protocol (design section 5): the bytes are
// durable before a row says so, and membership is the only right to read.

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import {
  holdRepository,
  type ItemInRepository,
  leaseMs,
  markPresent,
  renewBlobLeases,
  requireNoHolder,
  unreference,
} from './references.ts';
import type { BlobOrigin } from './schema.ts';

export interface NewBlob {
  readonly repositoryId: number;
  readonly digest: Digest;
  /** The physical key of the bytes just made durable. */
  readonly storageKey: string;
  readonly sizeBytes: number;
  readonly origin: BlobOrigin;
  /** The session that ends with this blob. */
  readonly uploadId?: string;
  readonly trail?: string;
  /** The live key whose bytes were found to be damaged: it is replaced. */
  readonly damagedKey?: string;
}
export interface RecordedBlob {
  /** The key that holds the live bytes: another one than offered when the blob was here already. */
  readonly storageKey: string;
}

/**
 * Makes a blob live and a member of the repository. When a live row of the same size exists, it is kept and the caller's bytes are surplus;
 * a corrupt, condemned or damaged one is replaced by them (a new generation). NAME_UNKNOWN when the repository is gone.
 */
export async function recordBlob(context: CommandContext, args: NewBlob): Promise<RecordedBlob> {
  const { trx, nowMs } = context;
  await holdRepository(context, args.repositoryId, 'shared');
  const found = await lockBlob(context, args.digest);
  let storageKey = args.storageKey;
  if (found === undefined) {
    await trx
      .insertInto('blob')
      .values({
        digest: args.digest,
        generation: 1,
        storage_key: args.storageKey,
        size_bytes: args.sizeBytes,
        state: 'live',
        origin: args.origin,
        lease_until_ms: nowMs + leaseMs,
        touch_epoch: 0,
        created_at_ms: nowMs,
        used_at_ms: null,
      })
      .execute();
  } else {
    const keeps = found.state === 'live' && found.size_bytes === args.sizeBytes && found.storage_key !== args.damagedKey;
    if (keeps) storageKey = found.storage_key;
    await trx
      .updateTable('blob')
      .set({
        storage_key: storageKey,
        size_bytes: args.sizeBytes,
        state: 'live',
        generation: keeps ? found.generation : found.generation + 1,
        origin: found.origin === 'public' ? 'public' : args.origin,
        lease_until_ms: Math.max(found.lease_until_ms, nowMs + leaseMs),
      })
      .where('digest', '=', args.digest)
      .execute();
  }
  await insertMembership(context, args, args.trail);
  if (args.uploadId !== undefined) await trx.deleteFrom('upload').where('id', '=', args.uploadId).execute();
  return { storageKey };
}

/** Links a blob that anybody may fetch upstream into a mirror's repository; false when there is no such live public blob. */
export async function linkBlob(context: CommandContext, args: ItemInRepository & { trail?: string }): Promise<boolean> {
  await holdRepository(context, args.repositoryId, 'shared');
  const found = await lockBlob(context, args.digest);
  if (found === undefined || found.state !== 'live' || found.origin !== 'public') return false;
  await renewBlobLeases(context, [args.digest]);
  await insertMembership(context, args, args.trail);
  return true;
}

/** Makes a blob of one repository a member of another; false when it is no live member of the first. Rights were checked by the caller. */
export async function mountBlob(context: CommandContext, args: ItemInRepository & { fromRepository: string }): Promise<boolean> {
  await holdRepository(context, args.repositoryId, 'shared');
  const found = await lockBlob(context, args.digest);
  if (found === undefined || found.state !== 'live') return false;
  const member = await context.trx
    .selectFrom('repository_blob')
    .innerJoin('repository', 'repository.id', 'repository_blob.repository_id')
    .select('repository_blob.digest')
    .where('repository.name', '=', args.fromRepository)
    .where('repository_blob.digest', '=', args.digest)
    .executeTakeFirst();
  if (member === undefined) return false;
  await renewBlobLeases(context, [args.digest]);
  await insertMembership(context, args, undefined);
  return true;
}

/** Takes a blob out of a repository. BLOB_UNKNOWN when it is no member, UNSUPPORTED while a manifest of the repository refers to it. */
export async function deleteBlob(context: CommandContext, args: ItemInRepository): Promise<void> {
  // A manifest that is being pushed holds the blob: wait for it, then look.
  await lockBlob(context, args.digest);
  await requireNoHolder(context, args, 'blob');
  const result = await context.trx
    .deleteFrom('repository_blob')
    .where('repository_id', '=', args.repositoryId)
    .where('digest', '=', args.digest)
    .executeTakeFirst();
  if (result.numDeletedRows === 0n)
    throw new OciError('BLOB_UNKNOWN', 'there is no such blob in this repository', { detail: { digest: args.digest } });
  await unreference(context, { repositoryId: args.repositoryId, digests: [args.digest], reason: 'blob deleted' });
}

async function lockBlob({ trx, dialect }: CommandContext, digest: Digest) {
  let query = trx
    .selectFrom('blob')
    .select(['storage_key', 'size_bytes', 'state', 'origin', 'generation', 'lease_until_ms'])
    .where('digest', '=', digest);
  if (dialect === 'postgres') query = query.forUpdate();
  return query.executeTakeFirst();
}

async function insertMembership(context: CommandContext, args: ItemInRepository, trail: string | undefined): Promise<void> {
  await context.trx
    .insertInto('repository_blob')
    .values({ repository_id: args.repositoryId, digest: args.digest, linked_at_ms: context.nowMs, trail: trail ?? null })
    .onConflict((conflict) =>
      trail === undefined
        ? conflict.columns(['repository_id', 'digest']).doNothing()
        : conflict.columns(['repository_id', 'digest']).doUpdateSet({ trail }),
    )
    .execute();
  await markPresent(context, args, 'blob');
}
