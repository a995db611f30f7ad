// Writes on content: blobs, manifests, tags, membership. Each is one transaction of the write protocol (design section 5):
// bytes are durable before a row says so, and every removal of a reference renews the lease and queues the digest for review
// (protocol steps P2 and P3 of docs/decisions/0003-write-protocol.md), so that garbage collection never races a push.

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { ManifestReferenceKind } from '../oci/manifest.ts';
import type { CommandContext } from './context.ts';
import type { BlobOrigin, TagTrust } from './schema.ts';

/** How long an unreferenced item stays after a client was told that it is here. */
const leaseMs = 24 * 60 * 60 * 1000;
const listChunk = 500;

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
}
export interface RecordedBlob {
  /** The key that holds the live bytes: another one than offered when the blob was here already. */
  readonly storageKey: string;
}

/**
 * Makes a blob live and a member of the repository. When a live row of the same size exists, it is kept and the caller's bytes are surplus;
 * a corrupt or condemned one is replaced by them (a new generation).
 */
export async function recordBlob(context: CommandContext, args: NewBlob): Promise<RecordedBlob> {
  const { trx, nowMs } = context;
  await requireRepositoryRow(context, args.repositoryId);
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
      })
      .execute();
  } else {
    const keeps = found.state === 'live' && found.size_bytes === args.sizeBytes;
    if (keeps) storageKey = found.storage_key;
    await trx
      .updateTable('blob')
      .set({
        storage_key: storageKey,
        size_bytes: args.sizeBytes,
        state: 'live',
        generation: keeps ? found.generation : found.generation + 1,
        origin: found.origin === 'public' ? 'public' : args.origin,
        lease_until_ms: nowMs + leaseMs,
      })
      .where('digest', '=', args.digest)
      .execute();
  }
  await insertMembership(context, args.repositoryId, args.digest, args.trail);
  if (args.uploadId !== undefined) await trx.deleteFrom('upload').where('id', '=', args.uploadId).execute();
  return { storageKey };
}

/** Links a blob that anybody may fetch upstream into a mirror's repository; false when there is no such live public blob. */
export async function linkBlob(context: CommandContext, args: { repositoryId: number; digest: Digest; trail?: string }): Promise<boolean> {
  const found = await lockBlob(context, args.digest);
  if (found === undefined || found.state !== 'live' || found.origin !== 'public') return false;
  await requireRepositoryRow(context, args.repositoryId);
  await renewLease(context, [args.digest]);
  await insertMembership(context, args.repositoryId, args.digest, args.trail);
  return true;
}

/** Makes a blob of one repository a member of another; false when it is no live member of the first. Rights were checked by the caller. */
export async function mountBlob(
  context: CommandContext,
  args: { fromRepository: string; repositoryId: number; digest: Digest },
): Promise<boolean> {
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
  await requireRepositoryRow(context, args.repositoryId);
  await renewLease(context, [args.digest]);
  await insertMembership(context, args.repositoryId, args.digest, undefined);
  return true;
}

export interface NewReference {
  readonly digest: Digest;
  readonly kind: ManifestReferenceKind;
  readonly sizeBytes: number;
  readonly required: boolean;
}
export interface NewManifest {
  readonly repositoryId: number;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly subjectDigest?: Digest;
  /** JSON object. */
  readonly annotations: string;
  readonly bytes: Uint8Array;
  readonly references: readonly NewReference[];
  readonly tags: readonly string[];
  /** `complete`: all it refers to must be here (push). `sparse`: children may be absent. `mirror`: anything may. */
  readonly completeness: 'complete' | 'sparse' | 'mirror';
  /** Set by a mirror: who vouched for the tag. */
  readonly tagTrust?: TagTrust;
  readonly trail?: string;
}

/**
 * Stores a manifest, its references and its tags. Throws MANIFEST_BLOB_UNKNOWN listing what is missing, MANIFEST_INVALID when a descriptor
 * states another size than the stored blob has.
 */
