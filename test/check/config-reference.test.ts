// The reference page of the configuration is generated: it must be the one the schema gives, and its example must be a valid file.

import { expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';

const root = join(import.meta.dir, '../..');

test('docs/config.md is what the schema says', () => {
  const run = Bun.spawnSync([process.execPath, 'scripts/generate-config-reference.ts', '--check'], { cwd: root });
  expect(run.stderr.toString()).toBe('');
  expect(run.exitCode).toBe(0);
});

test('the example in docs/config.md is a valid config file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-reference-'));
  try {
    const example = /```yaml\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs/config.md'), 'utf8'))?.[1] ?? '';
    const file = join(folder, 'example.yaml');
    writeFileSync(file, example);
    const config = loadConfig({ file, env: {} });
    expect(config.externalUrl).toBe('https://registry.example.com');
    expect(config.registries.get('docker.io')?.sources).toHaveLength(2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
