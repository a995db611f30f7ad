// Copying an artifact into another repository of the server: rows only, no byte moves. Whoever asks has been allowed to pull the one and to push
// to the other.

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import { listAccessories } from './artifact-rows.ts';
import { putManifest } from './content-commands.ts';
import type { CommandContext } from './context.ts';
import { holdRepository, type ItemInRepository, inChunks, renewBlobLeases } from './references.ts';

/** Manifests of one copy: children and accessories included. */
const manifestsMax = 2000;
const depthMax = 6;

export interface ArtifactCopy {
  readonly fromRepositoryId: number;
  readonly repositoryId: number;
  readonly digest: Digest;
  /** Set on the copy; they are moved when they are there. */
  readonly tags: readonly string[];
  /** `sparse`: the target may lack children of an index. */
  readonly completeness: 'complete' | 'sparse';
}

/**
 * Copies a manifest, what it is made of, and its accessories. MANIFEST_UNKNOWN when the source has no such manifest, MANIFEST_BLOB_UNKNOWN when
 * it lacks a part (a mirror that holds some of it), MANIFEST_INVALID for more than 2,000 manifests, NAME_UNKNOWN when the target is gone.
 */
export async function copyArtifact(context: CommandContext, args: ArtifactCopy): Promise<void> {
  await holdRepository(context, args.repositoryId, 'alone');
  const seen = new Set<Digest>();
  const copy = async (digest: Digest, depth: number, tags: readonly string[]): Promise<void> => {
    if (seen.has(digest)) return;
    seen.add(digest);
    if (seen.size > manifestsMax || depth > depthMax)
      throw new OciError('MANIFEST_INVALID', `the artifact has more than ${manifestsMax} manifests, or is nested deeper than ${depthMax}`);
    const source = await readManifest(context, { repositoryId: args.fromRepositoryId, digest });
    if (source === undefined) {
      // An index may lack a child where it is; its manifest says below whether the copy may, too.
      if (depth > 0) return;
      throw new OciError('MANIFEST_UNKNOWN', 'there is no such manifest in the repository to copy from', { detail: { digest } });
    }
    const { references } = parseManifest(source.bytes, source.mediaType);
    const isOf = (kind: 'manifest' | 'blob') => (reference: { readonly kind: string }) =>
      (reference.kind === 'manifest') === (kind === 'manifest');
    for (const child of references.filter(isOf('manifest'))) await copy(child.digest, depth + 1, []);
    await shareBlobs(
      context,
      args,
      references.filter(isOf('blob')).map((reference) => reference.digest),
    );
    await putManifest(context, {
      ...source,
      repositoryId: args.repositoryId,
      references: references.map(({ digest: of, kind, sizeBytes, required }) => ({ digest: of, kind, sizeBytes, required })),
      tags,
      completeness: args.completeness,
    });
    for (const accessory of await accessoriesOf(context, { repositoryId: args.fromRepositoryId, digest }))
      await copy(accessory.digest, depth + 1, accessory.tags);
  };
  await copy(args.digest, 0, args.tags);
}

async function readManifest({ trx }: CommandContext, item: ItemInRepository) {
  const row = await trx
    .selectFrom('manifest')
    .innerJoin('artifact', 'artifact.manifest_id', 'manifest.id')
    .select([
      'manifest.media_type as mediaType',
      'manifest.artifact_type as artifactType',
      'manifest.subject_digest as subject',
      'manifest.annotations as annotations',
      'manifest.bytes as bytes',
      'artifact.config_media_type as configMediaType',
    ])
    .where('manifest.repository_id', '=', item.repositoryId)
    .where('manifest.digest', '=', item.digest)
    .where('manifest.state', '=', 'live')
    .executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    digest: item.digest,
    mediaType: row.mediaType,
    annotations: row.annotations,
    bytes: row.bytes,
    ...(row.configMediaType === row.mediaType ? {} : { configMediaType: row.configMediaType }),
    ...(row.artifactType === null ? {} : { artifactType: row.artifactType }),
    ...(row.subject === null ? {} : { subjectDigest: row.subject as Digest }),
  };
}

/** The blobs become members of the target where they are live members of the source. */
async function shareBlobs(context: CommandContext, args: ArtifactCopy, digests: readonly Digest[]): Promise<void> {
  const { trx, nowMs } = context;
  await renewBlobLeases(context, digests);
  for (const chunk of inChunks(digests)) {
    const members = await trx
      .selectFrom('repository_blob')
      .innerJoin('blob', 'blob.digest', 'repository_blob.digest')
      .select('blob.digest')
      .where('repository_blob.repository_id', '=', args.fromRepositoryId)
      .where('repository_blob.digest', 'in', chunk)
      .where('blob.state', '=', 'live')
      .execute();
    if (members.length === 0) continue;
    await trx
      .insertInto('repository_blob')
      .values(members.map(({ digest }) => ({ repository_id: args.repositoryId, digest, linked_at_ms: nowMs, trail: null })))
      .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
      .execute();
  }
}

/** With the tags of cosign's scheme, by which its clients find them. */
async function accessoriesOf({ trx }: CommandContext, item: ItemInRepository): Promise<{ digest: Digest; tags: string[] }[]> {
  const rows = await listAccessories(trx, item, manifestsMax);
  const prefix = item.digest.replace(':', '-');
  const tags = await trx
    .selectFrom('tag')
    .select(['name', 'digest'])
    .where('repository_id', '=', item.repositoryId)
    .where(
      'name',
      'in',
      ['sig', 'att', 'sbom'].map((ending) => `${prefix}.${ending}`),
    )
    .execute();
  return rows.map(({ digest }) => ({
    digest: digest as Digest,
    tags: tags.filter((tag) => tag.digest === digest).map((tag) => tag.name),
  }));
}
