// docs/cli.md is what the commands themselves say.

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { pageFile, renderReference } from './reference-page.ts';

test('docs/cli.md is up to date: else run `bun test/cli/reference-page.ts`', async () => {
  const page = readFileSync(pageFile, 'utf8');
  expect(page).toBe(await renderReference());
  for (const command of [
    'serve',
    'config check',
    'config print',
    'project create',
    'project list',
    'project delete',
    'sources list',
    'sources history',
    'sources import',
    'presets show',
    'presets check',
    'presets update',
    'explain',
    'version',
  ]) {
    expect(page).toContain(`\n## breakwater ${command}\n`);
  }
}, 60_000);
