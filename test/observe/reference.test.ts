// The page of the metrics is generated: it must be what the server registers, and its expressions must be about metrics that exist.

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusReport } from '../../src/registry/status.ts';
import { metricsPage, metricsPageFile } from './reference-page.ts';

const page = readFileSync(metricsPageFile, 'utf8');

test('docs/metrics.md is what the server registers', () => {
  expect(page).toBe(metricsPage());
});

test('every metric in an expression of the page is in its list', () => {
  const [before = '', list = ''] = page.split('## All metrics');
  const used = new Set(before.match(/\bbreakwater_[a-z_]+/g) ?? []);
  expect(used.size).toBeGreaterThan(4);
  for (const name of used) expect(list).toContain(`| \`${name}\` |`);
});

test('the example in docs/status.md is valid JSON that has the members of a report', () => {
  const text = readFileSync(join(import.meta.dir, '../../docs/status.md'), 'utf8');
  const example = JSON.parse(/```json\n([\s\S]*?)```/.exec(text)?.[1] ?? '') as StatusReport;
  expect(Object.keys(example)).toEqual(['summary', 'states', 'at', 'registries']);
  expect(example.registries[0]?.sources[0]?.state).toBe('up');
});
