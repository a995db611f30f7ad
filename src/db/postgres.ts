// The database port on PostgreSQL: reads and commands in one pool, each command a READ COMMITTED transaction with row locks where the
// command asks for them, repeated when PostgreSQL says so. Refuses a server that does not make commits durable.

import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { OciError } from '../oci/errors.ts';
import { type CommandArguments, type CommandName, type CommandResult, runCommand } from './commands.ts';
import type { Database } from './database.ts';
import { migrate } from './migrations.ts';
import { compileTemplate, type PreparedQuery, type QueryBuilder, type QueryValue } from './prepared.ts';
import type { Schema } from './schema.ts';

export interface PostgresOptions {
  /** postgres://user:password@host:port/database */
  readonly url: string;
  readonly connectionsMax?: number;
}

const attemptsMax = 6;
const statementTimeoutMs = 5000;

export async function openPostgresDatabase(options: PostgresOptions): Promise<Database> {
  const types = new pg.TypeOverrides();
  types.setTypeParser(pg.types.builtins.INT8, Number);
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax ?? 20,
    connectionTimeoutMillis: 5000,
    statement_timeout: statementTimeoutMs,
    types,
  });
  // A connection that breaks while idle is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => undefined);
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  await assertDurable(db);
  await migrate(db, 'postgres');
  let nextName = 1;
  return {
    dialect: 'postgres',
    read: db,
    prepare: <P extends Record<string, QueryValue>, R>(build: QueryBuilder<P, R>): PreparedQuery<P, R> => {
      const template = compileTemplate(db, build);
      const name = `breakwater_${nextName++}`;
      const all = async (values: P): Promise<R[]> =>
        (await pool.query({ name, text: template.sql, values: template.bind(values) })).rows as R[];
      return { all, first: async (values) => (await all(values))[0] };
    },
    run: <N extends CommandName>(name: N, args: CommandArguments<N>) => runWithRetry(db, name, args) as Promise<CommandResult<N>>,
    close: () => db.destroy(),
  };
}

async function runWithRetry(db: Kysely<Schema>, name: CommandName, args: unknown): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute((trx) => runCommand({ trx, dialect: 'postgres', nowMs: Date.now() }, name, args));
    } catch (error) {
      if (error instanceof OciError || !isRetryable(error) || attempt === attemptsMax) throw error;
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