export async function putManifest(context: CommandContext, args: NewManifest): Promise<void> {
  const { trx, nowMs } = context;
  await requireRepositoryRow(context, args.repositoryId);
  const present = args.completeness === 'mirror' ? await presentReferences(context, args) : await requireReferences(context, args);
  const row = await trx
    .insertInto('manifest')
    .values({
      repository_id: args.repositoryId,
      digest: args.digest,
      media_type: args.mediaType,
      artifact_type: args.artifactType ?? null,
      subject_digest: args.subjectDigest ?? null,
      annotations: args.annotations,
      size_bytes: args.bytes.byteLength,
      state: 'live',
      lease_until_ms: nowMs + leaseMs,
      pushed_at_ms: nowMs,
      pulled_at_ms: null,
      trail: args.trail ?? null,
      bytes: args.bytes,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'digest'])
        .doUpdateSet({ media_type: args.mediaType, state: 'live', lease_until_ms: nowMs + leaseMs, pushed_at_ms: nowMs }),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  const rows = uniqueReferences(args.references).map((reference) => ({
    manifest_id: row.id,
    digest: reference.digest,
    kind: reference.kind,
    size_bytes: reference.sizeBytes,
    is_present: present.has(reference.digest) ? 1 : 0,
  }));
  for (const chunk of chunks(rows)) {
    await trx
      .insertInto('manifest_ref')
      .values(chunk)
      .onConflict((conflict) => conflict.columns(['manifest_id', 'digest', 'kind']).doNothing())
      .execute();
  }
  await markPresent(context, args.repositoryId, args.digest);
  for (const tag of args.tags) await moveTag(context, args, tag);
  await trx.updateTable('repository').set({ pushed_at_ms: nowMs }).where('id', '=', args.repositoryId).execute();
}

/** Notes that an upstream was asked about a cached tag. `verified` means the digest still stands. */
export async function recordTagCheck(
  { trx, nowMs }: CommandContext,
  args: { repositoryId: number; tag: string; digest: Digest; verified: boolean; trust: TagTrust; trail: string },
): Promise<void> {
  await trx
    .updateTable('tag')
    .set({ checked_at_ms: nowMs, ...(args.verified ? { verified_at_ms: nowMs, trust: args.trust, trail: args.trail } : {}) })
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', args.tag)
    .where('digest', '=', args.digest)
    .execute();
}

/** Removes one tag; the manifest stays. MANIFEST_UNKNOWN when there is none. */
export async function deleteTag(context: CommandContext, args: { repositoryId: number; tag: string }): Promise<void> {
  const row = await context.trx
    .selectFrom('tag')
    .select(['id', 'digest'])
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', args.tag)
    .executeTakeFirst();
  if (row === undefined) throw new OciError('MANIFEST_UNKNOWN', 'there is no such tag', { detail: { tag: args.tag } });
  await context.trx.deleteFrom('tag').where('id', '=', row.id).execute();
  await unreference(context, [row.digest as Digest], 'tag deleted');
}

/** Removes a manifest and the tags on it. MANIFEST_UNKNOWN when there is none, UNSUPPORTED while an index of the repository holds it
 * (the specification has no other answer for a delete that is not allowed). */
export async function deleteManifest(
  context: CommandContext,
  args: { repositoryId: number; digest: Digest; allowsSparse: boolean },
): Promise<void> {
  const { trx } = context;
  const row = await trx
    .selectFrom('manifest')
    .select('id')
    .where('repository_id', '=', args.repositoryId)
    .where('digest', '=', args.digest)
    .executeTakeFirst();
  if (row === undefined) throw new OciError('MANIFEST_UNKNOWN', 'there is no such manifest', { detail: { digest: args.digest } });
  if (!args.allowsSparse) await requireNoHolder(context, args.repositoryId, args.digest, 'manifest');
  const references = await trx.selectFrom('manifest_ref').select('digest').where('manifest_id', '=', row.id).execute();
  await trx.deleteFrom('tag').where('repository_id', '=', args.repositoryId).where('digest', '=', args.digest).execute();
  await trx.deleteFrom('manifest').where('id', '=', row.id).execute();
  await unreference(
    context,
    references.map((reference) => reference.digest as Digest),
    'manifest deleted',
  );
}

/** Takes a blob out of a repository. BLOB_UNKNOWN when it is no member, UNSUPPORTED while a manifest of the repository refers to it. */
export async function deleteBlob(context: CommandContext, args: { repositoryId: number; digest: Digest }): Promise<void> {
  await requireNoHolder(context, args.repositoryId, args.digest, 'blob');
  const result = await context.trx
    .deleteFrom('repository_blob')
    .where('repository_id', '=', args.repositoryId)
    .where('digest', '=', args.digest)
    .executeTakeFirst();
  if (result.numDeletedRows === 0n)
    throw new OciError('BLOB_UNKNOWN', 'there is no such blob in this repository', { detail: { digest: args.digest } });
  await unreference(context, [args.digest], 'blob deleted');
}

