// Says what kind of network an IP address belongs to. Pure; it must never resolve a name.
// security.md SEC-D01, SEC-D04; IANA special-purpose address registries (RFC 6890), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).

/**
 * `forbidden` is never a place content comes from: link-local and cloud metadata, 0/8, multicast, reserved, documentation.
 * `private` covers RFC 1918, CGNAT, ULA and 198.18/15 (fake-IP proxies answer DNS from there).
 */
export type AddressClass = 'public' | 'private' | 'loopback' | 'forbidden';

/** The class of an IPv4 or IPv6 literal without brackets, or undefined when the text is none. */
export function classifyAddress(text: string): AddressClass | undefined {
  const four = parseIPv4(text);
  if (four !== undefined) return classifyIPv4(four);
  if (text.includes('%')) return parseIPv6(text.slice(0, text.indexOf('%'))) === undefined ? undefined : 'forbidden';
  const six = parseIPv6(text);
  return six === undefined ? undefined : classifyIPv6(six);
}

/** The 32-bit value of a dotted quad without leading zeros. */
export function parseIPv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    if ((part.length > 1 && part.startsWith('0')) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** The eight 16-bit groups of an IPv6 literal (no zone). */
export function parseIPv6(text: string): readonly number[] | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (head === undefined || tail === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  const missing = 8 - head.length - tail.length;
  return missing < 1 ? undefined : [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function parseGroups(text: string, mayEndInIPv4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const four = mayEndInIPv4 && index === parts.length - 1 ? parseIPv4(part) : undefined;
    if (four === undefined) return undefined;
    groups.push(Math.floor(four / 65536), four % 65536);
  }
  return groups;
}

interface Block {
  readonly network: string;
  readonly bits: number;
  readonly kind: AddressClass;
}

// The first that matches decides.
const blocks: readonly Block[] = [
  { network: '0.0.0.0', bits: 8, kind: 'forbidden' },
  { network: '10.0.0.0', bits: 8, kind: 'private' },
  { network: '100.100.100.200', bits: 32, kind: 'forbidden' }, // Alibaba Cloud metadata, inside CGNAT space
  { network: '100.64.0.0', bits: 10, kind: 'private' },
  { network: '127.0.0.0', bits: 8, kind: 'loopback' },
  { network: '168.63.129.16', bits: 32, kind: 'forbidden' }, // Azure's wire server
  { network: '169.254.0.0', bits: 16, kind: 'forbidden' },
  { network: '172.16.0.0', bits: 12, kind: 'private' },
  { network: '192.0.0.0', bits: 24, kind: 'forbidden' },
  { network: '192.0.2.0', bits: 24, kind: 'forbidden' },
  { network: '192.88.99.0', bits: 24, kind: 'forbidden' },
  { network: '192.168.0.0', bits: 16, kind: 'private' },
  { network: '198.18.0.0', bits: 15, kind: 'private' },
  { network: '198.51.100.0', bits: 24, kind: 'forbidden' },
  { network: '203.0.113.0', bits: 24, kind: 'forbidden' },
  { network: '224.0.0.0', bits: 3, kind: 'forbidden' },
];

function classifyIPv4(value: number): AddressClass {
  for (const block of blocks) {
    const size = 2 ** (32 - block.bits);
    if (Math.floor(value / size) === Math.floor((parseIPv4(block.network) ?? 0) / size)) return block.kind;
  }
  return 'public';
}

function classifyIPv6(groups: readonly number[]): AddressClass {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  const low = classifyIPv4(g * 65536 + h);
  const startsWithZeros = (a | b | c | d) === 0;
  if (startsWithZeros && (e | f) === 0 && g === 0 && h <= 1) return h === 1 ? 'loopback' : 'forbidden';
  // IPv4-mapped ::ffff:a.b.c.d, -translated ::ffff:0:a.b.c.d, -compatible ::a.b.c.d
  if (startsWithZeros && ((e === 0 && (f === 0xffff || f === 0)) || (e === 0xffff && f === 0))) return low;
  if (a === 0x64 && b === 0xff9b) return (c | d | e | f) === 0 ? low : 'private'; // NAT64; 64:ff9b:1::/48 is for local use
  if (a === 0x2002) return classifyIPv4(b * 65536 + c);
  if (a === 0x2001 && b === 0) return worse(classifyIPv4(c * 65536 + d), classifyIPv4((g ^ 0xffff) * 65536 + (h ^ 0xffff)));
  if (a === 0xfd00 && b === 0xec2 && (c | d | e | f | g) === 0 && h === 0x254) return 'forbidden'; // AWS metadata
  if ((a & 0xfe00) === 0xfc00) return 'private';
  if ((a & 0xffc0) === 0xfec0) return 'private'; // site-local, deprecated
  if ((a & 0xe000) !== 0x2000) return 'forbidden';
  if ((a === 0x2001 && (b === 0xdb8 || b < 0x200)) || (a === 0x3fff && b < 0x1000)) return 'forbidden';
  // ISATAP carries an IPv4 address in its interface identifier
  if ((e & 0xfdff) === 0 && f === 0x5efe) return low;
  return 'public';
}

function worse(one: AddressClass, other: AddressClass): AddressClass {
  const order: readonly AddressClass[] = ['public', 'private', 'loopback', 'forbidden'];
  return order.indexOf(one) > order.indexOf(other) ? one : other;
}
