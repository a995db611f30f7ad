// The list of attacks (SEC-A, B, D, E, G, H, I, J) against the tests that are named by them: each row has a test, or stands here with the reason why there
// is nothing to test. A row that is in neither list fails, and so does one that is in both.

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';

const root = join(import.meta.dir, '../..');
const counts: Readonly<Record<string, number>> = { A: 22, B: 16, D: 9, E: 15, G: 11, H: 4, I: 5, J: 3 };

/** Rows about what the server does not have, or cannot do by its construction. */
const withoutTest: Readonly<Record<string, string>> = {
  'SEC-A06': 'no right and no rule lets somebody create a tag and not move it: there are no immutability rules yet',
  'SEC-A20': 'no rule fires on behalf of a user: there are no webhooks and no replication rules',
  'SEC-B08': 'nothing signed carries the state of an upload: its id is random, its state is in the database',
  'SEC-B09':
    'no stored state is code or is hashed further from where it stood: sessions and uploads are rows and files that are read again',
  'SEC-D07': 'there is no web interface that shows annotations',
  'SEC-E15': 'the server speaks HTTP/1.1 only',
  'SEC-G10': 'there are no quotas yet',
};

const rows = Object.entries(counts).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, index) => `SEC-${letter}${String(index + 1).padStart(2, '0')}`),
);

/** The rows that names of tests (or the header of a suite that is one row) mention. */
function testedRows(): ReadonlySet<string> {
  const found = new Set<string>();
  for (const pattern of ['src/**/*.test.ts', 'test/**/*.test.ts']) {
    for (const file of new Glob(pattern).scanSync(root)) {
      if (file.endsWith('rows.test.ts')) continue;
      const text = readFileSync(join(root, file), 'utf8');
      for (const [row] of text.matchAll(/SEC-[A-J]\d\d/g)) found.add(row);
    }
  }
  return found;
}

test('every row of the list of attacks has a test, or a reason why it has none', () => {
  const tested = testedRows();
  expect(rows.filter((row) => !tested.has(row) && !Object.hasOwn(withoutTest, row))).toEqual([]);
  expect(Object.keys(withoutTest).filter((row) => tested.has(row) || !rows.includes(row))).toEqual([]);
});
