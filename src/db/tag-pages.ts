// All tags of the server, page by page, for checks that go over everything.

import type { Kysely } from 'kysely';
import type { Schema } from './schema.ts';

export interface TagOnPage {
  readonly id: number;
  readonly repository: string;
  readonly tag: string;
}

/** Tags behind the id `after` (0: from the first), by id. */
export async function listTagPage(read: Kysely<Schema>, args: { after: number; limit: number }): Promise<TagOnPage[]> {
  return read
    .selectFrom('tag')
    .innerJoin('repository', 'repository.id', 'tag.repository_id')
    .select(['tag.id as id', 'repository.name as repository', 'tag.name as tag'])
    .where('tag.id', '>', args.after)
    .orderBy('tag.id')
    .limit(args.limit)
    .execute();
}
