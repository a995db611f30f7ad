// Lists of artifacts and tags for the admin API. They are read from `artifact`, the narrow table beside the manifests: its indexes have the order
// of the lists, and their numbers are kept there and in `repository`, so that the first page costs the same in a repository of a hundred
// thousand. A page far behind walks that index to it; other orders and searches read the rows of the one repository.

import { type Kysely, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-types.ts';
import { conditionsOf, type ListColumns, type ListCondition, type ListOrder, type ListReader, type ListWish, orderOf } from './listing.ts';
import type { Schema } from './schema.ts';

export interface ArtifactRecord {
  readonly id: number;
  readonly projectId: number;
  readonly repositoryId: number;
  readonly repository: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly configMediaType: string;
  readonly artifactType: string | null;
  /** IMAGE, CHART, ... */
  readonly kind: string;
  readonly sizeBytes: number;
  readonly subject: Digest | null;
  readonly tagCount: number;
  readonly pushedAtMs: number;
  readonly pulledAtMs: number | null;
  /** JSON object. */
  readonly annotations: string;
  /** Of an image manifest. */
  readonly configDigest: Digest | null;
  /** The manifest, of an index only. */
  readonly index: Uint8Array | null;
}
export type ArtifactField =
  | 'id'
  | 'digest'
  | 'type'
  | 'media_type'
  | 'manifest_media_type'
  | 'artifact_type'
  | 'size'
  | 'push_time'
  | 'pull_time'
  | 'tags'
  | 'labels';

export interface ArtifactScope {
  readonly repositoryId?: number;
  readonly projectId?: number;
  /** The newest of each repository only. */
  readonly latestOnly?: boolean;
}

const columns: ListColumns<ArtifactField> = {
  id: sql.ref('artifact.manifest_id'),
  digest: sql`(select manifest.digest from manifest where manifest.id = artifact.manifest_id)`,
  type: sql.ref('artifact.kind'),
  media_type: sql.ref('artifact.config_media_type'),
  manifest_media_type: sql`(select manifest.media_type from manifest where manifest.id = artifact.manifest_id)`,
  artifact_type: sql`(select manifest.artifact_type from manifest where manifest.id = artifact.manifest_id)`,
  size: sql.ref('artifact.size_bytes'),
  push_time: sql.ref('artifact.pushed_at_ms'),
  pull_time: sql.ref('artifact.pulled_at_ms'),
  tags: sql.ref('artifact.tag_count'),
  labels: sql.ref('artifact.manifest_id'),
};

/** One page of listed artifacts, pushed last first unless ordered otherwise, and the number of all that match. */
export async function listArtifactPage(
  reader: ListReader,
  { scope, wish }: { scope: ArtifactScope; wish: ListWish<ArtifactField> },
): Promise<{ artifacts: ArtifactRecord[]; count: number }> {
  const { read, dialect } = reader;
  let matching = read
    .selectFrom('artifact')
    // Written out, because a partial index serves no bound value.
    .where('artifact.is_listed', '=', sql.lit(1))
    .where(artifactConditions(wish.conditions, scope, dialect));
  if (scope.repositoryId !== undefined) matching = matching.where('artifact.repository_id', '=', scope.repositoryId);
  if (scope.projectId !== undefined) matching = matching.where('artifact.project_id', '=', scope.projectId);
  if (scope.latestOnly === true)
    matching = matching.where(
      sql<boolean>`artifact.manifest_id = (select newest.manifest_id from artifact as newest
        where newest.repository_id = artifact.repository_id and newest.is_listed = 1
        order by newest.pushed_at_ms desc, newest.manifest_id desc limit 1)`,
    );
  const first: ListOrder<ArtifactField> = wish.order[0] ?? { field: 'push_time', descending: true };
  const page = matching
    .select('artifact.manifest_id as id')
    .orderBy(orderOf(wish.order.length === 0 ? [first] : wish.order, columns, { field: 'id', descending: first.descending }))
    .limit(wish.limit)
    .offset(wish.offset);
  if (wish.conditions.some(({ field, kind }) => field === 'tags' && kind !== 'exact')) {
    // Counted on the way, so that a search reads the names once.
    const rows = await page.select(sql<number>`count(*) over ()`.as('count')).execute();
    const count = rows[0]?.count ?? (wish.offset === 0 ? 0 : await countOf(matching));
    return { artifacts: await readArtifacts(read, idsOf(rows)), count: Number(count) };
  }
  const isPlain = wish.conditions.length === 0 && scope.latestOnly !== true;
  const count = isPlain ? await keptCount(read, scope) : await countOf(matching);
  return { artifacts: await readArtifacts(read, idsOf(await page.execute())), count };
}

async function countOf(matching: SelectQueryBuilder<Schema, 'artifact', object>): Promise<number> {
  const { count } = await matching.select((select) => select.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
  return Number(count);
}

/** One artifact by digest, listed or not. */
export async function findArtifact(read: Kysely<Schema>, repositoryId: number, digest: Digest): Promise<ArtifactRecord | undefined> {
  const row = await read
    .selectFrom('manifest')
    .select('id')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('state', '=', 'live')
    .executeTakeFirst();
  return row === undefined ? undefined : (await readArtifacts(read, [row.id]))[0];
}

/** The digest a tag points to; undefined also when its registry has no such tag any more. */
export async function findTaggedDigest(read: Kysely<Schema>, repositoryId: number, tag: string): Promise<Digest | undefined> {
  const row = await read
    .selectFrom('tag')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', tag)
    .where('removed_at_ms', 'is', null)
    .executeTakeFirst();
  return row?.digest as Digest | undefined;
}

/** Ids of the manifests of a repository that are here, by digest. */
export async function readManifestIds(
  read: Kysely<Schema>,
  repositoryId: number,
  digests: readonly Digest[],
): Promise<ReadonlyMap<string, number>> {
  if (digests.length === 0) return new Map();
  const rows = await read
    .selectFrom('manifest')
    .select(['id', 'digest'])
    .where('repository_id', '=', repositoryId)
    .where('digest', 'in', digests)
    .execute();
  return new Map(rows.map(({ id, digest }) => [digest, id]));
}

/** What is an accessory of a digest, by its id, and how many there are. */
export async function listAccessoryPage(
  read: Kysely<Schema>,
  args: { repositoryId: number; subject: Digest; offset: number; limit: number; descending?: boolean },
): Promise<{ accessories: ArtifactRecord[]; count: number }> {
  const matching = read
    .selectFrom('artifact')
    .where('repository_id', '=', args.repositoryId)
    .where('subject_digest', '=', args.subject)
    .where('subject_digest', 'is not', null);
  const { count } = await matching.select((select) => select.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
  const rows = await matching
    .select('manifest_id as id')
    .orderBy('manifest_id', args.descending === true ? 'desc' : 'asc')
    .limit(args.limit)
    .offset(args.offset)
    .execute();
  return { accessories: await readArtifacts(read, idsOf(rows)), count: Number(count) };
}

function idsOf(rows: readonly { readonly id: number }[]): number[] {
  return rows.map(({ id }) => id);
}

/** The artifacts of these ids, in this order. */
async function readArtifacts(read: Kysely<Schema>, ids: readonly number[]): Promise<ArtifactRecord[]> {
  if (ids.length === 0) return [];
  const rows = await read
    .selectFrom('artifact')
    .innerJoin('manifest', 'manifest.id', 'artifact.manifest_id')
    .select((select) => [
      'artifact.manifest_id as id',
      'artifact.project_id as projectId',
      'artifact.repository_id as repositoryId',
      select.selectFrom('repository').select('repository.name').whereRef('repository.id', '=', 'artifact.repository_id').as('repository'),
      'manifest.digest as digest',
      'manifest.media_type as mediaType',
      'artifact.config_media_type as configMediaType',
      'manifest.artifact_type as artifactType',
      'artifact.kind as kind',
      'artifact.size_bytes as sizeBytes',
      'artifact.subject_digest as subject',
      'artifact.tag_count as tagCount',
      'artifact.pushed_at_ms as pushedAtMs',
      'artifact.pulled_at_ms as pulledAtMs',
      'manifest.annotations as annotations',
      select
        .selectFrom('manifest_ref')
        .select('manifest_ref.digest')
        .whereRef('manifest_ref.manifest_id', '=', 'artifact.manifest_id')
        .where('manifest_ref.kind', '=', 'config')
        .limit(1)
        .as('configDigest'),
      select
        .case()
        .when('manifest.media_type', 'in', [mediaTypes.ociIndex, mediaTypes.dockerList])
        .then(select.ref('manifest.bytes'))
        .else(null)
        .end()
        .as('index'),
    ])
    .where('artifact.manifest_id', 'in', ids)
    .$castTo<ArtifactRecord>()
    .execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

/** The kept number of listed artifacts: of the repository, or summed over those of the project. */
async function keptCount(read: Kysely<Schema>, scope: ArtifactScope): Promise<number> {
  let query = read.selectFrom('repository').select((select) => select.fn.sum<number | string | null>('artifact_count').as('sum'));
  if (scope.repositoryId !== undefined) query = query.where('id', '=', scope.repositoryId);
  if (scope.projectId !== undefined) query = query.where('project_id', '=', scope.projectId);
  const { sum } = await query.executeTakeFirstOrThrow();
  return Number(sum ?? 0);
}

/** Conditions on tags and labels, which artifacts have several of, and on the columns. */
function artifactConditions(
  conditions: readonly ListCondition<ArtifactField>[],
  scope: ArtifactScope,
  dialect: ListReader['dialect'],
): RawBuilder<boolean> {
  const parts = conditions.map((condition): RawBuilder<boolean> => {
    if (condition.field === 'tags') return tagCondition(condition, scope, dialect);
    if (condition.field === 'labels') return labelCondition(condition);
    if (condition.field === 'digest' && condition.kind === 'exact' && scope.repositoryId !== undefined)
      return sql<boolean>`artifact.manifest_id = (
        select id from manifest where repository_id = ${scope.repositoryId} and digest = ${condition.value})`;
    return conditionsOf([condition], columns, dialect);
  });
  return parts.length === 0 ? sql<boolean>`1 = 1` : sql<boolean>`(${sql.join(parts, sql` and `)})`;
}

/** `*`: tagged ones; `nil`: untagged ones; else by the name of a tag. */
function tagCondition(condition: ListCondition<ArtifactField>, scope: ArtifactScope, dialect: ListReader['dialect']): RawBuilder<boolean> {
  if (condition.kind === 'exact' && condition.value === '*') return sql<boolean>`artifact.tag_count > 0`;
  if (condition.kind === 'exact' && condition.value === 'nil') return sql<boolean>`artifact.tag_count = 0`;
  const named = conditionsOf([{ ...condition, field: 'name' }], { name: sql.ref('tag.name') }, dialect);
  // The index with the names in it: a search reads names, and the rows of those that match.
  const tags = dialect === 'sqlite' ? sql`tag indexed by tag_order` : sql`tag`;
  const within = (column: RawBuilder<unknown>): RawBuilder<boolean> =>
    scope.repositoryId === undefined
      ? sql<boolean>`${column} in (select id from repository where project_id = ${scope.projectId ?? 0})`
      : sql<boolean>`${column} = ${scope.repositoryId}`;
  if (condition.kind === 'exact')
    return sql<boolean>`artifact.manifest_id in (
      select (select manifest.id from manifest where manifest.repository_id = tag.repository_id and manifest.digest = tag.digest)
      from tag where ${within(sql.ref('tag.repository_id'))} and tag.removed_at_ms is null and ${named})`;
  return sql<boolean>`artifact.manifest_id in (
    select manifest.id from manifest where ${within(sql.ref('manifest.repository_id'))} and manifest.digest in (
      select tag.digest from ${tags} where ${within(sql.ref('tag.repository_id'))} and tag.removed_at_ms is null and ${named}))`;
}

function labelCondition(condition: ListCondition<ArtifactField>): RawBuilder<boolean> {
  const ids = 'values' in condition ? condition.values : 'value' in condition ? [condition.value] : [];
  const parts = ids.map(
    (id) =>
      sql<boolean>`exists (select 1 from artifact_label where artifact_label.manifest_id = artifact.manifest_id and label_id = ${id})`,
  );
  return parts.length === 0 ? sql<boolean>`1 = 1` : sql<boolean>`(${sql.join(parts, sql` and `)})`;
}
