// How lists are asked for over the admin API, as Harbor's clients do it: `page` and `page_size`, `sort=name,-creation_time`, and
// `q=k=v,k=~part,k=[min~max],k={one of},k=(all of)`. Every list names the fields it knows and their types; anything else is BAD_REQUEST, so that
// nothing can be sorted or searched by a column that is not shown. Answers carry `X-Total-Count` and `Link` (RFC 8288).
// It must never make SQL: `db/listing.ts` does, from what is parsed here.

import { z } from '@hono/zod-openapi';
import type { ListCondition, ListOrder, ListValue, ListWish } from '../db/listing.ts';
import { OciError } from '../oci/errors.ts';

/** `time`: RFC 3339, or `2026-11-24T08:00:00` taken as UTC. A list of texts: only these. */
export type ListFieldType = 'text' | 'integer' | 'boolean' | 'time' | readonly string[];
export interface ListField {
  readonly type: ListFieldType;
  /** Without it: as its type allows. `none` for a field that can only be sorted by. */
  readonly filter?: 'none' | readonly ListCondition['kind'][];
  readonly sortable?: boolean;
}
export type ListFields = Readonly<Record<string, ListField>>;
export interface Listing<F extends string = string> extends ListWish<F> {
  readonly page: number;
  readonly pageSize: number;
}

const pageSizeDefault = 10;
const pageSizeMax = 100;
const pageMax = 1_000_000;
const queryMaxChars = 4096;
const termsMax = 20;
const valuesMax = 50;
const valueMaxChars = 512;
const sortMax = 5;

/** The query parameters of a list without a search. */
export const pagingQuery = {
  page: z
    .string()
    .regex(/^\d{1,7}$/, `must be a whole number from 1 to ${pageMax}`)
    .transform(Number)
    .pipe(z.number().int().min(1).max(pageMax))
    .default(1)
    .openapi({ type: 'integer', minimum: 1, maximum: pageMax, default: 1, description: 'the page, the first is 1' }),
  page_size: z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from 0 to ${pageSizeMax}`)
    .transform(Number)
    .pipe(z.number().int().min(0).max(pageSizeMax, `must be at most ${pageSizeMax}; follow the Link header for more`))
    .default(pageSizeDefault)
    .openapi({
      type: 'integer',
      minimum: 0,
      maximum: pageSizeMax,
      default: pageSizeDefault,
      description: `rows of a page; 0 means ${pageSizeMax}`,
    }),
};
/** The query parameters of every list: spread them into a route's `z.strictObject`. */
export const listingQuery = {
  ...pagingQuery,
  q: z.string().max(queryMaxChars).optional().openapi({
    description:
      'conditions that must all hold: `k=v`, `k=~part`, `k=[min~max]`, `k={one of these}`, `k=(all of these)`, separated by commas',
    example: 'name=~team',
  }),
  sort: z
    .string()
    .max(512)
    .optional()
    .openapi({ description: 'fields, `-` before one for the other way round', example: 'name,-creation_time' }),
};

interface SentListing {
  readonly page: number;
  readonly page_size: number;
  readonly q?: string | undefined;
  readonly sort?: string | undefined;
}

/** What was sent, checked against the fields of the list. BAD_REQUEST says what is wrong and what there is. */
export function parseListing<const Fields extends ListFields>(sent: SentListing, fields: Fields): Listing<keyof Fields & string> {
  const pageSize = sent.page_size === 0 ? pageSizeMax : sent.page_size;
  return {
    page: sent.page,
    pageSize,
    offset: (sent.page - 1) * pageSize,
    limit: pageSize,
    conditions: parseConditions(sent.q ?? '', fields),
    order: parseOrder(sent.sort ?? '', fields),
  };
}

/** The headers of a page of a list: `x-total-count`, and `link` with rel prev and next where there are such pages, relative to the host. */
export function listHeaders(url: string, { page, pageSize }: Pick<Listing, 'page' | 'pageSize'>, count: number): Record<string, string> {
  const link = (to: number, rel: string): string => {
    const target = new URL(url);
    target.searchParams.set('page', String(to));
    target.searchParams.set('page_size', String(pageSize));
    return `<${target.pathname}${target.search}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 && (page - 1) * pageSize <= count ? [link(page - 1, 'prev')] : []),
    ...(page * pageSize < count ? [link(page + 1, 'next')] : []),
  ];
  return { 'x-total-count': String(count), ...(links.length === 0 ? {} : { link: links.join(', ') }) };
}

