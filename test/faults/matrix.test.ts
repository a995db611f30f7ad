// The fault list, row by row: what an upstream or a disk does, what the client at the front door sees, and what never reaches a source. A row
// is one test named by its id.

import { expect, test } from 'bun:test';
import { accessRows } from './rows-access.ts';
import { connectionRows } from './rows-connection.ts';
import { diskRows } from './rows-disk.ts';
import { lieRows } from './rows-lies.ts';
import { limitRows } from './rows-limits.ts';
import { redirectRows } from './rows-redirects.ts';
import { storageRows } from './rows-storage.ts';
import { tagRows } from './rows-tags.ts';
import { runRows } from './run-rows.ts';

const rows = [...connectionRows, ...lieRows, ...accessRows, ...limitRows, ...tagRows, ...redirectRows, ...diskRows, ...storageRows];
/** Rows that cannot be shown here, each with its reason. */
const notReproducible: Readonly<Record<string, string>> = {
  F58: 'a peer that lies: there are no peers yet',
};

test('every row of the list is here once', () => {
  const listed = Array.from({ length: 65 }, (_, place) => `F${place + 1}`);
  expect([...rows.map((row) => row.id), ...Object.keys(notReproducible)].sort()).toEqual(listed.sort());
});

runRows(rows);
