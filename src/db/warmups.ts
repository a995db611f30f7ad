// Warm-up runs: what was asked for and what came of it, so that a run goes on after a restart and can be read after its end.

import type { Kysely } from 'kysely';
import type { CommandContext } from './context.ts';
import type { Schema, WarmupState } from './schema.ts';

/** Ended runs that are kept. */
const endedMax = 50;

export interface StoredWarmup {
  readonly id: string;
  readonly name: string | null;
  readonly state: WarmupState;
  /** JSON. */
  readonly spec: string;
  /** JSON; null while it is active. */
  readonly result: string | null;
  readonly createdAtMs: number;
  readonly endedAtMs: number | null;
}

export async function createWarmup({ trx, nowMs }: CommandContext, args: { id: string; name?: string; spec: string }): Promise<void> {
  await trx
    .insertInto('warmup')
    .values({
      id: args.id,
      name: args.name ?? null,
      state: 'active',
      spec: args.spec,
      result: null,
      created_at_ms: nowMs,
      ended_at_ms: null,
    })
    .execute();
}

/** Keeps what came of a run, and forgets the oldest ended ones beyond 50. */
export async function endWarmup(
  { trx, nowMs }: CommandContext,
  args: { id: string; state: Exclude<WarmupState, 'active'>; result: string },
): Promise<void> {
  const { id, state, result } = args;
  await trx.updateTable('warmup').set({ state, result, ended_at_ms: nowMs }).where('id', '=', id).execute();
  const old = await trx
    .selectFrom('warmup')
    .select('id')
    .where('state', '!=', 'active')
    .orderBy('id', 'desc')
    .limit(1000)
    .offset(endedMax)
    .execute();
  if (old.length === 0) return;
  await trx
    .deleteFrom('warmup')
    .where(
      'id',
      'in',
      old.map((row) => row.id),
    )
    .execute();
}

/** The runs there are, the youngest first, without their results. */
export async function listWarmups(read: Kysely<Schema>): Promise<StoredWarmup[]> {
  const rows = await select(read).orderBy('id', 'desc').limit(1000).execute();
  return rows.map((row) => ({ ...row, result: null }));
}

export async function findWarmup(read: Kysely<Schema>, id: string): Promise<StoredWarmup | undefined> {
  return select(read).select('result').where('id', '=', id).executeTakeFirst();
}

function select(read: Kysely<Schema>) {
  return read.selectFrom('warmup').select(['id', 'name', 'state', 'spec', 'created_at_ms as createdAtMs', 'ended_at_ms as endedAtMs']);
}
