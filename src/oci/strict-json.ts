// Reads JSON that must mean the same to everybody: valid UTF-8 without BOM, no duplicate keys, bounded depth.
// JSON.parse alone keeps the last of two equal keys, so two readers could see two documents (RFC 8259 section 4; RFC 7493 "I-JSON").

import { OciError } from './errors.ts';

export const jsonDepthMax = 64;

/** The parsed value; throws MANIFEST_INVALID with the reason. Linear in the input. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid('not valid UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('not valid JSON');
  }
  const reason = findAmbiguity(text);
  if (reason !== undefined) throw invalid(reason);
  return value;
}

function invalid(reason: string): OciError {
  return new OciError('MANIFEST_INVALID', `manifest is ${reason}`);
}

/** Walks the tokens of text that JSON.parse has accepted. */
function findAmbiguity(text: string): string | undefined {
  const scopes: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') {
      scopes.push(char === '{' ? new Set() : undefined);
      if (scopes.length > jsonDepthMax) return `nested deeper than ${jsonDepthMax} levels`;
    } else if (char === '}' || char === ']') {
      scopes.pop();
    } else if (char === '"') {
      const end = endOfString(text, at);
      const keys = scopes.at(-1);
      if (keys !== undefined && isKey(text, end)) {
        const key = readKey(text, at, end);
        // A lone surrogate has no UTF-8: other readers put U+FFFD in its place, so two such keys may be one to them.
        if (!key.isWellFormed()) return 'ambiguous: a key holds half a surrogate pair';
        if (keys.has(key)) return `ambiguous: the key ${JSON.stringify(key.slice(0, 100))} stands twice in one object`;
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return undefined;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function readKey(text: string, start: number, end: number): string {
  const inside = text.slice(start + 1, end - 1);
  return inside.includes('\\') ? (JSON.parse(`"${inside}"`) as string) : inside;
}

function isKey(text: string, afterString: number): boolean {
  let at = afterString;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}
