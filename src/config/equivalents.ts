// Repositories that hold the same content under another name: the entries of `mirror.equivalents` and those this program ships.

import shipped from '../../presets/equivalents.json' with { type: 'json' };

/** `registry/repository`, which may end in a part `*` (one part of a name) or `**` (any number); both sides end alike. */
export interface EquivalentConfig {
  readonly from: string;
  readonly to: string;
}

/** presets/equivalents.json. */
export const shippedEquivalents: readonly EquivalentConfig[] = shipped.equivalents.map(({ from, to }) => ({ from, to }));

/** The pattern itself, or undefined for what is none. */
export function parseEquivalent(text: string): string | undefined {
  return /^[a-z0-9][a-z0-9.-]*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*\/(?:\*{1,2}|[a-z0-9]+(?:[._-]+[a-z0-9]+)*)$/.test(text)
    ? text
    : undefined;
}

/** What the pattern ends in: `*`, `**`, or empty. */
export function wildcardOf(pattern: string): string {
  return /\/(\*{1,2})$/.exec(pattern)?.[1] ?? '';
}