function parseConditions<Fields extends ListFields>(text: string, fields: Fields): ListCondition<keyof Fields & string>[] {
  const q = unescaped(text);
  if (q.length > queryMaxChars) throw refuse('q', `is longer than ${queryMaxChars} characters`);
  if (q === '') return [];
  const terms = q.split(',');
  if (terms.length > termsMax) throw refuse('q', `has more than ${termsMax} conditions`);
  const seen = new Set<string>();
  return terms.map((term) => {
    const at = term.indexOf('=');
    if (at < 1 || at === term.length - 1) throw refuse('q', 'must be conditions such as name=~team, separated by commas');
    const name = term.slice(0, at);
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined || field.filter === 'none') {
      const known = Object.keys(fields).filter((key) => fields[key]?.filter !== 'none');
      throw refuse(
        'q',
        `${known.length === 0 ? 'nothing can be searched by here' : `can ask for ${known.join(', ')}`}, not for ${shown(name)}`,
      );
    }
    if (seen.has(name)) throw refuse('q', `names ${name} twice`);
    seen.add(name);
    const condition = parseCondition(name as keyof Fields & string, term.slice(at + 1), field.type);
    const allowed = field.filter ?? kindsOf(field.type);
    if (!allowed.includes(condition.kind))
      throw refuse('q', `${name} can be compared by ${allowed.map((kind) => forms[kind]).join(', ')} only`);
    return condition;
  });
}

const forms: Readonly<Record<ListCondition['kind'], string>> = {
  exact: 'k=v',
  part: 'k=~part',
  range: 'k=[min~max]',
  any: 'k={a b}',
  all: 'k=(a b)',
};

function kindsOf(type: ListFieldType): readonly ListCondition['kind'][] {
  if (type === 'text') return ['exact', 'part', 'any'];
  if (type === 'boolean') return ['exact'];
  return type === 'integer' || type === 'time' ? ['exact', 'range', 'any'] : ['exact', 'any'];
}

function parseCondition<F extends string>(field: F, text: string, type: ListFieldType): ListCondition<F> {
  const inside = text.slice(1, -1);
  if (text.startsWith('~')) return { field, kind: 'part', value: partOf(field, text.slice(1)) };
  if (text.startsWith('[')) {
    const [min = '', max = '', ...rest] = inside.split('~').map((side) => side.trim());
    if (!text.endsWith(']') || rest.length > 0 || !inside.includes('~') || (min === '' && max === ''))
      throw refuse('q', `${field}: a range is [min~max], where one side may be left out`);
    if (type !== 'integer' && type !== 'time') throw refuse('q', `${field} has no range`);
    return {
      field,
      kind: 'range',
      ...(min === '' ? {} : { min: Number(toValue(field, min, type)) }),
      ...(max === '' ? {} : { max: Number(toValue(field, max, type)) }),
    };
  }
  for (const [open, close, kind] of [
    ['{', '}', 'any'],
    ['(', ')', 'all'],
  ] as const) {
    if (!text.startsWith(open)) continue;
    const values = inside.split(' ').filter((value) => value !== '');
    if (!text.endsWith(close) || values.length === 0) throw refuse('q', `${field}: a list is ${open}a b${close}`);
    if (values.length > valuesMax) throw refuse('q', `${field}: a list has at most ${valuesMax} values`);
    return { field, kind, values: values.map((value) => toValue(field, unquoted(value), type)) };
  }
  return { field, kind: 'exact', value: toValue(field, text.startsWith('\\') ? text.slice(1) : text, type) };
}

