// Distinguished names as text: one normal form, so that two spellings of one name are the same group or person. Pure.
// RFC 4514 (string form), RFC 4518 (comparison, of which case and spaces are done here). It knows no schema: every value is compared without
// regard to case, which is right for the attributes that names are built of.

/**
 * The normal form of a distinguished name: types and values in lower case, runs of spaces as one, escapes only where they are needed, the
 * parts of a multi-valued name in order. Undefined for what is no distinguished name; '' stays ''.
 */
export function normalizeDn(text: string): string | undefined {
  if (text.length > 4096) return undefined;
  if (text.trim() === '') return '';
  const names: string[] = [];
  let parts: string[] = [];
  let place = 0;
  for (;;) {
    const part = readPart(text, place);
    if (part === undefined) return undefined;
    parts.push(`${part.type}=${writeValue(part.value)}`);
    place = part.end;
    const separator = text[place];
    if (separator !== '+') {
      names.push(parts.toSorted().join('+'));
      parts = [];
    }
    if (separator === undefined) return names.join(',');
    place++;
  }
}

/** The value of the first part, as it is written: the readable name of an entry; the whole text when it is none. */
export function firstValueOf(dn: string): string {
  return readPart(dn, 0)?.value ?? dn;
}

interface Part {
  readonly type: string;
  readonly value: string;
  /** Where `,`, `;`, `+` or the end stands. */
  readonly end: number;
}

function readPart(text: string, start: number): Part | undefined {
  const match = /^\s*([A-Za-z][A-Za-z0-9-]*|(?:oid\.)?\d+(?:\.\d+)*)\s*=\s*/i.exec(text.slice(start));
  if (match === null) return undefined;
  const type = (match[1] ?? '').toLowerCase().replace(/^oid\./, '');
  const place = start + match[0].length;
  const value = text[place] === '#' ? readHex(text, place + 1) : text[place] === '"' ? readQuoted(text, place + 1) : readPlain(text, place);
  return value === undefined ? undefined : { type, ...value };
}

interface Value {
  readonly value: string;
  readonly end: number;
}

function readPlain(text: string, start: number): Value | undefined {
  const bytes: number[] = [];
  // Spaces at the end count only where they were escaped.
  let keptLength = 0;
  let place = start;
  while (place < text.length) {
    const char = text.codePointAt(place) ?? 0;
    const letter = String.fromCodePoint(char);
    if (letter === ',' || letter === ';' || letter === '+') break;
    if (letter === '"' || letter === '<' || letter === '>' || letter === '=') {
      // Servers do write an unescaped equals sign inside a value; the others are never plain.
      if (letter !== '=') return undefined;
    }
    if (letter === '\\') {
      const escaped = readEscape(text, place);
      if (escaped === undefined) return undefined;
      bytes.push(...escaped.bytes);
      place = escaped.end;
      keptLength = bytes.length;
      continue;
    }
    bytes.push(...Buffer.from(letter));
    if (letter !== ' ') keptLength = bytes.length;
    place += letter.length;
  }
  const value = decode(bytes.slice(0, keptLength));
  return value === undefined ? undefined : { value, end: place };
}

function readQuoted(text: string, start: number): Value | undefined {
  const bytes: number[] = [];
  let place = start;
  while (place < text.length && text[place] !== '"') {
    if (text[place] === '\\') {
      const escaped = readEscape(text, place);
      if (escaped === undefined) return undefined;
      bytes.push(...escaped.bytes);
      place = escaped.end;
      continue;
    }
    const letter = String.fromCodePoint(text.codePointAt(place) ?? 0);
    bytes.push(...Buffer.from(letter));
    place += letter.length;
  }
  if (text[place] !== '"') return undefined;
  place++;
  while (text[place] === ' ') place++;
  const value = decode(bytes);
  return value === undefined || !isEnd(text[place]) ? undefined : { value, end: place };
}

/** `#` and the BER of a value: kept as it is, because only its schema could say what it means. */
function readHex(text: string, start: number): Value | undefined {
  const match = /^((?:[0-9a-fA-F]{2})+)\s*/.exec(text.slice(start));
  if (match === null) return undefined;
  const end = start + match[0].length;
  return isEnd(text[end]) ? { value: `#${match[1]?.toLowerCase()}`, end } : undefined;
}

function readEscape(text: string, place: number): { readonly bytes: readonly number[]; readonly end: number } | undefined {
  const hex = /^[0-9a-fA-F]{2}/.exec(text.slice(place + 1, place + 3))?.[0];
  if (hex !== undefined) return { bytes: [Number.parseInt(hex, 16)], end: place + 3 };
  const letter = text[place + 1];
  return letter !== undefined && ' "#+,;<=>\\'.includes(letter) ? { bytes: [letter.charCodeAt(0)], end: place + 2 } : undefined;
}

function isEnd(char: string | undefined): boolean {
  return char === undefined || char === ',' || char === ';' || char === '+';
}

function decode(bytes: readonly number[]): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

function writeValue(value: string): string {
  const plain = value.normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ');
  return plain
    .replace(/["+,;<>\\=]/g, '\\$&')
    .replace(/^#/, '\\#')
    .replace(/\0/g, '\\00');
}
