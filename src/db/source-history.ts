// How sources did, minute by minute for a day and hour by hour for 90 days: the table, the one command that adds to it, and its reads.
// Rows exist only for minutes and hours in which a source was asked. Their number is bounded: what is too old goes with every write.

import { type Kysely, sql } from 'kysely';
import type { CommandContext, Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export const minuteMs = 60_000;
export const hourMs = 3_600_000;
const keptMs = { [minuteMs]: 24 * hourMs, [hourMs]: 90 * 24 * hourMs } as const;

/** Upper bounds of the classes that times to the first byte are counted in; the last class is above all of them. */
export const latencyBoundsMs = [
  5, 10, 20, 35, 50, 75, 100, 150, 200, 350, 500, 750, 1_000, 1_500, 2_000, 3_500, 5_000, 10_000, 20_000,
] as const;

/** What happened in some span of time. */
export interface SourceActivity {
  readonly requests: number;
  /** Of them those that were answered as a registry does, also with "not here" or "not for you". */
  readonly ok: number;
  readonly bytes: number;
  /** One count for each class of `latencyBoundsMs`, and one more. */
  readonly latencies: readonly number[];
  readonly verdicts: Readonly<Record<string, number>>;
}
export interface SourceBucket extends SourceActivity {
  /** Its beginning. */
  readonly atMs: number;
}
export interface SourceActivityRecord extends SourceActivity {
  /** The source's key (registry and URL). */
  readonly source: string;
  /** Any time in it. */
  readonly atMs: number;
}

export async function addSourceHistory(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  await sql`create table source_history (
    source ${text} not null, span_ms ${number} not null, at_ms ${number} not null, requests ${number} not null, ok ${number} not null,
    bytes ${number} not null, latencies ${text} not null, verdicts ${text} not null, primary key (source, span_ms, at_ms))`.execute(db);
  await sql`create index source_history_age on source_history (span_ms, at_ms)`.execute(db);
}

/** Adds what happened to the minute and the hour it happened in, and forgets what is too old. */
export async function recordSourceHistory(
  { trx, nowMs }: CommandContext,
  args: { activities: readonly SourceActivityRecord[] },
): Promise<void> {
  for (const activity of args.activities) {
    for (const spanMs of [minuteMs, hourMs]) {
      const key = { source: activity.source, span_ms: spanMs, at_ms: Math.floor(activity.atMs / spanMs) * spanMs };
      const before = await trx
        .selectFrom('source_history')
        .selectAll()
        .where('source', '=', key.source)
        .where('span_ms', '=', key.span_ms)
        .where('at_ms', '=', key.at_ms)
        .executeTakeFirst();
      const sum = before === undefined ? activity : addActivity(toBucket(before), activity);
      const values = {
        requests: sum.requests,
        ok: sum.ok,
        bytes: sum.bytes,
        latencies: JSON.stringify(sum.latencies),
        verdicts: JSON.stringify(sum.verdicts),
      };
      await trx
        .insertInto('source_history')
        .values({ ...key, ...values })
        .onConflict((conflict) => conflict.columns(['source', 'span_ms', 'at_ms']).doUpdateSet(values))
        .execute();
    }
  }
  for (const spanMs of [minuteMs, hourMs] as const) {
    await trx
      .deleteFrom('source_history')
      .where('span_ms', '=', spanMs)
      .where('at_ms', '<', nowMs - keptMs[spanMs])
      .execute();
  }
}

/** The buckets of a source from a time on, the oldest first: at most 1,440 minutes or 2,160 hours. */
export async function readSourceHistory(
  read: Kysely<Schema>,
  key: { readonly source: string; readonly spanMs: number; readonly sinceMs: number },
): Promise<SourceBucket[]> {
  const rows = await read
    .selectFrom('source_history')
    .selectAll()
    .where('source', '=', key.source)
    .where('span_ms', '=', key.spanMs)
    .where('at_ms', '>=', key.sinceMs)
    .orderBy('at_ms')
    .execute();
  return rows.map(toBucket);
}

/** The sum of a source's hours from a time on. */
export async function sumSourceHistory(
  read: Kysely<Schema>,
  key: { readonly source: string; readonly sinceMs: number },
): Promise<{ readonly requests: number; readonly ok: number }> {
  const row = await read
    .selectFrom('source_history')
    .select((expression) => [expression.fn.sum<number>('requests').as('requests'), expression.fn.sum<number>('ok').as('ok')])
    .where('source', '=', key.source)
    .where('span_ms', '=', hourMs)
    .where('at_ms', '>=', key.sinceMs)
    .executeTakeFirst();
  return { requests: Number(row?.requests ?? 0), ok: Number(row?.ok ?? 0) };
}

export function addActivity(one: SourceActivity, other: SourceActivity): SourceActivity {
  const verdicts: Record<string, number> = { ...one.verdicts };
  for (const [verdict, count] of Object.entries(other.verdicts)) verdicts[verdict] = (verdicts[verdict] ?? 0) + count;
  return {
    requests: one.requests + other.requests,
    ok: one.ok + other.ok,
    bytes: one.bytes + other.bytes,
    latencies: Array.from(
      { length: latencyBoundsMs.length + 1 },
      (_, place) => (one.latencies[place] ?? 0) + (other.latencies[place] ?? 0),
    ),
    verdicts,
  };
}

function toBucket(row: Schema['source_history']): SourceBucket {
  return {
    atMs: Number(row.at_ms),
    requests: Number(row.requests),
    ok: Number(row.ok),
    bytes: Number(row.bytes),
    latencies: JSON.parse(row.latencies) as number[],
    verdicts: JSON.parse(row.verdicts) as Record<string, number>,
  };
}