function toValue(field: string, text: string, type: ListFieldType): ListValue {
  switch (type) {
    case 'text':
      return partOf(field, text);
    case 'boolean':
      if (text === 'true' || text === '1') return true;
      if (text === 'false' || text === '0') return false;
      throw refuse('q', `${field} is true or false`);
    case 'integer': {
      const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
      if (!Number.isSafeInteger(value)) throw refuse('q', `${field} is a whole number`);
      return value;
    }
    case 'time': {
      const isTime = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?$/.test(text);
      const hasZone = /(Z|T.*[+-]\d\d:\d\d)$/.test(text) || text.length === 10;
      const atMs = isTime ? Date.parse(hasZone ? text : `${text.replace(' ', 'T')}Z`) : Number.NaN;
      if (Number.isNaN(atMs)) throw refuse('q', `${field} is a time such as 2026-11-24T08:00:00`);
      return atMs;
    }
    default:
      if (!type.includes(text)) throw refuse('q', `${field} is one of ${type.join(', ')}`);
      return text;
  }
}

/** Text that may be given to a database: of bounded length, without control characters (PostgreSQL has no NUL) or half surrogates. */
function partOf(field: string, text: string): string {
  if (text === '' || text.length > valueMaxChars) throw refuse('q', `${field}: a value has 1 to ${valueMaxChars} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (/[\u0000-\u001f\u007f]/.test(text) || !text.isWellFormed()) throw refuse('q', `${field}: a value has no control characters`);
  return text;
}

function parseOrder<Fields extends ListFields>(text: string, fields: Fields): ListOrder<keyof Fields & string>[] {
  if (text === '') return [];
  const terms = text.split(',');
  if (terms.length > sortMax) throw refuse('sort', `names more than ${sortMax} fields`);
  const seen = new Set<string>();
  return terms.map((term) => {
    const descending = term.startsWith('-');
    const name = descending ? term.slice(1) : term;
    if (!Object.hasOwn(fields, name) || fields[name]?.sortable !== true) {
      const known = Object.keys(fields).filter((key) => fields[key]?.sortable === true);
      throw refuse('sort', `${known.length === 0 ? 'nothing can be sorted by here' : `can be ${known.join(', ')}`}, not ${shown(name)}`);
    }
    if (seen.has(name)) throw refuse('sort', `names ${name} twice`);
    seen.add(name);
    return { field: name as keyof Fields & string, descending };
  });
}

/** Some clients escape `q` once more than HTTP asks for; Harbor undoes that, so this does. */
function unescaped(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function unquoted(text: string): string {
  return /^(["']).+\1$/.test(text) ? text.slice(1, -1) : text;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 60));
}

function refuse(parameter: 'q' | 'sort', message: string): OciError {
  return new OciError('BAD_REQUEST', `query: ${parameter}: ${message}`);
}

/** A page of a list that is held in memory, by the same rules as one of the database. Items keep their order where none is asked for. */
export function listInMemory<T, F extends string>(
  all: readonly T[],
  wish: ListWish<F>,
  values: Readonly<Record<F, (item: T) => string | number | boolean>>,
): { readonly items: T[]; readonly count: number } {
  const matching = all.filter((item) => wish.conditions.every((condition) => isMet(condition, values[condition.field](item))));
  const sorted = matching.toSorted((one, other) => {
    for (const { field, descending } of wish.order) {
      const [a, b] = [values[field](one), values[field](other)];
      if (a !== b) return (a < b ? -1 : 1) * (descending ? -1 : 1);
    }
    return 0;
  });
  return { items: sorted.slice(wish.offset, wish.offset + wish.limit), count: matching.length };
}

function isMet(condition: ListCondition, value: string | number | boolean): boolean {
  switch (condition.kind) {
    case 'exact':
      return condition.value === value;
    case 'part':
      return String(value).toLowerCase().includes(condition.value.toLowerCase());
    case 'range':
      return (
        (condition.min === undefined || Number(value) >= condition.min) && (condition.max === undefined || Number(value) <= condition.max)
      );
    case 'any':
      return condition.values.includes(value);
    case 'all':
      return condition.values.every((one) => one === value);
  }
}
