// The tags of artifacts, for lists: of one artifact by page, of several at once up to a number each.

import { type Kysely, sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { ArtifactRecord } from './artifact-lists.ts';
import { conditionsOf, type ListColumns, type ListOrder, type ListReader, type ListWish, orderOf } from './listing.ts';
import type { Schema } from './schema.ts';

export interface TagRecord {
  readonly id: number;
  readonly name: string;
  readonly digest: Digest;
  readonly pushedAtMs: number;
  readonly pulledAtMs: number | null;
}
export type TagField = 'id' | 'name' | 'push_time' | 'pull_time';

const columns: ListColumns<TagField> = {
  id: sql.ref('tag.id'),
  name: sql.ref('tag.name'),
  push_time: sql.ref('tag.pushed_at_ms'),
  pull_time: sql.ref('tag.pulled_at_ms'),
};
const shown = ['id', 'name', 'digest', 'pushed_at_ms as pushedAtMs', 'pulled_at_ms as pulledAtMs'] as const;
/** Up to so many tags of an artifact are sorted by name; of more, the names of the repository are walked in their order. */
const sortedMax = 5000;

/** One page of an artifact's tags, pushed last first unless ordered otherwise, and the number of all that match. */
export async function listArtifactTags(
  { read, dialect }: ListReader,
  { artifact, wish }: { artifact: Pick<ArtifactRecord, 'repositoryId' | 'digest' | 'tagCount'>; wish: ListWish<TagField> },
): Promise<{ tags: TagRecord[]; count: number }> {
  const first: ListOrder<TagField> = wish.order[0] ?? { field: 'push_time', descending: true };
  const byNames = first.field === 'name' && artifact.tagCount > sortedMax;
  const matching = read
    .selectFrom('tag')
    .where('tag.repository_id', '=', artifact.repositoryId)
    // With a plus SQLite leaves the index of digests alone.
    .where(byNames && dialect === 'sqlite' ? sql<boolean>`+tag.digest = ${artifact.digest}` : sql<boolean>`tag.digest = ${artifact.digest}`)
    .where('tag.removed_at_ms', 'is', null)
    .where(conditionsOf(wish.conditions, columns, dialect));
  const count =
    wish.conditions.length === 0
      ? artifact.tagCount
      : (await matching.select((select) => select.fn.countAll<number>().as('count')).executeTakeFirstOrThrow()).count;
  const tags = await matching
    .select(shown)
    .orderBy(orderOf(wish.order.length === 0 ? [first] : wish.order, columns, { field: 'id', descending: first.descending }))
    .limit(wish.limit)
    .offset(wish.offset)
    .$castTo<TagRecord>()
    .execute();
  return { tags, count: Number(count) };
}

/** For each artifact its tags, pushed last first, at most `limit` of each; all artifacts are of one repository or few. */
export async function readTagsOf(
  read: Kysely<Schema>,
  artifacts: readonly Pick<ArtifactRecord, 'id' | 'repositoryId' | 'digest' | 'tagCount'>[],
  limit: number,
): Promise<ReadonlyMap<number, TagRecord[]>> {
  const found = new Map<number, TagRecord[]>();
  const byRepository = Map.groupBy(
    artifacts.filter(({ tagCount }) => tagCount > 0),
    ({ repositoryId }) => repositoryId,
  );
  for (const [repositoryId, ofRepository] of byRepository) {
    const few = ofRepository.filter(({ tagCount }) => tagCount <= limit);
    if (few.length > 0) {
      const digests = few.map(({ digest }) => digest);
      const rows = await selectTags(read, repositoryId).where('digest', 'in', digests).execute();
      const byDigest = Map.groupBy(rows, ({ digest }) => digest);
      for (const { id, digest } of few) found.set(id, (byDigest.get(digest) ?? []).sort(newestFirst));
    }
    for (const { id, digest } of ofRepository.filter(({ tagCount }) => tagCount > limit)) {
      const newest = selectTags(read, repositoryId).where('digest', '=', digest).orderBy('pushed_at_ms', 'desc').orderBy('id', 'desc');
      found.set(id, await newest.limit(limit).execute());
    }
  }
  return found;
}

function selectTags(read: Kysely<Schema>, repositoryId: number) {
  return read
    .selectFrom('tag')
    .select(shown)
    .where('repository_id', '=', repositoryId)
    .where('removed_at_ms', 'is', null)
    .$castTo<TagRecord>();
}

function newestFirst(a: TagRecord, b: TagRecord): number {
  return b.pushedAtMs - a.pushedAtMs || b.id - a.id;
}
