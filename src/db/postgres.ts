// The database port on PostgreSQL: reads in one pool, commands in another, so that commits waiting for a disk hold up no read. A command is a
// READ COMMITTED transaction with row locks where the command asks for them, repeated when PostgreSQL says so. Refuses a server that does
// not make commits durable.

import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { OciError } from '../oci/errors.ts';
import { createCommandGate } from './command-gate.ts';
import { type CommandArguments, type CommandName, type CommandResult, runCommand } from './commands.ts';
import type { Database } from './database.ts';
import { migrate } from './migrations.ts';
import { compileTemplate, type PreparedQuery, type QueryBuilder, type QueryValue } from './prepared.ts';
import type { Schema } from './schema.ts';

export interface PostgresOptions {
  /** postgres://user:password@host:port/database */
  readonly url: string;
  /** Connections at most, half of them for reads; at least 2. Default 20. */
  readonly connectionsMax?: number;
}

const attemptsMax = 6;
const statementTimeoutMs = 5000;
const connectionTimeoutMs = 5000;

/** Connects and brings the schema up to date. Throws, with nothing left open, when it cannot. */
export async function openPostgresDatabase(options: PostgresOptions): Promise<Database> {
  const connectionsMax = options.connectionsMax ?? 20;
  const writePool = createPool(options.url, Math.ceil(connectionsMax / 2), {});
  const readPool = createPool(options.url, Math.max(1, Math.floor(connectionsMax / 2)), { options: '-c default_transaction_read_only=on' });
  const write = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: writePool }) });
  const read = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: readPool }) });
  const gate = createCommandGate();
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= gate.close().then(async () => {
      await Promise.all([readPool.end(), writePool.end()]);
    });
    return closed;
  };
  try {
    await assertDurable(write);
    await migrate(write, 'postgres');
  } catch (error) {
    await close();
    throw error;
  }
  let nextName = 1;
  return {
    dialect: 'postgres',
    read,
    prepare: <P extends Record<string, QueryValue>, R>(build: QueryBuilder<P, R>): PreparedQuery<P, R> => {
      const template = compileTemplate(read, build);
      const name = `breakwater_${nextName++}`;
      const all = async (values: P): Promise<R[]> =>
        (await readPool.query({ name, text: template.sql, values: template.bind(values) })).rows as R[];
      return { all, first: async (values) => (await all(values))[0] };
    },
    run: <N extends CommandName>(name: N, args: CommandArguments<N>) =>
      gate.run(args, () => runWithRetry(write, name, args) as Promise<CommandResult<N>>),
    close,
  };
}

function createPool(connectionString: string, max: number, more: { readonly options?: string }): pg.Pool {
  const types = new pg.TypeOverrides();
  types.setTypeParser(pg.types.builtins.INT8, Number);
  const pool = new pg.Pool({
    connectionString,
    max,
    connectionTimeoutMillis: connectionTimeoutMs,
    statement_timeout: statementTimeoutMs,
    types,
    ...more,
  });
  // A connection that breaks while idle is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => undefined);
  return pool;
}

async function runWithRetry(db: Kysely<Schema>, name: CommandName, args: unknown): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    let hasBegun = false;
    try {
      return await db.transaction().execute((trx) => {
        hasBegun = true;
        return runCommand({ trx, dialect: 'postgres', nowMs: Date.now() }, name, args);
      });
    } catch (error) {
      if (error instanceof OciError) throw error;
      // Nothing was sent, so this is a coded refusal. An error after the beginning is not: the commit may have arrived.
      if (!hasBegun) throw new OciError('UNAVAILABLE', 'the database gives no connection', { cause: error, retryAfterMs: 1000 });
      if (!isRetryable(error) || attempt === attemptsMax) throw error;
      await Bun.sleep(2 ** attempt * (1 + Math.random()));
    }
  }
}

/** Serialization failure, deadlock, and a unique violation of two writers that met (the second one sees the first's row next time). */
function isRetryable(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return code === '40001' || code === '40P01' || code === '23505';
}

async function assertDurable(db: Kysely<Schema>): Promise<void> {
  for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit'] as const) {
    const { rows } = await sql<{ value: string }>`select current_setting(${setting}) as value`.execute(db);
    if (rows[0]?.value === 'off')
      throw new Error(`PostgreSQL runs with ${setting}=off, which loses acknowledged pushes at a power cut; turn it on`);
  }
}
