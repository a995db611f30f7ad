import { Database as SqliteFile } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { createStatements } from './sqlite-statements.ts';

test('one text is compiled once while it is in use', () => {
  const file = new SqliteFile(':memory:');
  const statements = createStatements(file);
  expect(statements.get('select 1 as one')).toBe(statements.get('select 1 as one'));
  expect(statements.get('select 1 as one').all()).toEqual([{ one: 1 }]);
  statements.finalize();
  file.close(true);
});

test('any number of texts is served, those of long ago compiled again and kept ones never', () => {
  const file = new SqliteFile(':memory:');
  const statements = createStatements(file);
  const kept = statements.keep('select ? as kept');
  const first = statements.get('select 0 as n');
  for (let n = 1; n <= 2000; n++) expect(statements.get(`select ${n} as n`).get()).toEqual({ n });
  expect(statements.get('select 0 as n')).not.toBe(first);
  expect(() => first.all()).toThrow();
  expect(kept.get(7)).toEqual({ kept: 7 });
  statements.finalize();
  // Throws when a statement is left open.
  file.close(true);
});

test('the text used last goes last', () => {
  const file = new SqliteFile(':memory:');
  const statements = createStatements(file);
  const often = statements.get('select 1 as often');
  for (let n = 0; n < 2000; n++) {
    statements.get(`select ${n} as n`);
    expect(statements.get('select 1 as often')).toBe(often);
  }
  statements.finalize();
  file.close(true);
});
