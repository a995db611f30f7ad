import { expect, test } from 'bun:test';
import type { SourceBody } from '../api/source-schemas.ts';
import { formatSources } from './sources.ts';

const source: SourceBody = {
  id: 1,
  url: 'https://registry-1.docker.io',
  trust: 'authority',
  priority: 1,
  enabled: true,
  origin: 'preset',
  hasCredentials: true,
  viaProxy: false,
  state: 'up',
  succeeded: 9,
  failed: 1,
  verdicts: {},
  bytes: 0,
  failuresInARow: 0,
  blockedForMs: 0,
  clean: true,
};
const lines = (more: Partial<SourceBody>): string => formatSources([{ registry: 'docker.io', sources: [{ ...source, ...more }] }], 0);

test('a source is shown with the pulls it has left, and a dash where it tells none', () => {
  expect(lines({ quota: { limit: 100, remaining: 76, windowSeconds: 21_600 } })).toMatch(/ 76 of 100$/m);
  expect(lines({})).toMatch(/ -$/m);
});

test('the state says for how long, and what is not asked of a source that is up', () => {
  expect(lines({ state: 'open', blockedForMs: 5_000 })).toContain('open (5 s)');
  expect(lines({ spentForMs: 60_000, hosts: [{ origin: 'https://cdn.example', state: 'open', blockedForMs: 5_000 }] })).toContain(
    'up (no manifests: quota spent, 1 min; https://cdn.example open)',
  );
});

test('a public mirror that nobody turned on is counted, and shown on demand', () => {
  const off = { ...source, id: 2, url: 'https://mirror.example', enabled: false };
  const registries = [
    { registry: 'docker.io', sources: [source, off, { ...off, id: 3, url: 'https://own.example', origin: 'api' as const }] },
  ];
  const usual = formatSources(registries, 0);
  expect(usual).not.toContain('mirror.example');
  expect(usual).toContain('own.example');
  expect(usual).toContain('1 public mirrors that come with the program are switched off; --all shows them\n');
  expect(formatSources(registries, 0, true)).toContain('mirror.example');
});
