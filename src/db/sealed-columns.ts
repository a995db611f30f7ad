// Which columns hold sealed values (lib/seal.ts), so that all of them can be counted and sealed anew under another master key. A column is one
// sealed text, or JSON with sealed texts in it; the place of a value is its row and the way to it: `settings/bind_password`.

import { type Kysely, sql } from 'kysely';
import type { CommandContext } from './context.ts';
import { setMeta } from './projects.ts';
import type { Schema } from './schema.ts';

export interface SealedColumn {
  readonly table: keyof Schema;
  /** The columns that name the row in the place of its values, in this order; unique together, and never changed without sealing anew. */
  readonly row: readonly string[];
  readonly column: string;
}

/** Every column that holds sealed values has its line here. */
export const sealedColumns: readonly SealedColumn[] = [
  { table: 'meta', row: ['key'], column: 'value' },
  { table: 'source', row: ['registry', 'url'], column: 'credentials' },
  { table: 'identity_provider', row: ['name'], column: 'secret' },
  { table: 'token_key', row: ['id'], column: 'private_key' },
];

export interface SealedRow {
  readonly column: SealedColumn;
  /** Values of `column.row`. */
  readonly key: readonly string[];
  readonly text: string;
}

/** The rows of a column that hold at least one sealed value. They are few: settings, not content. */
export async function listSealedRows(read: Kysely<Schema>, column: SealedColumn): Promise<SealedRow[]> {
  const names = sql.join([...column.row, column.column].map((name) => sql.ref(name)));
  const holder = sql.ref(column.column);
  const found = await sql<Record<string, unknown>>`select ${names} from ${sql.table(column.table)}
    where ${holder} like 'v1:%' or ${holder} like '%"v1:%'`.execute(read);
  return found.rows.map((row) => ({
    column,
    key: column.row.map((name) => String(row[name])),
    text: String(row[column.column]),
  }));
}

export interface SealedReplacement {
  /** Index in `sealedColumns`. */
  readonly column: number;
  readonly key: readonly string[];
  readonly before: string;
  readonly after: string;
}

/** Puts other texts in place of those read; a row that was changed meanwhile is left alone. Gives the number of rows changed. */
export async function replaceSealed({ trx }: CommandContext, args: { replacements: readonly SealedReplacement[] }): Promise<number> {
  let count = 0;
  for (const { column: index, key, before, after } of args.replacements) {
    const column = sealedColumns[index];
    if (column === undefined) throw new Error(`there is no sealed column ${index}`);
    const conditions = column.row.map((name, place) => sql`${sql.ref(name)} = ${key[place] ?? ''}`);
    const holder = sql.ref(column.column);
    const result = await sql`update ${sql.table(column.table)} set ${holder} = ${after}
      where ${sql.join(conditions, sql` and `)} and ${holder} = ${before}`.execute(trx);
    count += Number(result.numAffectedRows ?? 0n);
  }
  return count;
}

/** The last step of a change of the master key: its check is in the place of the old one. */
export async function finishRewrap(context: CommandContext, args: { checkKey: string; check: string; nextKey: string }): Promise<void> {
  await setMeta(context, { key: args.checkKey, value: args.check });
  await context.trx.deleteFrom('meta').where('key', '=', args.nextKey).execute();
}
