// Writes on manifests and tags. A manifest's bytes, its references and its tags change in one transaction (design section 5). What it
// refers to is locked and must be here (step P2 of docs/decisions/0003-write-protocol.md); what loses a reference is queued (step P3).

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { countListed, countTags, dropArtifact, recordArtifact, refreshHeld } from './artifact-rows.ts';
import type { CommandContext } from './context.ts';
import type { NewManifest, NewReference } from './new-manifest.ts';
import { holdRepository, type ItemInRepository, inChunks, leaseMs, markPresent, requireNoHolder, unreference } from './references.ts';
import type { TagTrust } from './schema.ts';

/** Rows of one insert: seven values each, far from the limit of either database. */
const insertChunk = 500;

/**
 * Stores a manifest, its references and its tags. Throws MANIFEST_BLOB_UNKNOWN listing what is missing, MANIFEST_INVALID when a descriptor
 * states another size than the stored content has, NAME_UNKNOWN when the repository is gone.
 */
export async function putManifest(context: CommandContext, args: NewManifest): Promise<void> {
  const { trx, nowMs } = context;
  const { projectId } = await holdRepository(context, args.repositoryId, 'alone');
  const stored = await readStoredSizes(context, args);
  const untilMs = nowMs + leaseMs;
  if (args.completeness !== 'mirror') checkReferences(args, stored);
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
      lease_until_ms: untilMs,
      pushed_at_ms: nowMs,
      pulled_at_ms: null,
      trail: args.trail ?? null,
      bytes: args.bytes,
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'digest']).doUpdateSet((column) => ({
        media_type: args.mediaType,
        state: 'live',
        // A lease is never shortened, whatever the clock did.
        lease_until_ms: column
          .case()
          .when('manifest.lease_until_ms', '>', untilMs)
          .then(column.ref('manifest.lease_until_ms'))
          .else(untilMs)
          .end(),
        pushed_at_ms: nowMs,
      })),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  const rows = uniqueReferences(args.references).map((reference) => ({
    manifest_id: row.id,
    repository_id: args.repositoryId,
    digest: reference.digest,
    kind: reference.kind,
    size_bytes: reference.sizeBytes,
    is_present: sizeOf(stored, reference) === undefined ? 0 : 1,
  }));
  for (let at = 0; at < rows.length; at += insertChunk) {
    await trx
      .insertInto('manifest_ref')
      .values(rows.slice(at, at + insertChunk))
      .onConflict((conflict) => conflict.columns(['manifest_id', 'digest', 'kind']).doNothing())
      .execute();
  }
  const completes = await markPresent(context, args, 'manifest');
  const left: Digest[] = [];
  const losing: Digest[] = [];
  let gained = 0;
  for (const tag of new Set(args.tags)) {
    const before = await moveTag(context, args, tag);
    if (before === undefined || before.wasRemoved || before.digest !== args.digest) gained++;
    if (before === undefined || before.digest === args.digest) continue;
    left.push(before.digest);
    if (!before.wasRemoved) losing.push(before.digest);
  }
  await unreference(context, { repositoryId: args.repositoryId, digests: left, reason: 'tag moved' });
  let listed = await recordArtifact(context, { manifestId: row.id, projectId, manifest: args, gained, completes });
  for (const digest of losing) listed += await countTags(context, { repositoryId: args.repositoryId, digest, by: -1 });
  await trx
    .updateTable('repository')
    .set((column) => ({
      pushed_at_ms: nowMs,
      updated_at_ms: nowMs,
      ...(listed === 0 ? {} : { artifact_count: column('artifact_count', '+', listed) }),
    }))
    .where('id', '=', args.repositoryId)
    .execute();
}

/** Notes that an upstream was asked about a cached tag. `verified` means the digest still stands. */
export async function recordTagCheck(
  context: CommandContext,
  args: { repositoryId: number; tag: string; digest: Digest; verified: boolean; trust: TagTrust; trail: string },
): Promise<void> {
  const { trx, nowMs } = context;
  const isBack = args.verified && (await tagState(context, args)) === 'removed';
  await trx
    .updateTable('tag')
    .set({
      checked_at_ms: nowMs,
      ...(args.verified ? { verified_at_ms: nowMs, trust: args.trust, trail: args.trail, removed_at_ms: null } : {}),
    })
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', args.tag)
    .where('digest', '=', args.digest)
    .execute();
  if (isBack) await countListed(context, args.repositoryId, await countTags(context, { ...args, by: 1 }));
}

