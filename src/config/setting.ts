// The leaves of the config schema: one value each, with the words that the reference page and the problem texts use.
// Objects, lists, defaults and the refusal of unknown keys are zod's; what a single value means is said here.

import { z } from 'zod';
import { Secret } from '../lib/secret.ts';
import { quoteValue } from './error.ts';
import { parseDuration, parseSize } from './units.ts';

export interface SettingWords {
  /** For the reference: what it does, in a sentence or two. */
  readonly about: string;
  /** Completes "expected ...". */
  readonly expected: string;
  /** What happens without it, when the schema has no default to show. */
  readonly absent?: string;
}

export type JsonType = 'string' | 'integer' | 'boolean';

export type Setting<T> = z.ZodPipe<z.ZodUnknown, z.ZodTransform<T, unknown>>;

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Bounds as texts with units, such as `1s` and `1h`, or `1KiB` and `1TiB`. */
export interface Bounds {
  readonly min: string;
  readonly max: string;
}

/** The words of each leaf of the schema. */
export const settingWords = z.registry<SettingWords>();

const maxTextLength = 4096;

/** A text of 1 to 4096 characters without control characters, which `parse` understands; undefined from it means "not understood". */
export function textSetting<T>(words: SettingWords, parse: (text: string) => T | undefined): Setting<T> {
  return setting(words, (value) => (isPlainText(value) ? parse(value) : undefined), { type: 'string' });
}

/** A text of any form (a file name, a user name). */
export function plainSetting(words: SettingWords): Setting<string> {
  return textSetting(words, (text) => text);
}

/** A password. Its value is never quoted, also when it is refused. */
export function secretSetting(words: SettingWords): Setting<Secret> {
  return setting(words, (value) => (isPlainText(value) ? new Secret(value) : undefined), { quote: () => 'the value', type: 'string' });
}

export function booleanSetting(about: string): Setting<boolean> {
  return setting({ about, expected: 'true or false' }, (value) => (typeof value === 'boolean' ? value : undefined), { type: 'boolean' });
}

export function choiceSetting<const T extends string>(about: string, choices: readonly T[]): Setting<T> {
  return setting({ about, expected: choices.join(' or ') }, (value) => choices.find((choice) => choice === value), { type: 'string' });
}

/** A whole number, bounds included. */
export function countSetting(about: string, range: Range): Setting<number> {
  const words = { about, expected: `a whole number from ${range.min} to ${range.max}` };
  return setting(words, (value) => (Number.isSafeInteger(value) ? within(value as number, range) : undefined), { type: 'integer' });
}

/** Milliseconds. */
export function durationSetting(about: string, bounds: Bounds): Setting<number> {
  const range = readBounds(bounds, parseDuration);
  const words = { about, expected: `a duration from ${bounds.min} to ${bounds.max}, written like 500ms, 60s, 5m, 24h or 30d` };
  return setting(words, (value) => within(typeof value === 'string' ? parseDuration(value) : undefined, range));
}

/** Bytes. A bare number counts bytes. */
export function sizeSetting(about: string, bounds: Bounds): Setting<number> {
  const range = readBounds(bounds, parseSize);
  const words = { about, expected: `a size from ${bounds.min} to ${bounds.max}, written like 512KiB, 4MiB or 100GiB` };
  return setting(words, (value) =>
    within(typeof value === 'string' || typeof value === 'number' ? parseSize(String(value)) : undefined, range),
  );
}

/** A value of any kind that `parse` understands; undefined from it means "not understood". `type` is its type in JSON, when it has one. */
export function setting<T>(
  words: SettingWords,
  parse: (value: unknown) => T | undefined,
  { quote = quoteValue, type }: { readonly quote?: (value: unknown) => string; readonly type?: JsonType } = {},
): Setting<T> {
  const read = (value: unknown, context: z.RefinementCtx): T => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    const wrong = value === undefined ? 'is missing' : `${quote(value)} is not understood`;
    context.addIssue({ code: 'custom', message: `${wrong}; expected ${words.expected}` });
    return z.NEVER;
  };
  const schema = z.unknown().transform(read);
  settingWords.add(schema, words);
  // For the OpenAPI document of the admin API, which takes some of these settings too.
  z.globalRegistry.add(schema, { description: `${words.about} Expected: ${words.expected}.`, ...(type === undefined ? {} : { type }) });
  return schema;
}

function isPlainText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxTextLength && !/\p{Cc}/u.test(value);
}

function readBounds(bounds: Bounds, parse: (text: string) => number | undefined): Range {
  const [min, max] = [parse(bounds.min), parse(bounds.max)];
  if (min === undefined || max === undefined) throw new Error(`bounds ${bounds.min} to ${bounds.max} are not understood`);
  return { min, max };
}

function within(value: number | undefined, { min, max }: Range): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}
