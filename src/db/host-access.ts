// Commands on the database file from beside a server, for what must work when nobody can log in any more. The server may run: SQLite lets two
// processes write in turn, and the commands are one short transaction. It must never change the schema, so it refuses a database of another version.

import { existsSync } from 'node:fs';
import type { Kysely } from 'kysely';
import type { CommandArguments, CommandName, CommandResult } from './commands.ts';
import { runCommand } from './commands.ts';
import { latestMigration } from './migrations.ts';
import type { Schema } from './schema.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import { assertSafeSqlite, openSqlite } from './sqlite-file.ts';
import { createStatements } from './sqlite-statements.ts';

export type RunCommand = <N extends CommandName>(name: N, args: CommandArguments<N>) => Promise<CommandResult<N>>;

/** Does the task in one transaction and gives its result once it is durable. Throws when there is no database, when it is of another version, or when it stays busy for 10 s. */
export async function runOnHost<T>(path: string, task: (run: RunCommand, nowMs: number) => Promise<T>): Promise<T> {
  assertSafeSqlite();
  if (!existsSync(path)) throw new Error(`there is no database ${path}; has a server been started on this folder?`);
  const file = openSqlite(path, 'writer');
  const statements = createStatements(file);
  const trx = kyselyOn(statements, { withTransactions: false });
  try {
    file.run('begin immediate');
    try {
      await requireSameVersion(trx);
      const nowMs = Date.now();
      const run: RunCommand = (name, args) => runCommand({ trx, dialect: 'sqlite', nowMs }, name, args) as Promise<never>;
      const result = await task(run, nowMs);
      file.run('commit');
      return result;
    } catch (error) {
      if (file.inTransaction) file.run('rollback');
      throw error;
    }
  } finally {
    statements.finalize();
    file.close();
  }
}

async function requireSameVersion(trx: Kysely<Schema>): Promise<void> {
  const migrations = (trx as unknown as Kysely<{ kysely_migration: { name: string } }>).selectFrom('kysely_migration');
  const last = await migrations.select('name').orderBy('name', 'desc').limit(1).executeTakeFirst();
  const known = latestMigration('sqlite');
  if (last?.name !== known)
    throw new Error(
      `the database is at step ${last?.name ?? 'none'} and this program at ${known}; use the program of the version that the server has`,
    );
}
