// The rows that lists are read from, kept by the commands that change manifests and tags, in their transactions: sizes, numbers of tags, and
// whether a list shows the artifact. Each function gives by how much the repository's number of listed artifacts changed; its caller, who
// holds the repository alone, adds that up and writes it once.

import { artifactKind, cosignSubject } from '../oci/artifact-kind.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexMediaType } from '../oci/media-types.ts';
import type { CommandContext } from './context.ts';
import type { NewManifest } from './new-manifest.ts';
import { type ItemInRepository, inChunks } from './references.ts';

export interface RecordedManifest {
  readonly manifestId: number;
  readonly projectId: number;
  readonly manifest: NewManifest;
  /** Tags that point to it now and did not before. */
  readonly gained: number;
  /** An index that was here without it has it now. */
  readonly completes: boolean;
}

/** The row of a manifest just stored, its children's and its holders'. */
export async function recordArtifact(context: CommandContext, recorded: RecordedManifest): Promise<number> {
  const { trx, nowMs } = context;
  const { manifestId, manifest, gained, completes } = recorded;
  const subject = manifest.subjectDigest ?? subjectByTags(manifest.tags) ?? null;
  const isIndex = isIndexMediaType(manifest.mediaType);
  const children = manifest.references.filter(({ kind }) => kind === 'manifest').map(({ digest }) => digest);
  const sizeBytes = manifest.bytes.byteLength + sizeOfBlobs(manifest) + (isIndex ? await sizeOfChildren(context, manifest, children) : 0);
  const row = { tag_count: gained, is_held: completes ? 1 : 0, subject_digest: subject };
  const inserted = await trx
    .insertInto('artifact')
    .values({
      manifest_id: manifestId,
      project_id: recorded.projectId,
      repository_id: manifest.repositoryId,
      kind: artifactKind(manifest),
      config_media_type: manifest.configMediaType ?? manifest.mediaType,
      size_bytes: sizeBytes,
      ...row,
      is_listed: listed(row),
      pushed_at_ms: nowMs,
      pulled_at_ms: null,
    })
    .onConflict((conflict) => conflict.column('manifest_id').doNothing())
    .execute();
  if ((inserted[0]?.numInsertedOrUpdatedRows ?? 0n) === 0n) return updateArtifact(context, { manifestId, gained, subject });
  if (completes) await addToHolders(context, manifest, sizeBytes);
  return listed(row) + (isIndex ? await refreshHeld(context, manifest.repositoryId, children) : 0);
}

/** The row of a manifest that was here before. */
async function updateArtifact(
  { trx, nowMs }: CommandContext,
  args: { readonly manifestId: number; readonly gained: number; readonly subject: Digest | null },
): Promise<number> {
  const before = await trx
    .selectFrom('artifact')
    .select(['tag_count', 'is_held', 'is_listed', 'subject_digest'])
    .where('manifest_id', '=', args.manifestId)
    .executeTakeFirstOrThrow();
  const kept = { tag_count: before.tag_count + args.gained, subject_digest: before.subject_digest ?? args.subject };
  const isListed = listed({ ...kept, is_held: before.is_held });
  const values = { ...kept, is_listed: isListed, pushed_at_ms: nowMs };
  await trx.updateTable('artifact').set(values).where('manifest_id', '=', args.manifestId).execute();
  return isListed - before.is_listed;
}

/** More or fewer tags on an artifact. */
export async function countTags(
  { trx }: CommandContext,
  args: { readonly repositoryId: number; readonly digest: Digest; readonly by: number },
): Promise<number> {
  const row = await trx
    .updateTable('artifact')
    .set((column) => ({
      tag_count: column('tag_count', '+', args.by),
      is_listed: column
        .case()
        .when(
          column.and([
            column('subject_digest', 'is', null),
            column.or([column(column('tag_count', '+', args.by), '>', 0), column('is_held', '=', 0)]),
          ]),
        )
        .then(1)
        .else(0)
        .end(),
    }))
    .where('manifest_id', '=', (select) =>
      select.selectFrom('manifest').select('id').where('repository_id', '=', args.repositoryId).where('digest', '=', args.digest),
    )
    .returning(['tag_count', 'is_held', 'is_listed', 'subject_digest'])
    .executeTakeFirst();
  return row === undefined ? 0 : row.is_listed - listed({ ...row, tag_count: row.tag_count - args.by });
}

/** Whether a list shows the artifact of a manifest that is about to go: what the repository's number loses. The row goes with the manifest. */
export async function dropArtifact({ trx }: CommandContext, manifestId: number): Promise<number> {
  const row = await trx.selectFrom('artifact').select('is_listed').where('manifest_id', '=', manifestId).executeTakeFirst();
  return row?.is_listed ?? 0;
}

