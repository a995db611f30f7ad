// How many bytes of blobs projects hold, read a stretch of digests at a time: a blob counts once in a project however many repositories show it, and once in the total.

import { type Kysely, sql } from 'kysely';
import type { Schema } from './schema.ts';

/** The last digest of the stretch of `count` blobs that begins after `after`; undefined for the last stretch. */
export async function findUsageStretch(
  read: Kysely<Schema>,
  { after, count }: { after: string; count: number },
): Promise<string | undefined> {
  const row = await read
    .selectFrom('blob')
    .select('digest')
    .where('digest', '>', after)
    .orderBy('digest')
    .offset(count - 1)
    .limit(1)
    .executeTakeFirst();
  return row?.digest;
}

/** The bytes of the blobs of one stretch, by project; under the id 0 those of all that some project shows. */
export async function readUsage(
  read: Kysely<Schema>,
  { after, through }: { after: string; through: string | undefined },
): Promise<readonly { readonly projectId: number; readonly sizeBytes: number }[]> {
  const end = through === undefined ? sql`1 = 1` : sql`blob.digest <= ${through}`;
  const shown = sql`select distinct blob.digest as digest, blob.size_bytes as size_bytes, repository.project_id as project_id
    from blob join repository_blob on repository_blob.digest = blob.digest join repository on repository.id = repository_blob.repository_id
    where blob.digest > ${after} and ${end}`;
  const { rows } = await sql<{ project_id: number; bytes: number }>`with shown as (${shown})
    select project_id, sum(size_bytes) as bytes from shown group by project_id
    union all select 0, coalesce(sum(size_bytes), 0) from (select distinct digest, size_bytes from shown) as once`.execute(read);
  return rows.map(({ project_id, bytes }) => ({ projectId: Number(project_id), sizeBytes: Number(bytes) }));
}
