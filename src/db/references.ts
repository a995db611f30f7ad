// The rules that every write on content shares: who may hold what, leases, and the queue for review. A removal of a reference renews the
// lease and queues the digest (step P3 of docs/decisions/0003-write-protocol.md), so that garbage collection never races a push.
// Rows are locked where PostgreSQL needs it; SQLite has one writer. Locks are taken in one order, so that a deadlock is the exception:
// project -> repository -> blobs (by digest) -> manifests (by digest) and their references -> tags -> queue (by digest).

import { sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';

/** How long an unreferenced item stays after a client was told that it is here. */
export const leaseMs = 24 * 60 * 60 * 1000;
const listChunk = 500;

/**
 * Holds the repository against deletion; NAME_UNKNOWN when it is gone. Whoever changes its manifests or tags holds it alone (`alone`), so
 * that two of them never wait for each other's rows. Gives its project.
 */
export async function holdRepository(
  context: CommandContext,
  repositoryId: number,
  how: 'shared' | 'alone',
): Promise<{ readonly projectId: number }> {
  let query = context.trx.selectFrom('repository').select('project_id as projectId').where('id', '=', repositoryId);
  if (context.dialect === 'postgres') query = how === 'alone' ? query.forNoKeyUpdate() : query.forKeyShare();
  const found = await query.executeTakeFirst();
  if (found === undefined) throw new OciError('NAME_UNKNOWN', 'the repository no longer exists');
  return found;
}

/** UNSUPPORTED while a manifest of the repository refers to the digest. The caller has locked what the digest names. */
export async function requireNoHolder({ trx }: CommandContext, item: ItemInRepository, what: 'manifest' | 'blob'): Promise<void> {
  const holder = await trx
    .selectFrom('manifest_ref')
    .innerJoin('manifest', 'manifest.id', 'manifest_ref.manifest_id')
    .select('manifest.digest')
    .where('manifest_ref.digest', '=', item.digest)
    .where('manifest_ref.repository_id', '=', item.repositoryId)
    .limit(1)
    .executeTakeFirst();
  if (holder !== undefined)
    throw new OciError('UNSUPPORTED', `this ${what} is part of manifest ${holder.digest}; delete that one first`, {
      detail: { digest: item.digest, heldBy: holder.digest },
    });
}

export interface ItemInRepository {
  readonly repositoryId: number;
  readonly digest: Digest;
}

/** Notes in the manifests of the repository that refer to this blob or manifest that it is here now; says whether there was one that lacked it. */
export async function markPresent({ trx }: CommandContext, item: ItemInRepository, what: 'manifest' | 'blob'): Promise<boolean> {
  const result = await trx
    .updateTable('manifest_ref')
    .set({ is_present: 1 })
    .where('repository_id', '=', item.repositoryId)
    .where('digest', '=', item.digest)
    .where('kind', what === 'manifest' ? '=' : '!=', 'manifest')
    // Written out, because the index of what is absent serves no bound value.
    .where('is_present', '=', sql.lit(0))
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Step P3: what lost a reference in this repository (blobs and manifests) keeps a full lease and is looked at after it. */
export async function unreference(
  context: CommandContext,
  args: { repositoryId: number; digests: readonly Digest[]; reason: string },
): Promise<void> {
  const { trx, nowMs } = context;
  const untilMs = nowMs + leaseMs;
  await renewBlobLeases(context, args.digests);
  for (const chunk of inChunks(args.digests)) {
    await trx
      .updateTable('manifest')
      .set({ lease_until_ms: untilMs })
      .where('repository_id', '=', args.repositoryId)
      .where('digest', 'in', chunk)
      .where('lease_until_ms', '<', untilMs)
      .execute();
    const values = { review_after_ms: untilMs, reason: args.reason };
    await trx
      .insertInto('gc_queue')
      .values(chunk.map((digest) => ({ digest, ...values })))
      .onConflict((conflict) => conflict.column('digest').doUpdateSet(values))
      .execute();
  }
}

/** A full lease from now on for these blobs; it is never shortened. */
export async function renewBlobLeases(context: CommandContext, digests: readonly Digest[]): Promise<void> {
  const untilMs = context.nowMs + leaseMs;
  for (const chunk of inChunks(digests)) {
    if (context.dialect === 'postgres')
      await context.trx.selectFrom('blob').select('digest').where('digest', 'in', chunk).orderBy('digest').forUpdate().execute();
    await context.trx
      .updateTable('blob')
      .set({ lease_until_ms: untilMs })
      .where('digest', 'in', chunk)
      .where('lease_until_ms', '<', untilMs)
      .execute();
  }
}

/** Each digest once, in order, in lists short enough for one statement. */
export function inChunks(digests: readonly Digest[]): Digest[][] {
  const sorted = [...new Set(digests)].sort();
  const chunks: Digest[][] = [];
  for (let at = 0; at < sorted.length; at += listChunk) chunks.push(sorted.slice(at, at + listChunk));
  return chunks;
}
