// Values for people: tables, sizes, times, and nothing that a terminal acts on.

import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { formatBytes, formatDuration, formatTable, formatTime, plain } from './text.ts';

test('columns stand under each other, without spaces at the end of a line', () => {
  const table = formatTable([
    ['NAME', 'KIND', 'REGISTRY'],
    ['library', 'overlay', 'docker.io'],
    ['a', 'local', ''],
  ]);
  expect(table).toBe('NAME     KIND     REGISTRY\nlibrary  overlay  docker.io\na        local\n');
});

test('a cell cannot break its line or reach the terminal', () => {
  expect(
    formatTable([
      ['A', 'B'],
      ['x\ny', '\u001b[2Jz'],
    ]),
  ).toBe('A    B\nx?y  ?[2Jz\n');
});

test('no text keeps a control character, an invisible one or a line end', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(plain(text)).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
      expect(plain(text)).toHaveLength(text.replace(/[\u{10000}-\u{10ffff}]/gu, (char) => (/\p{Cf}/u.test(char) ? '?' : char)).length);
    }),
  );
});

test('sizes are binary, with one digit below ten of a unit', () => {
  const shown = [0, 999, 1024, 1536, 10 * 1024, 256 * 1024 ** 2, 1024 ** 4 * 5000].map(formatBytes);
  expect(shown).toEqual(['0 B', '999 B', '1.0 KiB', '1.5 KiB', '10 KiB', '256 MiB', '5000 TiB']);
});

test('durations are told in their largest unit', () => {
  const shown = [-5, 0, 350.4, 999, 1000, 59_999, 60_000, 3_600_000, 86_400_000 * 8].map(formatDuration);
  expect(shown).toEqual(['0 ms', '0 ms', '350 ms', '999 ms', '1 s', '59 s', '1 min', '1 h', '8 d']);
});

test('a time is told with its age, and what is no time is shown as it is', () => {
  expect(formatTime('2026-11-24T08:00:00.000Z', Date.parse('2026-11-24T08:03:10.000Z'))).toBe('2026-11-24 08:00:00 UTC (3 min ago)');
  expect(formatTime('yesterday', 0)).toBe('yesterday');
});
