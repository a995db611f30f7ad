// Another master key: everything sealed is opened with the old one and sealed with the new one, while no server runs. It can break off at any
// point and is then run again with the same key; done twice it changes nothing. In between no server starts (meta 'master-key-next').

import type { Database } from '../db/database.ts';
import { getMeta } from '../db/projects.ts';
import { listSealedRows, type SealedColumn, type SealedReplacement, sealedColumns } from '../db/sealed-columns.ts';
import { createSealer, type SealedPlace, sealedWith } from '../lib/seal.ts';
import { checkKey, MasterKeyError, nextKey, opensCheck, sealCheck } from './master-key.ts';

export interface Rewrapped {
  /** Id of the key that holds now. */
  readonly keyId: string;
  /** Values that were sealed anew by this run. */
  readonly values: number;
}

/** Rows in one command. */
const batchMax = 100;

/** Throws MasterKeyError when the old key is wrong or a change to a third one is unfinished, SealError (nothing was changed then) for a value that does not open. */
export async function rewrap(database: Database, keys: { readonly before: Uint8Array; readonly after: Uint8Array }): Promise<Rewrapped> {
  const [before, after] = [createSealer(keys.before), createSealer(keys.after)];
  const check = await getMeta(database.read, checkKey);
  if (check === undefined) throw new MasterKeyError('MASTER_KEY_MISSING', 'this database has no master key yet; start the server once');
  if (opensCheck(after, check)) return { keyId: after.keyId, values: 0 };
  if (!opensCheck(before, check))
    throw new MasterKeyError(
      'MASTER_KEY_WRONG',
      `this database is sealed with the master key ${sealedWith(check) ?? ''}, not with ${before.keyId}`,
    );
  const next = await getMeta(database.read, nextKey);
  if (next !== undefined && !opensCheck(after, next, nextKey))
    throw new MasterKeyError(
      'MASTER_KEY_REWRAP_UNFINISHED',
      `a change to the master key ${sealedWith(next) ?? ''} is unfinished; end it first`,
    );
  let values = 0;
  const renew = (sealed: string, place: SealedPlace): string => {
    if (sealedWith(sealed) === after.keyId) {
      after.open(sealed, place);
      return sealed;
    }
    values++;
    return after.seal(before.open(sealed, place), place);
  };
  const replacements = await renewAll(database, renew);
  if (next === undefined) await database.run('setMeta', { key: nextKey, value: sealCheck(after, nextKey) });
  for (let at = 0; at < replacements.length; at += batchMax)
    await database.run('replaceSealed', { replacements: replacements.slice(at, at + batchMax) });
  await database.run('finishRewrap', { checkKey, check: sealCheck(after), nextKey });
  return { keyId: after.keyId, values };
}

/** How many values each key sealed, by table. Opens none. */
export async function countSealed(read: Database['read']): Promise<readonly { table: string; keyId: string; values: number }[]> {
  const counts = new Map<string, { table: string; keyId: string; values: number }>();
  for (const column of sealedColumns) {
    for (const row of await listSealedRows(read, column)) {
      mapSealed(column, row, (sealed) => {
        const keyId = sealedWith(sealed) ?? '';
        const key = `${column.table} ${keyId}`;
        const known = counts.get(key) ?? { table: column.table, keyId, values: 0 };
        counts.set(key, { ...known, values: known.values + 1 });
        return sealed;
      });
    }
  }
  return [...counts.values()];
}

/** Everything is opened before anything is written. */
async function renewAll(database: Database, renew: (sealed: string, place: SealedPlace) => string): Promise<SealedReplacement[]> {
  const replacements: SealedReplacement[] = [];
  for (const [index, column] of sealedColumns.entries()) {
    for (const row of await listSealedRows(database.read, column)) {
      if (column.table === 'meta' && (row.key[0] === checkKey || row.key[0] === nextKey)) continue;
      const text = mapSealed(column, row, renew);
      if (text !== row.text) replacements.push({ column: index, key: row.key, before: row.text, after: text });
    }
  }
  return replacements;
}

/** The text of a column with every sealed value in it exchanged. */
function mapSealed(
  column: SealedColumn,
  { key, text }: { readonly key: readonly string[]; readonly text: string },
  change: (sealed: string, place: SealedPlace) => string,
): string {
  const placeOf = (field: string): SealedPlace => ({ table: column.table, row: key.join(' '), field });
  if (sealedWith(text) !== undefined) return change(text, placeOf(column.column));
  const walk = (value: unknown, field: string): unknown => {
    if (typeof value === 'string') return sealedWith(value) === undefined ? value : change(value, placeOf(field));
    if (Array.isArray(value)) return value.map((item, index) => walk(item, `${field}/${index}`));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, `${field}/${name}`)]));
  };
  return JSON.stringify(walk(JSON.parse(text), column.column));
}