/** Notes that the registry of a mirror has no such tag any more: it is not listed and not served, until it is verified again. */
export async function recordTagRemoval(
  context: CommandContext,
  args: { repositoryId: number; tag: string; digest: Digest; trail: string },
): Promise<void> {
  const { trx, nowMs } = context;
  const goes = (await tagState(context, args)) === 'here';
  await trx
    .updateTable('tag')
    .set({ checked_at_ms: nowMs, removed_at_ms: nowMs, trail: args.trail })
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', args.tag)
    .where('digest', '=', args.digest)
    .execute();
  if (goes) await countListed(context, args.repositoryId, await countTags(context, { ...args, by: -1 }));
}

/** Remembers what the registry of a mirror lists as referrers of a manifest, in place of what it listed before. */
export async function recordListedReferrers(
  { trx, nowMs }: CommandContext,
  args: { repositoryId: number; subject: Digest; descriptors: string },
): Promise<void> {
  const values = { descriptors: args.descriptors, listed_at_ms: nowMs };
  await trx
    .insertInto('listed_referrers')
    .values({ repository_id: args.repositoryId, subject_digest: args.subject, ...values })
    .onConflict((conflict) => conflict.columns(['repository_id', 'subject_digest']).doUpdateSet(values))
    .execute();
}

/** Removes one tag; the manifest stays. MANIFEST_UNKNOWN when there is none, NAME_UNKNOWN when the repository is gone. */
export async function deleteTag(context: CommandContext, args: { repositoryId: number; tag: string }): Promise<void> {
  await holdRepository(context, args.repositoryId, 'alone');
  const row = await context.trx
    .deleteFrom('tag')
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', args.tag)
    .returning(['digest', 'removed_at_ms'])
    .executeTakeFirst();
  if (row === undefined) throw new OciError('MANIFEST_UNKNOWN', 'there is no such tag', { detail: { tag: args.tag } });
  const digest = row.digest as Digest;
  await unreference(context, { repositoryId: args.repositoryId, digests: [digest], reason: 'tag deleted' });
  if (row.removed_at_ms === null)
    await countListed(context, args.repositoryId, await countTags(context, { repositoryId: args.repositoryId, digest, by: -1 }));
}

/**
 * Removes a manifest and the tags on it. MANIFEST_UNKNOWN when there is none, NAME_UNKNOWN when the repository is gone, UNSUPPORTED while an index of the repository holds it (the
 * specification has no other answer for a delete that is not allowed). With `allowsSparse` the indexes stay without it.
 */
export async function deleteManifest(context: CommandContext, args: ItemInRepository & { allowsSparse: boolean }): Promise<void> {
  const { trx, dialect } = context;
  const { repositoryId, digest } = args;
  await holdRepository(context, repositoryId, 'alone');
  let find = trx.selectFrom('manifest').select('id').where('repository_id', '=', repositoryId).where('digest', '=', digest);
  if (dialect === 'postgres') find = find.forUpdate();
  const row = await find.executeTakeFirst();
  if (row === undefined) throw new OciError('MANIFEST_UNKNOWN', 'there is no such manifest', { detail: { digest } });
  if (!args.allowsSparse) await requireNoHolder(context, args, 'manifest');
  const references = await trx.selectFrom('manifest_ref').select(['digest', 'kind']).where('manifest_id', '=', row.id).execute();
  // The blobs first, before the rows that refer to them: the order of locks.
  const digests = references.map((reference) => reference.digest as Digest);
  await unreference(context, { repositoryId, digests, reason: 'manifest deleted' });
  await trx.deleteFrom('tag').where('repository_id', '=', repositoryId).where('digest', '=', digest).execute();
  let listed = -(await dropArtifact(context, row.id));
  await trx.deleteFrom('manifest').where('id', '=', row.id).execute();
  const children = references.filter(({ kind }) => kind === 'manifest').map((reference) => reference.digest as Digest);
  listed += await refreshHeld(context, repositoryId, children);
  await countListed(context, repositoryId, listed);
  await trx
    .updateTable('manifest_ref')
    .set({ is_present: 0 })
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('kind', '=', 'manifest')
    .execute();
}

async function tagState(
  { trx }: CommandContext,
  args: { repositoryId: number; tag: string; digest: Digest },
): Promise<'here' | 'removed' | 'absent'> {
  const row = await trx
    .selectFrom('tag')
    .select('removed_at_ms')
    .where('repository_id', '=', args.repositoryId)
    .where('name', '=', args.tag)
    .where('digest', '=', args.digest)
    .executeTakeFirst();
  return row === undefined ? 'absent' : row.removed_at_ms === null ? 'here' : 'removed';
}

