import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-secret-'));
  file = join(folder, 'secret');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('what is written is one line that only its owner can read, and nothing else is left', () => {
  writeSecretFile(file, 'the secret');
  expect(readFileSync(file, 'utf8')).toBe('the secret\n');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['secret']);
  expect(readSecretFile(file)).toBe('the secret');
});

test('a file that is absent or holds nothing is no secret', () => {
  expect(readSecretFile(file)).toBeUndefined();
  for (const text of ['', '\n', ' \n ']) {
    writeFileSync(file, text);
    expect(readSecretFile(file)).toBeUndefined();
  }
});

test('what a crash left of an earlier write does not stand in the way', () => {
  writeFileSync(`${file}.new`, 'a long half-written secret');
  writeSecretFile(file, 'short');
  expect(readFileSync(file, 'utf8')).toBe('short\n');
});