async function moveTag(context: CommandContext, args: NewManifest, tag: string): Promise<void> {
  const { trx, nowMs } = context;
  const before = await trx
    .selectFrom('tag')
    .select('digest')
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', tag)
    .executeTakeFirst();
  const mirrored = args.tagTrust !== undefined;
  const values = {
    digest: args.digest,
    pushed_at_ms: nowMs,
    verified_at_ms: mirrored ? nowMs : null,
    checked_at_ms: mirrored ? nowMs : null,
    trust: args.tagTrust ?? ('confirmed' as const),
    trail: args.trail ?? null,
  };
  await trx
    .insertInto('tag')
    .values({
      repository_id: args.repositoryId,
      name: tag,
      name_folded: tag.toLowerCase(),
      created_at_ms: nowMs,
      pulled_at_ms: null,
      ...values,
    })
    .onConflict((conflict) => conflict.columns(['repository_id', 'name']).doUpdateSet(values))
    .execute();
  if (before !== undefined && before.digest !== args.digest) await unreference(context, [before.digest as Digest], 'tag moved');
}

/** The digests a manifest refers to that are here; throws for what is required and is not. Locks the blobs against removal. */
async function requireReferences(context: CommandContext, args: NewManifest): Promise<ReadonlySet<string>> {
  const blobs = args.references.filter((reference) => reference.kind !== 'manifest');
  const children = args.references.filter((reference) => reference.kind === 'manifest');
  const sizes = await memberSizes(
    context,
    args.repositoryId,
    blobs.map((reference) => reference.digest),
    true,
  );
  const manifests = await manifestSizes(
    context,
    args.repositoryId,
    children.map((reference) => reference.digest),
  );
  const missing = [
    ...blobs.filter((reference) => reference.required && !sizes.has(reference.digest)),
    ...(args.completeness === 'sparse' ? [] : children.filter((reference) => !manifests.has(reference.digest))),
  ];
  if (missing.length > 0) {
    const listed = [...new Set(missing.map((reference) => reference.digest))];
    throw new OciError('MANIFEST_BLOB_UNKNOWN', 'the manifest refers to content that is not in this repository; push it first', {
      detail: { missing: listed.slice(0, 100), count: listed.length },
    });
  }
  for (const reference of args.references) {
    const size = (reference.kind === 'manifest' ? manifests : sizes).get(reference.digest);
    if (size !== undefined && size !== reference.sizeBytes) {
      throw new OciError('MANIFEST_INVALID', 'a descriptor states a size that the stored content does not have', {
        detail: { digest: reference.digest, stated: reference.sizeBytes, stored: size },
      });
    }
  }
  return new Set([...sizes.keys(), ...manifests.keys()]);
}

async function presentReferences(context: CommandContext, args: NewManifest): Promise<ReadonlySet<string>> {
  const digests = args.references.map((reference) => reference.digest);
  const [blobs, manifests] = [
    await memberSizes(context, args.repositoryId, digests, false),
    await manifestSizes(context, args.repositoryId, digests),
  ];
  return new Set([...blobs.keys(), ...manifests.keys()]);
}

async function memberSizes(
  context: CommandContext,
  repositoryId: number,
  digests: readonly Digest[],
  lock: boolean,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const chunk of chunks([...new Set(digests)].sort())) {
    let query = context.trx
      .selectFrom('repository_blob')
      .innerJoin('blob', 'blob.digest', 'repository_blob.digest')
      .select(['blob.digest as digest', 'blob.size_bytes as size_bytes'])
      .where('repository_blob.repository_id', '=', repositoryId)
      .where('blob.state', '=', 'live')
      .where('blob.digest', 'in', chunk)
      .orderBy('blob.digest');
    if (lock && context.dialect === 'postgres') query = query.forShare('blob');
    for (const row of await query.execute()) found.set(row.digest, row.size_bytes);
  }
  return found;
}

async function manifestSizes(context: CommandContext, repositoryId: number, digests: readonly Digest[]): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const chunk of chunks([...new Set(digests)].sort())) {
    let query = context.trx
      .selectFrom('manifest')
      .select(['digest', 'size_bytes'])
      .where('repository_id', '=', repositoryId)
      .where('state', '=', 'live')
      .where('digest', 'in', chunk)
      .orderBy('digest');
    if (context.dialect === 'postgres') query = query.forShare();
    for (const row of await query.execute()) found.set(row.digest, row.size_bytes);
  }
  return found;
}