/** Sets a tag; gives the digest it pointed to before, and whether its registry had said that it is gone. */
async function moveTag(
  { trx, nowMs }: CommandContext,
  args: NewManifest,
  tag: string,
): Promise<{ readonly digest: Digest; readonly wasRemoved: boolean } | undefined> {
  const before = await trx
    .selectFrom('tag')
    .select(['id', 'digest', 'removed_at_ms'])
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
    removed_at_ms: null,
    trail: args.trail ?? null,
  };
  if (before === undefined) {
    const row = { repository_id: args.repositoryId, name: tag, name_folded: tag.toLowerCase(), created_at_ms: nowMs, pulled_at_ms: null };
    await trx
      .insertInto('tag')
      .values({ ...row, ...values })
      .execute();
    return undefined;
  }
  await trx.updateTable('tag').set(values).where('id', '=', before.id).execute();
  return { digest: before.digest as Digest, wasRemoved: before.removed_at_ms !== null };
}

interface StoredSizes {
  readonly blobs: ReadonlyMap<string, number>;
  readonly manifests: ReadonlyMap<string, number>;
}

function sizeOf(stored: StoredSizes, reference: NewReference): number | undefined {
  return (reference.kind === 'manifest' ? stored.manifests : stored.blobs).get(reference.digest);
}

/** Throws for what is required and is not here, and for what has another size than stated. */
function checkReferences(args: NewManifest, stored: StoredSizes): void {
  const mayLackChildren = args.completeness === 'sparse';
  const missing = args.references.filter(
    (reference) => sizeOf(stored, reference) === undefined && (reference.kind === 'manifest' ? !mayLackChildren : reference.required),
  );
  if (missing.length > 0) {
    const listed = [...new Set(missing.map((reference) => reference.digest))];
    throw new OciError('MANIFEST_BLOB_UNKNOWN', 'the manifest refers to content that is not in this repository; push it first', {
      detail: { missing: listed.slice(0, 100), count: listed.length },
    });
  }
  for (const reference of args.references) {
    const size = sizeOf(stored, reference);
    if (size !== undefined && size !== reference.sizeBytes) {
      throw new OciError('MANIFEST_INVALID', 'a descriptor states a size that the stored content does not have', {
        detail: { digest: reference.digest, stated: reference.sizeBytes, stored: size },
      });
    }
  }
}

/** What of the references is here, with its size: locked against removal until the manifest is stored. */
async function readStoredSizes(context: CommandContext, args: NewManifest): Promise<StoredSizes> {
  const digests = (wanted: boolean): Digest[] =>
    args.references.filter((reference) => (reference.kind === 'manifest') === wanted).map((reference) => reference.digest);
  return {
    blobs: await readMemberSizes(context, args.repositoryId, digests(false)),
    manifests: await readManifestSizes(context, args.repositoryId, digests(true)),
  };
}

async function readMemberSizes(
  { trx, dialect }: CommandContext,
  repositoryId: number,
  digests: readonly Digest[],
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const chunk of inChunks(digests)) {
    // First the lock, then the look: a statement that waited for a lock still sees the membership of before.
    if (dialect === 'postgres')
      await trx.selectFrom('blob').select('digest').where('digest', 'in', chunk).orderBy('digest').forShare().execute();
    const rows = await trx
      .selectFrom('repository_blob')
      .innerJoin('blob', 'blob.digest', 'repository_blob.digest')
      .select(['blob.digest as digest', 'blob.size_bytes as size_bytes'])
      .where('repository_blob.repository_id', '=', repositoryId)
      .where('repository_blob.digest', 'in', chunk)
      .where('blob.state', '=', 'live')
      .execute();
    for (const row of rows) found.set(row.digest, row.size_bytes);
  }
  return found;
}

async function readManifestSizes(
  { trx, dialect }: CommandContext,
  repositoryId: number,
  digests: readonly Digest[],
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const chunk of inChunks(digests)) {
    let query = trx
      .selectFrom('manifest')
      .select(['digest', 'size_bytes'])
      .where('repository_id', '=', repositoryId)
      .where('state', '=', 'live')
      .where('digest', 'in', chunk)
      .orderBy('digest');
    if (dialect === 'postgres') query = query.forShare();
    for (const row of await query.execute()) found.set(row.digest, row.size_bytes);
  }
  return found;
}

/** One row for each kind and digest; a manifest may name a layer twice. */
function uniqueReferences(references: readonly NewReference[]): readonly NewReference[] {
  return [...new Map(references.map((reference) => [`${reference.kind} ${reference.digest}`, reference])).values()];
}
