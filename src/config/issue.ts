// Turns what zod found wrong into the words of this project: what is wrong; expected what. Pure.

import { z } from 'zod';
import { entryOf } from './one-or-list.ts';

export interface IssueText {
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

/** One issue gives one text per key it is about. `schema` is what was parsed with; it names the keys that would be right. */
export function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType): IssueText[] {
  const { path } = issue;
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, path);
      return issue.keys.map((key) => ({
        path: [...path, key],
        text: `is not a setting; expected ${suggest(key, known) ?? `one of ${known.join(', ')}`}`,
      }));
    }
    case 'invalid_key':
      return [{ path, text: 'is not a name of a registry; expected lower-case letters, digits and . _ - such as docker.io' }];
    case 'invalid_type':
      return [{ path, text: `is not ${kind(issue.expected)}; expected ${kind(issue.expected)}` }];
    case 'too_small':
      return [{ path, text: 'is empty; expected at least one entry' }];
    case 'too_big':
      return [{ path, text: `has too many entries; expected at most ${issue.maximum}` }];
    default:
      return [{ path, text: issue.message }];
  }
}

/** The schema inside defaults, `optional` and `preprocess`; of one entry where a list may stand instead. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional) inner = inner.def.innerType;
    else if (inner instanceof z.ZodPipe && inner.def.in instanceof z.ZodTransform) inner = inner.def.out;
    else return entryOf(inner) ?? inner;
  }
}

function kind(expected: string): string {
  return expected === 'object' || expected === 'record' ? 'a mapping of keys to values' : expected === 'array' ? 'a list' : `a ${expected}`;
}

function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  let place: z.core.$ZodType | undefined = unwrap(schema);
  for (const step of path) {
    // In a list of what may stand alone.
    if (place instanceof z.ZodObject && typeof step === 'number') continue;
    if (place instanceof z.ZodObject) place = place.shape[String(step)];
    else if (place instanceof z.ZodArray) place = place.element;
    else if (place instanceof z.ZodRecord) place = place.valueType;
    if (place === undefined) return [];
    place = unwrap(place);
  }
  return place instanceof z.ZodObject ? Object.keys(place.shape) : [];
}

/** The known key that differs by letter case, `-` for `_`, or one or two letters. */
function suggest(key: string, known: readonly string[]): string | undefined {
  const plain = key.slice(0, 40).replaceAll('-', '_').toLowerCase();
  const near = known.map((name) => ({ name, distance: editDistance(plain, name) })).sort((a, b) => a.distance - b.distance)[0];
  return near !== undefined && near.distance <= Math.min(2, near.name.length / 3) ? near.name : undefined;
}

function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const changed = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
