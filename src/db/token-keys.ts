// The keys that sign registry tokens, shared by all servers of a database. A handful of rows: the signing one, and those that were replaced less
// than the life of a token ago. Private keys arrive here sealed.

import { type Kysely, sql } from 'kysely';
import type { CommandContext } from './context.ts';
import type { Schema } from './schema.ts';

/** Of the advisory lock of PostgreSQL that whoever adds a key holds. */
const keysLock = 0x42570003;

export interface StoredTokenKey {
  readonly id: string;
  /** A sealed JWK. */
  readonly privateKey: string;
  readonly createdAtMs: number;
  /** From then on what it signed is worth nothing; null: it is not replaced. */
  readonly retiresAtMs: number | null;
}

/** The youngest first. */
export async function listTokenKeys(read: Kysely<Schema>): Promise<StoredTokenKey[]> {
  return read
    .selectFrom('token_key')
    .select(['id', 'private_key as privateKey', 'created_at_ms as createdAtMs', 'retires_at_ms as retiresAtMs'])
    .orderBy('created_at_ms', 'desc')
    .orderBy('id')
    .limit(64)
    .execute();
}

/**
 * Adds a key and lets the others retire at `othersRetireAtMs`; those that have retired are deleted. Nothing is done, and false given, when
 * another server has added one meanwhile: the youngest is not `youngest` any more (null: there is none).
 */
export async function addTokenKey(
  { trx, nowMs, dialect }: CommandContext,
  args: { id: string; privateKey: string; youngest: string | null; othersRetireAtMs: number },
): Promise<boolean> {
  // There may be no row to lock yet.
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(keysLock)})`.execute(trx);
  const [found] = await listTokenKeys(trx);
  if ((found?.id ?? null) !== args.youngest) return false;
  await trx
    .updateTable('token_key')
    .set({ retires_at_ms: args.othersRetireAtMs })
    .where((where) => where.or([where('retires_at_ms', 'is', null), where('retires_at_ms', '>', args.othersRetireAtMs)]))
    .execute();
  await trx.deleteFrom('token_key').where('retires_at_ms', '<=', nowMs).execute();
  // Later than the others, also when two are made within a millisecond or the clock was set back: the youngest signs.
  const createdAtMs = Math.max(nowMs, (found?.createdAtMs ?? 0) + 1);
  await trx
    .insertInto('token_key')
    .values({ id: args.id, private_key: args.privateKey, created_at_ms: createdAtMs, retires_at_ms: null })
    .execute();
  return true;
}
