// Schema step: ids of custom roles begin after those of Harbor's; administrators are found among many accounts; members of a project and
// of a group are read in order.

import { type Kysely, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export async function addAccess(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  if (dialect === 'postgres') await sql`alter table role alter column id restart with 100`.execute(db);
  else
    await sql`insert into sqlite_sequence (name, seq) select 'role', 99 where not exists (select 1 from sqlite_sequence where name = 'role')`.execute(
      db,
    );
  await sql`drop index account_group_group`.execute(db);
  await sql`create index account_group_group on account_group (group_id, account_id)`.execute(db);
  await sql`create index account_admin on account (id) where is_admin = 1`.execute(db);
  await sql`create index project_member_order on project_member (project_id, id)`.execute(db);
}