/** Looks again whether an index refers to these manifests, after one came or went. */
export async function refreshHeld(context: CommandContext, repositoryId: number, digests: readonly Digest[]): Promise<number> {
  const { trx } = context;
  let change = 0;
  for (const chunk of inChunks(digests)) {
    const rows = await trx
      .selectFrom('manifest')
      .innerJoin('artifact', 'artifact.manifest_id', 'manifest.id')
      .select((select) => [
        'artifact.manifest_id as manifestId',
        'artifact.tag_count as tag_count',
        'artifact.subject_digest as subject_digest',
        'artifact.is_held as is_held',
        'artifact.is_listed as is_listed',
        select
          .exists(
            select
              .selectFrom('manifest_ref')
              .select('manifest_ref.manifest_id')
              .whereRef('manifest_ref.digest', '=', 'manifest.digest')
              .where('manifest_ref.repository_id', '=', repositoryId)
              .where('manifest_ref.kind', '=', 'manifest'),
          )
          .as('holder'),
      ])
      .where('manifest.repository_id', '=', repositoryId)
      .where('manifest.digest', 'in', chunk)
      .execute();
    for (const row of rows) {
      const isHeld = row.holder ? 1 : 0;
      if (isHeld === row.is_held) continue;
      const isListed = listed({ ...row, is_held: isHeld });
      change += isListed - row.is_listed;
      await trx.updateTable('artifact').set({ is_held: isHeld, is_listed: isListed }).where('manifest_id', '=', row.manifestId).execute();
    }
  }
  return change;
}

/** Writes the change of the repository's number of listed artifacts. */
export async function countListed({ trx }: CommandContext, repositoryId: number, change: number): Promise<void> {
  if (change === 0) return;
  await trx
    .updateTable('repository')
    .set((column) => ({ artifact_count: column('artifact_count', '+', change) }))
    .where('id', '=', repositoryId)
    .execute();
}

/** The rule of lists: no accessory, and either tagged or no part of an index. */
function listed(row: { readonly tag_count: number; readonly is_held: number; readonly subject_digest: string | null }): 0 | 1 {
  return row.subject_digest === null && (row.tag_count > 0 || row.is_held === 0) ? 1 : 0;
}

function subjectByTags(tags: readonly string[]): Digest | undefined {
  for (const tag of tags) {
    const subject = cosignSubject(tag);
    if (subject !== undefined) return subject;
  }
  return undefined;
}

/** Of the config and the layers, each once. */
function sizeOfBlobs(manifest: NewManifest): number {
  const sizes = new Map<string, number>();
  for (const { digest, kind, sizeBytes } of manifest.references) if (kind !== 'manifest') sizes.set(digest, sizeBytes);
  let sum = 0;
  for (const sizeBytes of sizes.values()) sum += sizeBytes;
  return sum;
}

async function sizeOfChildren({ trx }: CommandContext, manifest: NewManifest, children: readonly Digest[]): Promise<number> {
  let sum = 0;
  for (const chunk of inChunks(children)) {
    const row = await trx
      .selectFrom('manifest')
      .innerJoin('artifact', 'artifact.manifest_id', 'manifest.id')
      .select((select) => select.fn.sum<number | string | null>('artifact.size_bytes').as('sum'))
      .where('manifest.repository_id', '=', manifest.repositoryId)
      .where('manifest.digest', 'in', chunk)
      .executeTakeFirst();
    sum += Number(row?.sum ?? 0);
  }
  return sum;
}

/** A child that came after its index adds its weight to it. */
async function addToHolders({ trx }: CommandContext, child: NewManifest, sizeBytes: number): Promise<void> {
  await trx
    .updateTable('artifact')
    .set((column) => ({ size_bytes: column('size_bytes', '+', sizeBytes) }))
    .where('manifest_id', 'in', (select) =>
      select
        .selectFrom('manifest_ref')
        .select('manifest_ref.manifest_id')
        .where('digest', '=', child.digest)
        .where('repository_id', '=', child.repositoryId)
        .where('kind', '=', 'manifest'),
    )
    .execute();
}

/** Digests of the manifests whose subject is this one, at most `max` of them. */
export async function listAccessories(trx: CommandContext['trx'], item: ItemInRepository, max: number): Promise<{ digest: string }[]> {
  return trx
    .selectFrom('artifact')
    .innerJoin('manifest', 'manifest.id', 'artifact.manifest_id')
    .select('manifest.digest')
    .where('artifact.repository_id', '=', item.repositoryId)
    .where('artifact.subject_digest', '=', item.digest)
    .where('artifact.subject_digest', 'is not', null)
    .limit(max)
    .execute();
}
