// docs/sources.md: its tables are those of the data file, its configuration is one, its links lead somewhere.

import { expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { shippedPresets } from '../../src/config/presets.ts';
import { sourceEntry } from '../../src/config/source-entry.ts';
import { runCommand } from '../clients/command.ts';
import { bunBinary, mainFile } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';
import { blocksOf, sectionOf } from './blocks.ts';

const root = join(import.meta.dir, '../..');
const page = readFileSync(join(root, 'docs/sources.md'), 'utf8');

test('the tables are what presets/presets.json says', () => {
  const run = Bun.spawnSync([process.execPath, 'scripts/generate-preset-tables.ts', '--check'], { cwd: root });
  expect(run.stderr.toString()).toBe('');
  expect(run.exitCode).toBe(0);
  for (const { url } of shippedPresets.operators.flatMap((one) => one.mirrors)) expect(page).toContain(`| ${url} |`);
  for (const { host } of shippedPresets.dead) expect(page).toContain(host);
});

test('the table of settings has every setting of a source, and no other', () => {
  const named = [...sectionOf(page, 'What a source has').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
  expect(named.toSorted()).toEqual(Object.keys(sourceEntry.shape).toSorted());
});

test('its blocks of configuration are configurations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sources-page-'));
  try {
    const texts = blocksOf(page).filter((block) => block.language === 'yaml');
    expect(texts.length).toBeGreaterThan(0);
    for (const { text } of texts) {
      const file = join(folder, 'config.yaml');
      writeFileSync(file, text);
      expect(loadConfig({ file, env: {} }).registries.size).toBeGreaterThan(0);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the presets page: its configuration is one, and its lines for signing work', async () => {
  const blocks = blocksOf(readFileSync(join(root, 'docs/presets.md'), 'utf8'));
  const folder = mkdtempSync(join(tmpdir(), 'presets-page-'));
  try {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, blocks.find((block) => block.language === 'yaml')?.text ?? '');
    expect(loadConfig({ file, env: {} }).presets.updates).toMatchObject({ intervalMs: 86_400_000 });
    if (!requireTools('ssh-keygen')) return;
    writeFileSync(join(folder, 'presets.json'), JSON.stringify(shippedPresets));
    const lines = blocks
      .filter((block) => block.language === 'sh')
      .map((block) => block.text)
      .join('');
    expect(lines).toContain('-Y sign');
    // No passphrase, and the program of this working copy.
    const script = lines.replace('-C presets', "-C presets -N ''").replace('breakwater presets', `${bunBinary} ${mainFile} presets`);
    const result = await runCommand(['sh', '-eu', '-c', script], { cwd: folder });
    expect([result.code, result.code === 0 ? '' : result.stderr]).toEqual([0, '']);
    expect(result.stdout).toContain('the signature is good');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the links of the pages about sources lead somewhere', () => {
  for (const name of ['sources.md', 'presets.md']) {
    const text = readFileSync(join(root, 'docs', name), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)[^)]*\)/g))
      expect(readFileSync(join(root, 'docs', target)).length).toBeGreaterThan(0);
  }
});
