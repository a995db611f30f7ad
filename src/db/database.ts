// The database port. Reads are queries on the serving thread, writes are named commands (commands.ts); nothing else writes.
// Two implementations: sqlite.ts (one writer Worker, group commit) and postgres.ts (pool).

import type { Kysely } from 'kysely';
import type { CommandArguments, CommandName, CommandResult } from './commands.ts';
import type { Dialect } from './context.ts';
import type { Preparer } from './prepared.ts';
import type { Schema } from './schema.ts';

export interface Database extends Preparer {
  readonly dialect: Dialect;
  /** For queries that are not on the hot path. Never write through it. */
  readonly read: Kysely<Schema>;
  /**
   * Runs a command in a transaction and answers after its commit is durable. Throws what the command throws (OciError) with nothing
   * changed. Answers in any order; two commands never interleave on one row.
   */
  run<N extends CommandName>(name: N, args: CommandArguments<N>): Promise<CommandResult<N>>;
  /** Waits for commands under way, then closes. */
  close(): Promise<void>;
}
