// Reads WWW-Authenticate. Pure; hostile input gives an empty or partial list, never an exception, in linear time.
// RFC 9110 section 11.6.1 (the runtime joins several headers with ", "); distribution "Token Authentication Specification".

export interface Challenge {
  /** Lower case, e.g. `bearer`, `basic`. */
  readonly scheme: string;
  /** Keys in lower case; the first of two equal keys counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

export const challengeMaxLength = 16_384;
const challengesMax = 16;
const parametersMax = 32;

export function parseChallenges(header: string): readonly Challenge[] {
  const text = header.slice(0, challengeMaxLength);
  const challenges: Challenge[] = [];
  let parameters: Map<string, string> | undefined;
  let at = skipSeparators(text, 0);
  while (at < text.length && challenges.length <= challengesMax) {
    const word = readToken(text, at);
    if (word === '') return challenges;
    const afterWord = at + word.length;
    const afterSpace = skipSpace(text, afterWord);
    if (text[afterSpace] === '=' && parameters !== undefined && !isToken68(text, afterSpace)) {
      const value = readValue(text, skipSpace(text, afterSpace + 1));
      const key = word.toLowerCase();
      if (!parameters.has(key) && parameters.size < parametersMax) parameters.set(key, value.text);
      at = value.end;
    } else {
      parameters = new Map();
      challenges.push({ scheme: word.toLowerCase(), parameters });
      at = skipToken68(text, afterSpace);
    }
    at = skipSeparators(text, at);
  }
  return challenges.slice(0, challengesMax);
}

const tokenPattern = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;

function readToken(text: string, at: number): string {
  tokenPattern.lastIndex = at;
  return tokenPattern.exec(text)?.[0] ?? '';
}

function skipSpace(text: string, at: number): number {
  let end = at;
  while (text[end] === ' ' || text[end] === '\t') end++;
  return end;
}

function skipSeparators(text: string, at: number): number {
  let end = at;
  while (text[end] === ' ' || text[end] === '\t' || text[end] === ',') end++;
  return end;
}

/** `Negotiate YII==`: an equals sign followed by the end or a comma is padding, no parameter. */
function isToken68(text: string, atEquals: number): boolean {
  let end = atEquals;
  while (text[end] === '=') end++;
  const next = skipSpace(text, end);
  return next >= text.length || text[next] === ',';
}

const token68Pattern = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;

function skipToken68(text: string, at: number): number {
  token68Pattern.lastIndex = at;
  const found = token68Pattern.exec(text)?.[0];
  return found === undefined ? at : at + found.length;
}

function readValue(text: string, at: number): { text: string; end: number } {
  if (text[at] !== '"') {
    // Unquoted URLs are seen in the field, so the value runs to the next comma or space.
    let end = at;
    while (end < text.length && text[end] !== ',' && text[end] !== ' ' && text[end] !== '\t') end++;
    return { text: text.slice(at, end), end };
  }
  let value = '';
  let end = at + 1;
  while (end < text.length && text[end] !== '"') {
    if (text[end] === '\\') end++;
    value += text[end] ?? '';
    end++;
  }
  return { text: value, end: end + 1 };
}
