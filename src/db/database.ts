// The database port. Reads are queries on the serving thread, writes are named commands (commands.ts); nothing else writes.
// Two implementations: sqlite.ts (one writer Worker, group commit) and postgres.ts (pool).

import type { CompiledQuery, Kysely } from 'kysely';
import type { CommandArguments, CommandName, CommandResult } from './commands.ts';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

export type QueryValue = string | number | null;

/** A query compiled once; only its values change. For the paths that every pull takes. */
export interface PreparedQuery<P, R> {
  all(values: P): Promise<R[]>;
  /** The first row. */
  first(values: P): Promise<R | undefined>;
}

export type QueryBuilder<P, R> = (read: Kysely<Schema>, value: <K extends keyof P & string>(name: K) => P[K]) => CompiledQuery<R>;

export interface Database {
  readonly dialect: Dialect;
  /** For queries that are not on the hot path. Never write through it. */
  readonly read: Kysely<Schema>;
  prepare<P extends Record<string, QueryValue>, R>(build: QueryBuilder<P, R>): PreparedQuery<P, R>;
  /**
   * Runs a command in a transaction and answers after its commit is durable. Throws what the command throws (OciError) with nothing
   * changed. Answers in any order; two commands never interleave on one row.
   */
  run<N extends CommandName>(name: N, args: CommandArguments<N>): Promise<CommandResult<N>>;
  /** Waits for commands under way, then closes. */
  close(): Promise<void>;
}

/** Replaces the markers that stand for values in a compiled query: their names, in the order of the parameters. */
export function compileTemplate<P extends Record<string, QueryValue>, R>(
  read: Kysely<Schema>,
  build: QueryBuilder<P, R>,
): { readonly sql: string; bind(values: P): QueryValue[] } {
  const compiled = build(read, (name) => new Marker(name) as never);
  const slots = compiled.parameters.map((parameter) => (parameter instanceof Marker ? parameter : (parameter as QueryValue)));
  return {
    sql: compiled.sql,
    bind: (values) => slots.map((slot) => (slot instanceof Marker ? (values[slot.name] ?? null) : slot)),
  };
}

class Marker {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
