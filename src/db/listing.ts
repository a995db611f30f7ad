// What a list may be asked for, as values: conditions on named fields, an order, a stretch of rows; and how they become SQL. A field is a name
// that its list knows, never text from a request: the caller maps each to one column or expression, and values go as parameters.
// The parser of what clients send is `api/listing.ts`.

import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

/** The database as lists need it. */
export interface ListReader {
  readonly read: Kysely<Schema>;
  readonly dialect: Dialect;
}
export type ListValue = string | number | boolean;
/** Times are milliseconds since 1970. `any`: one of the values; `all`: every one of them, for fields that hold several. */
export type ListCondition<F extends string = string> =
  | { readonly field: F; readonly kind: 'exact'; readonly value: ListValue }
  | { readonly field: F; readonly kind: 'part'; readonly value: string }
  | { readonly field: F; readonly kind: 'range'; readonly min?: number; readonly max?: number }
  | { readonly field: F; readonly kind: 'any' | 'all'; readonly values: readonly ListValue[] };
export interface ListOrder<F extends string = string> {
  readonly field: F;
  readonly descending: boolean;
}
export interface ListWish<F extends string = string, S extends string = F> {
  readonly conditions: readonly ListCondition<F>[];
  readonly order: readonly ListOrder<S>[];
  readonly offset: number;
  readonly limit: number;
}

/** The columns or expressions that a list's fields mean. */
export type ListColumns<F extends string> = Readonly<Record<F, RawBuilder<unknown>>>;

/** The conditions as SQL, for `where`; true when there are none. */
export function conditionsOf<F extends string>(
  conditions: readonly ListCondition<F>[],
  columns: ListColumns<F>,
  dialect: Dialect,
): RawBuilder<boolean> {
  const parts = conditions.map((condition) => conditionOf(condition, columns, dialect));
  return parts.length === 0 ? sql<boolean>`1 = 1` : sql<boolean>`(${sql.join(parts, sql` and `)})`;
}

/** The order as SQL, for `orderBy`: as wished, then by the last field given, so that pages never overlap. */
export function orderOf<S extends string>(
  order: readonly ListOrder<S>[],
  columns: ListColumns<S>,
  last: ListOrder<S>,
): RawBuilder<unknown> {
  const all = order.some(({ field }) => field === last.field) ? order : [...order, last];
  return sql.join(all.map(({ field, descending }) => (descending ? sql`${columns[field]} desc` : sql`${columns[field]}`)));
}

/** The condition as SQL. Text is compared as it is; a part of it whatever its case in ASCII. */
function conditionOf<F extends string>(condition: ListCondition<F>, columns: ListColumns<F>, dialect: Dialect): RawBuilder<boolean> {
  const column = columns[condition.field];
  switch (condition.kind) {
    case 'exact':
      return sql<boolean>`${column} = ${stored(condition.value)}`;
    case 'part':
      return containsText(column, condition.value, dialect);
    case 'range': {
      const parts: RawBuilder<boolean>[] = [];
      if (condition.min !== undefined) parts.push(sql<boolean>`${column} >= ${condition.min}`);
      if (condition.max !== undefined) parts.push(sql<boolean>`${column} <= ${condition.max}`);
      return parts.length === 0 ? sql<boolean>`1 = 1` : sql<boolean>`(${sql.join(parts, sql` and `)})`;
    }
    case 'any':
      return sql<boolean>`${column} in (${sql.join(condition.values.map(stored))})`;
    case 'all':
      return sql<boolean>`(${sql.join(
        condition.values.map((value) => sql`${column} = ${stored(value)}`),
        sql` and `,
      )})`;
  }
}

/** Whether the text is in the column, with `%`, `_` and `\` of the text taken as themselves. */
export function containsText(column: RawBuilder<unknown>, part: string, dialect: Dialect): RawBuilder<boolean> {
  const pattern = `%${part.replace(/[\\%_]/g, (special) => `\\${special}`)}%`;
  return dialect === 'postgres'
    ? sql<boolean>`${column} ilike ${pattern} escape '\\'`
    : sql<boolean>`${column} like ${pattern} escape '\\'`;
}

function stored(value: ListValue): string | number {
  return typeof value === 'boolean' ? Number(value) : value;
}
