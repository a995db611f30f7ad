import { expect, test } from 'bun:test';
import { budgetOf, newWaits, noteWait, percentile95 } from './first-byte.ts';

test('the 95th percentile is of the last 64 answers', () => {
  const waits = newWaits();
  expect(percentile95(waits)).toBeUndefined();
  noteWait(waits, 40);
  expect(percentile95(waits)).toBe(40);
  for (let ms = 1; ms <= 100; ms++) noteWait(waits, ms);
  // 37 to 100 are left; 61 of 64 are at or below 97.
  expect(percentile95(waits)).toBe(97);
});

test('the budget follows it between 300 ms and 3 s, and is one second for a source nobody knows', () => {
  expect(budgetOf(undefined)).toBe(1_000);
  expect(budgetOf(newWaits())).toBe(1_000);
  const waits = newWaits();
  noteWait(waits, 20);
  expect(budgetOf(waits)).toBe(300);
  for (let count = 0; count < 64; count++) noteWait(waits, 600);
  expect(budgetOf(waits)).toBe(900);
  for (let count = 0; count < 64; count++) noteWait(waits, 60_000);
  expect(budgetOf(waits)).toBe(3_000);
});
