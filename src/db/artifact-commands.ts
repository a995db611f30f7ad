// Writes that the admin API makes on content: a tag on a manifest that is here, an artifact with what belongs to it, a repository in parts
// that leave room for pushes between them, and a description.

import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { countListed, countTags, listAccessories } from './artifact-rows.ts';
import { deleteManifest } from './content-commands.ts';
import type { CommandContext } from './context.ts';
import { holdRepository, type ItemInRepository, inChunks, unreference } from './references.ts';

/** What one command takes away at most, so that the writer is free again soon. */
const manifestsPerPart = 100;
const rowsPerPart = 500;
/** Children and accessories that go with an artifact; more of them stay, and are listed. */
const deletedWithMax = 2000;

/** NAME_UNKNOWN when the repository is gone. */
export async function describeRepository(context: CommandContext, args: { repositoryId: number; description: string }): Promise<void> {
  const { trx, nowMs } = context;
  await holdRepository(context, args.repositoryId, 'alone');
  await trx
    .updateTable('repository')
    .set({ description: args.description, updated_at_ms: nowMs })
    .where('id', '=', args.repositoryId)
    .execute();
}

/** A new tag on a manifest of the repository. CONFLICT when there is such a tag, MANIFEST_UNKNOWN without the manifest, NAME_UNKNOWN when the repository is gone. */
export async function createTag(context: CommandContext, args: ItemInRepository & { tag: string }): Promise<void> {
  const { trx, nowMs } = context;
  const { repositoryId, digest, tag } = args;
  await holdRepository(context, repositoryId, 'alone');
  const manifest = await trx
    .selectFrom('manifest')
    .select('id')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('state', '=', 'live')
    .executeTakeFirst();
  if (manifest === undefined) throw new OciError('MANIFEST_UNKNOWN', 'there is no such manifest', { detail: { digest } });
  const inserted = await trx
    .insertInto('tag')
    .values({
      repository_id: repositoryId,
      name: tag,
      name_folded: tag.toLowerCase(),
      digest,
      created_at_ms: nowMs,
      pushed_at_ms: nowMs,
      pulled_at_ms: null,
      verified_at_ms: null,
      checked_at_ms: null,
      trust: 'confirmed',
      removed_at_ms: null,
      trail: null,
    })
    .onConflict((conflict) => conflict.columns(['repository_id', 'name']).doNothing())
    .execute();
  if ((inserted[0]?.numInsertedOrUpdatedRows ?? 0n) === 0n)
    throw new OciError('CONFLICT', `there is a tag ${tag} in this repository already; push to it to move it`, { detail: { tag } });
  await countListed(context, repositoryId, await countTags(context, { repositoryId, digest, by: 1 }));
  await trx.updateTable('repository').set({ updated_at_ms: nowMs }).where('id', '=', repositoryId).execute();
}

/**
 * Removes a manifest with its tags, with the untagged children that no other index holds, and with its accessories. Errors as
 * `deleteManifest`. Gives the digests that are gone, the asked one first.
 */
export async function deleteArtifact(context: CommandContext, args: ItemInRepository & { allowsSparse: boolean }): Promise<Digest[]> {
  const gone: Digest[] = [];
  const queue: { digest: Digest; isRoot: boolean }[] = [{ digest: args.digest, isRoot: true }];
  for (let next = queue.shift(); next !== undefined && gone.length <= deletedWithMax; next = queue.shift()) {
    const { digest, isRoot } = next;
    const dependants = await findDependants(context, { repositoryId: args.repositoryId, digest });
    if (isRoot) await deleteManifest(context, { ...args, digest });
    else if (await mayGo(context, { repositoryId: args.repositoryId, digest }))
      await deleteManifest(context, { repositoryId: args.repositoryId, digest, allowsSparse: false });
    else continue;
    gone.push(digest);
    for (const dependant of dependants) queue.push({ digest: dependant, isRoot: false });
  }
  return gone;
}

/**
 * Takes a part of a repository away, the repository itself with the last; true when it is gone. To be called until then. NAME_UNKNOWN when
 * there is none.
 */
export async function removeRepositoryPart(context: CommandContext, args: { repositoryId: number }): Promise<boolean> {
  const { trx } = context;
  const { repositoryId } = args;
  await holdRepository(context, repositoryId, 'alone');
  if (await removeTags(context, repositoryId)) return false;
  const manifests = await trx
    .selectFrom('manifest')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .limit(manifestsPerPart)
    .execute();
  for (const { digest } of manifests) await deleteManifest(context, { repositoryId, digest: digest as Digest, allowsSparse: true });
  if (manifests.length > 0) return false;
  const members = await trx
    .selectFrom('repository_blob')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .limit(rowsPerPart)
    .execute();
  const digests = members.map((member) => member.digest as Digest);
  await unreference(context, { repositoryId, digests, reason: 'repository deleted' });
  for (const chunk of inChunks(digests))
    await trx.deleteFrom('repository_blob').where('repository_id', '=', repositoryId).where('digest', 'in', chunk).execute();
  if (members.length > 0) return false;
  await trx.deleteFrom('repository').where('id', '=', repositoryId).execute();
  return true;
}

async function removeTags(context: CommandContext, repositoryId: number): Promise<boolean> {
  const { trx } = context;
  const tags = await trx
    .selectFrom('tag')
    .select(['id', 'digest', 'removed_at_ms'])
    .where('repository_id', '=', repositoryId)
    .limit(rowsPerPart)
    .execute();
  if (tags.length === 0) return false;
  await unreference(context, { repositoryId, digests: tags.map((tag) => tag.digest as Digest), reason: 'repository deleted' });
  await trx
    .deleteFrom('tag')
    .where(
      'id',
      'in',
      tags.map((tag) => tag.id),
    )
    .execute();
  let listed = 0;
  const here = tags.filter((tag) => tag.removed_at_ms === null);
  for (const [digest, ofDigest] of Map.groupBy(here, (tag) => tag.digest as Digest))
    listed += await countTags(context, { repositoryId, digest, by: -ofDigest.length });
  await countListed(context, repositoryId, listed);
  return true;
}

/** What a manifest's end may take along: its children, then its accessories. */
async function findDependants({ trx }: CommandContext, item: ItemInRepository): Promise<Digest[]> {
  const children = await trx
    .selectFrom('manifest_ref')
    .select('digest')
    .where('manifest_id', '=', (select) =>
      select.selectFrom('manifest').select('id').where('repository_id', '=', item.repositoryId).where('digest', '=', item.digest),
    )
    .where('kind', '=', 'manifest')
    .limit(deletedWithMax)
    .execute();
  const accessories = await listAccessories(trx, item, deletedWithMax);
  return [...children, ...accessories].map(({ digest }) => digest as Digest);
}

/** Nobody holds it, and it is untagged or an accessory. */
async function mayGo({ trx }: CommandContext, item: ItemInRepository): Promise<boolean> {
  const row = await trx
    .selectFrom('manifest')
    .innerJoin('artifact', 'artifact.manifest_id', 'manifest.id')
    .select(['artifact.is_held as isHeld', 'artifact.tag_count as tagCount', 'artifact.subject_digest as subject'])
    .where('manifest.repository_id', '=', item.repositoryId)
    .where('manifest.digest', '=', item.digest)
    .executeTakeFirst();
  return row !== undefined && row.isHeld === 0 && (row.tagCount === 0 || row.subject !== null);
}
