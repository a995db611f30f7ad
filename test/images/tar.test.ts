// GNU tar is the judge of the archives that tar.ts writes.

import { describe, expect, test } from 'bun:test';
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireTools } from '../support/requirements.ts';
import { randomBytesOf } from './random-bytes.ts';
import { writeTar } from './tar.ts';

describe.skipIf(!requireTools('tar'))('a written tar', () => {
  test('is extracted by GNU tar with the same names, contents, modes and links', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tar-'));
    const long = `${'d'.repeat(120)}/${'f'.repeat(120)}`;
    const data = randomBytesOf('tar', 100_001);
    const archive = writeTar([
      { name: 'etc', type: 'directory' },
      { name: 'etc/plain', data },
      { name: long, data: 'long\n' },
      { name: 'ünïcödé/日本語', data: 'unicode\n' },
      { name: 'etc/run', data: '#!/bin/sh\n', mode: 0o755 },
      { name: 'etc/hard', type: 'hardlink', target: 'etc/plain' },
      { name: 'etc/soft', type: 'symlink', target: 'plain' },
      { name: 'etc/empty' },
    ]);
    try {
      const child = Bun.spawn(['tar', '-x', '-C', folder, '-f', '-'], { stdin: archive, stderr: 'pipe' });
      const [errors, code] = await Promise.all([child.stderr.text(), child.exited]);
      expect(errors).toBe('');
      expect(code).toBe(0);
      const file = (name: string): string => join(folder, name);
      expect(readFileSync(file('etc/plain')).equals(data)).toBe(true);
      expect(readFileSync(file(long), 'utf8')).toBe('long\n');
      expect(readFileSync(file('ünïcödé/日本語'), 'utf8')).toBe('unicode\n');
      expect(lstatSync(file('etc/run')).mode & 0o777).toBe(0o755);
      expect(lstatSync(file('etc/hard')).ino).toBe(lstatSync(file('etc/plain')).ino);
      expect(readlinkSync(file('etc/soft'))).toBe('plain');
      expect(lstatSync(file('etc/empty')).size).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('has the same bytes each time', () => {
    const entries = [{ name: 'a', data: randomBytesOf('seed', 5000) }];
    expect(Buffer.from(writeTar(entries)).equals(writeTar(entries))).toBe(true);
    expect(Buffer.from(randomBytesOf('seed', 50)).equals(randomBytesOf('other', 50))).toBe(false);
  });
});
