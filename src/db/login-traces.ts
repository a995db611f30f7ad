// What is remembered of logins, so that all servers of a database count alike: failures by place, and places that have seen a success. A place
// is a text that names an account and a network, or a network alone (auth/throttle.ts). The table is bounded: rows expire, and beyond
// a number of them the ones that expire first are dropped.

import { sql } from 'kysely';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';

/** Rows looked at, at most, by one sweep. */
const sweepMax = 1000;
/** Of the advisory lock of PostgreSQL that writers of this table hold. */
const tracesLock = 0x42570002;

export interface LoginTrace {
  readonly failures: number;
  readonly failedAtMs: number;
  /** 0: never. */
  readonly succeededAtMs: number;
}

export interface LoginTraceChange {
  readonly place: string;
  /** Failures to add to those that are not older than `windowMs`. */
  readonly failures: number;
  readonly windowMs: number;
  readonly failedAtMs: number;
  /** Set: the failures before are forgotten, the success is remembered; `failures` came after it. */
  readonly succeededAtMs?: number;
  readonly expiresAtMs: number;
}

export function prepareLoginTraceQuery(database: Preparer): (place: string) => Promise<LoginTrace | undefined> {
  type Row = { failures: number; failed_at_ms: number; succeeded_at_ms: number };
  const query = database.prepare<{ place: string }, Row>((read, value) =>
    read.selectFrom('login_trace').select(['failures', 'failed_at_ms', 'succeeded_at_ms']).where('place', '=', value('place')).compile(),
  );
  return async (place) => {
    const row = await query.first({ place });
    return row === undefined ? undefined : { failures: row.failures, failedAtMs: row.failed_at_ms, succeededAtMs: row.succeeded_at_ms };
  };
}

/** Writes what has gathered since the last time, a batch at once. */
export async function recordLogins({ trx, dialect }: CommandContext, args: { changes: readonly LoginTraceChange[] }): Promise<void> {
  // Rows are read and written: servers do that one after the other, and none waits for another's rows in another order.
  if (dialect === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(tracesLock)})`.execute(trx);
  for (const change of args.changes) {
    const { place, failures, failedAtMs, succeededAtMs = 0, expiresAtMs } = change;
    const found = await trx
      .selectFrom('login_trace')
      .select(['failures', 'failed_at_ms', 'succeeded_at_ms', 'expires_at_ms'])
      .where('place', '=', place)
      .executeTakeFirst();
    const counted = found !== undefined && found.failed_at_ms > failedAtMs - change.windowMs ? found.failures : 0;
    const row = {
      failures: succeededAtMs > 0 ? failures : counted + failures,
      failed_at_ms: Math.max(failures > 0 ? failedAtMs : 0, found?.failed_at_ms ?? 0),
      succeeded_at_ms: Math.max(succeededAtMs, found?.succeeded_at_ms ?? 0),
      expires_at_ms: Math.max(expiresAtMs, found?.expires_at_ms ?? 0),
    };
    await trx
      .insertInto('login_trace')
      .values({ place, ...row })
      .onConflict((conflict) => conflict.column('place').doUpdateSet(row))
      .execute();
  }
}

/** Deletes rows that have expired, then those that expire first beyond `max`, at most a thousand at a time. Gives how many. */
export async function sweepLogins({ trx, nowMs }: CommandContext, args: { max: number }): Promise<number> {
  const expired = await trx
    .selectFrom('login_trace')
    .select('place')
    .where('expires_at_ms', '<=', nowMs)
    .orderBy('expires_at_ms')
    .limit(sweepMax)
    .execute();
  // The row `max` places from the end of the index: what expires before it is too many.
  const edge = await trx
    .selectFrom('login_trace')
    .select('expires_at_ms')
    .orderBy('expires_at_ms', 'desc')
    .offset(args.max)
    .limit(1)
    .executeTakeFirst();
  const surplus =
    edge === undefined
      ? []
      : await trx
          .selectFrom('login_trace')
          .select('place')
          .where('expires_at_ms', '<=', edge.expires_at_ms)
          .orderBy('expires_at_ms')
          .limit(sweepMax)
          .execute();
  const places = [...new Set([...expired, ...surplus].map((row) => row.place))];
  for (const place of places) await trx.deleteFrom('login_trace').where('place', '=', place).execute();
  return places.length;
}
