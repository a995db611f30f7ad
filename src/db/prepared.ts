// Queries compiled once, whose values alone change: for the paths that every pull takes.

import type { CompiledQuery, Kysely } from 'kysely';
import type { Schema } from './schema.ts';

export type QueryValue = string | number | null;

/** A query compiled once; only its values change. For the paths that every pull takes. */
export interface PreparedQuery<P, R> {
  all(values: P): Promise<R[]>;
  /** The first row. */
  first(values: P): Promise<R | undefined>;
}

export type QueryBuilder<P, R> = (read: Kysely<Schema>, value: <K extends keyof P & string>(name: K) => P[K]) => CompiledQuery<R>;

export interface Preparer {
  prepare<P extends Record<string, QueryValue>, R>(build: QueryBuilder<P, R>): PreparedQuery<P, R>;
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
