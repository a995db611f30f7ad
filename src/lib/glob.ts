// Patterns on names with segments: `*` and `?` stay inside a segment, `**` crosses `/`, `{a,b}` is either. Everything else means itself.
// It must never backtrack without bound: a pattern is matched by walking both texts once per wildcard.

export interface Glob {
  test(text: string): boolean;
}

/** At most this many characters, and this many patterns out of one with alternatives. */
const globMaxLength = 512;
const alternativesMax = 64;

/**
 * Undefined for what is no pattern: empty, too long, a brace without its partner or inside another, too many alternatives.
 * `docker.io/library/*` matches `docker.io/library/nginx`, not `docker.io/library/a/b`; `docker.io/**` matches both.
 */
export function createGlob(pattern: string): Glob | undefined {
  if (pattern === '' || pattern.length > globMaxLength) return undefined;
  const plain = expand(pattern);
  if (plain === undefined) return undefined;
  const parts = plain.map(tokens);
  return { test: (text) => parts.some((one) => matches(one, text)) };
}

/** A literal character, or a wildcard. */
type Token = { readonly kind: 'character'; readonly value: string } | { readonly kind: 'one' | 'segment' | 'any' };

/** The pattern without braces, once for each combination of alternatives. */
function expand(pattern: string): string[] | undefined {
  let done: string[] = [''];
  for (let at = 0; at < pattern.length; ) {
    const open = pattern.indexOf('{', at);
    const text = pattern.slice(at, open === -1 ? undefined : open);
    if (text.includes('}')) return undefined;
    done = done.map((head) => head + text);
    if (open === -1) break;
    const close = pattern.indexOf('}', open);
    const inside = pattern.slice(open + 1, close);
    if (close === -1 || inside.includes('{')) return undefined;
    const choices = inside.split(',');
    if (done.length * choices.length > alternativesMax) return undefined;
    done = done.flatMap((head) => choices.map((choice) => head + choice));
    at = close + 1;
  }
  return done;
}

function tokens(plain: string): readonly Token[] {
  const found: Token[] = [];
  for (let at = 0; at < plain.length; at++) {
    const value = plain.charAt(at);
    if (value !== '*') found.push(value === '?' ? { kind: 'one' } : { kind: 'character', value });
    else {
      const isAny = plain.charAt(at + 1) === '*';
      found.push({ kind: isAny ? 'any' : 'segment' });
      while (plain.charAt(at + 1) === '*') at++;
    }
  }
  return found;
}

/** By the set of places in the pattern that the text read so far can lead to: its time is at most pattern times text. */
function matches(pattern: readonly Token[], text: string): boolean {
  let places = reach(pattern, new Set([0]));
  for (const character of text) {
    const next = new Set<number>();
    for (const place of places) {
      const token = pattern[place];
      if (token === undefined) continue;
      switch (token.kind) {
        case 'character':
          if (token.value === character) next.add(place + 1);
          break;
        case 'one':
          if (character !== '/') next.add(place + 1);
          break;
        case 'segment':
          if (character !== '/') next.add(place);
          break;
        case 'any':
          next.add(place);
          break;
      }
    }
    if (next.size === 0) return false;
    places = reach(pattern, next);
  }
  return places.has(pattern.length);
}

/** With the places behind wildcards, which may stand for nothing. */
function reach(pattern: readonly Token[], places: Set<number>): Set<number> {
  for (const place of places) {
    const kind = pattern[place]?.kind;
    if (kind === 'segment' || kind === 'any') places.add(place + 1);
  }
  return places;
}
