// Settings of the server that were changed while it runs, by name; those that were not have no row. Which there are and what they mean:
// `registry/settings.ts`.

import type { Kysely } from 'kysely';
import type { CommandContext } from './context.ts';
import type { Schema } from './schema.ts';

/** JSON texts by name. */
export async function readSettings(read: Kysely<Schema>): Promise<ReadonlyMap<string, string>> {
  const rows = await read.selectFrom('setting').select(['name', 'value']).execute();
  return new Map(rows.map(({ name, value }) => [name, value]));
}

/** All of them or none. Values are JSON texts. */
export async function changeSettings(
  { trx, nowMs }: CommandContext,
  args: { readonly values: readonly { readonly name: string; readonly value: string }[] },
): Promise<void> {
  for (const { name, value } of args.values) {
    await trx
      .insertInto('setting')
      .values({ name, value, updated_at_ms: nowMs })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value, updated_at_ms: nowMs }))
      .execute();
  }
}