async function requireNoHolder(context: CommandContext, repositoryId: number, digest: Digest, what: 'manifest' | 'blob'): Promise<void> {
  const holder = await context.trx
    .selectFrom('manifest_ref')
    .innerJoin('manifest', 'manifest.id', 'manifest_ref.manifest_id')
    .select('manifest.digest')
    .where('manifest_ref.digest', '=', digest)
    .where('manifest.repository_id', '=', repositoryId)
    .limit(1)
    .executeTakeFirst();
  if (holder !== undefined)
    throw new OciError('UNSUPPORTED', `this ${what} is part of manifest ${holder.digest}; delete that one first`, {
      detail: { digest, heldBy: holder.digest },
    });
}

async function requireRepositoryRow({ trx, dialect }: CommandContext, repositoryId: number): Promise<void> {
  let query = trx.selectFrom('repository').select('id').where('id', '=', repositoryId);
  if (dialect === 'postgres') query = query.forKeyShare();
  if ((await query.executeTakeFirst()) === undefined) throw new OciError('NAME_UNKNOWN', 'the repository no longer exists');
}

async function lockBlob({ trx, dialect }: CommandContext, digest: Digest) {
  let query = trx.selectFrom('blob').select(['storage_key', 'size_bytes', 'state', 'origin', 'generation']).where('digest', '=', digest);
  if (dialect === 'postgres') query = query.forUpdate();
  return query.executeTakeFirst();
}

async function insertMembership(context: CommandContext, repositoryId: number, digest: Digest, trail: string | undefined): Promise<void> {
  await context.trx
    .insertInto('repository_blob')
    .values({ repository_id: repositoryId, digest, linked_at_ms: context.nowMs, trail: trail ?? null })
    .onConflict((conflict) =>
      trail === undefined
        ? conflict.columns(['repository_id', 'digest']).doNothing()
        : conflict.columns(['repository_id', 'digest']).doUpdateSet({ trail }),
    )
    .execute();
  if (trail !== undefined) await markPresent(context, repositoryId, digest);
}

async function markPresent({ trx }: CommandContext, repositoryId: number, digest: Digest): Promise<void> {
  await trx
    .updateTable('manifest_ref')
    .set({ is_present: 1 })
    .where('digest', '=', digest)
    .where('is_present', '=', 0)
    .where('manifest_id', 'in', (sub) =>
      sub.selectFrom('manifest').select('manifest.id').where('manifest.repository_id', '=', repositoryId),
    )
    .execute();
}

/** Step P3: whatever loses a reference keeps a full lease and is looked at after it. */
async function unreference(context: CommandContext, digests: readonly Digest[], reason: string): Promise<void> {
  await renewLease(context, digests);
  const rows = [...new Set(digests)].sort().map((digest) => ({ digest, review_after_ms: context.nowMs + leaseMs, reason }));
  for (const chunk of chunks(rows)) {
    await context.trx
      .insertInto('gc_queue')
      .values(chunk)
      .onConflict((conflict) => conflict.column('digest').doUpdateSet({ review_after_ms: context.nowMs + leaseMs, reason }))
      .execute();
  }
}

async function renewLease({ trx, nowMs }: CommandContext, digests: readonly Digest[]): Promise<void> {
  for (const chunk of chunks([...new Set(digests)].sort())) {
    await trx
      .updateTable('blob')
      .set({ lease_until_ms: nowMs + leaseMs })
      .where('digest', 'in', chunk)
      .where('lease_until_ms', '<', nowMs + leaseMs)
      .execute();
    await trx
      .updateTable('manifest')
      .set({ lease_until_ms: nowMs + leaseMs })
      .where('digest', 'in', chunk)
      .execute();
  }
}

function uniqueReferences(references: readonly NewReference[]): readonly NewReference[] {
  return [...new Map(references.map((reference) => [`${reference.kind} ${reference.digest}`, reference])).values()];
}

function chunks<T>(items: readonly T[]): T[][] {
  const result: T[][] = [];
  for (let at = 0; at < items.length; at += listChunk) result.push(items.slice(at, at + listChunk));
  return result;
}
