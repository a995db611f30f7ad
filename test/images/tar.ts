// Writes small deterministic tar archives (POSIX ustar, with pax headers for long and non-ASCII names) for the layers of test images.
// It must never read the clock or the disk: the same entries always give the same bytes, so the same digests.
// Format: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Header Block".

export interface TarEntry {
  /** Path without a leading slash. A directory's name gets its trailing slash by itself. */
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo';
  /** Content of a file. */
  readonly data?: Uint8Array | string;
  /** Target of a symlink or hardlink. */
  readonly target?: string;
  /** Permission bits; 0o755 for directories, else 0o644. */
  readonly mode?: number;
}

const blockBytes = 512;
const modifiedAtSeconds = 1_735_689_600;
const typeFlags = { file: '0', hardlink: '1', symlink: '2', directory: '5', fifo: '6' } as const;

/** The archive of the entries in their order, with the two closing zero blocks. */
export function writeTar(entries: readonly TarEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const entry of entries) parts.push(...entryBlocks(entry));
  parts.push(new Uint8Array(2 * blockBytes));
  return concatBytes(parts);
}

function entryBlocks(entry: TarEntry): Uint8Array[] {
  const type = entry.type ?? 'file';
  const name = type === 'directory' ? `${entry.name}/` : entry.name;
  const target = entry.target ?? '';
  const data = typeof entry.data === 'string' ? Buffer.from(entry.data) : (entry.data ?? new Uint8Array(0));
  const parts: Uint8Array[] = [];
  const records = [needsPax(name) ? paxRecord('path', name) : '', needsPax(target) ? paxRecord('linkpath', target) : ''].join('');
  if (records !== '') {
    const pax = Buffer.from(records);
    parts.push(header({ name: 'PaxHeaders/entry', flag: 'x', mode: 0o644, sizeBytes: pax.length, target: '' }), ...padded(pax));
  }
  const mode = entry.mode ?? (type === 'directory' ? 0o755 : 0o644);
  parts.push(header({ name: asciiTail(name), flag: typeFlags[type], mode, sizeBytes: data.length, target: asciiTail(target) }));
  parts.push(...padded(data));
  return parts;
}

interface HeaderFields {
  readonly name: string;
  readonly flag: string;
  readonly mode: number;
  readonly sizeBytes: number;
  readonly target: string;
}

function header(fields: HeaderFields): Uint8Array {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
  block.write(fields.name, 0, 100, 'latin1');
  block.write(octal(fields.mode, 8), 100, 'latin1');
  block.write(octal(0, 8), 108, 'latin1');
  block.write(octal(0, 8), 116, 'latin1');
  block.write(octal(fields.sizeBytes, 12), 124, 'latin1');
  block.write(octal(modifiedAtSeconds, 12), 136, 'latin1');
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(fields.flag, 156, 'latin1');
  block.write(fields.target, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function needsPax(text: string): boolean {
  return text.length > 100 || /[^\x20-\x7e]/.test(text);
}

function asciiTail(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '_').slice(-100);
}

/** "LENGTH KEY=VALUE\n" where LENGTH counts the whole record, its own digits included. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function padded(data: Uint8Array): Uint8Array[] {
  const missing = (blockBytes - (data.length % blockBytes)) % blockBytes;
  return missing === 0 ? [data] : [data, new Uint8Array(missing)];
}

function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
