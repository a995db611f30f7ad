// The one line a person reads when no source gave what was wanted.

import { expect, test } from 'bun:test';
import type { Project } from '../db/projects.ts';
import { requireRepositoryName } from '../oci/reference.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { Attempt } from './trail.ts';
import { unavailable } from './unavailable.ts';

const project: Project = {
  id: 1,
  name: 'docker.io',
  kind: 'mirror',
  isPublic: true,
  registry: 'docker.io',
  allowsSparse: false,
  epoch: 0,
  ownerId: undefined,
  createdAtMs: 0,
  updatedAtMs: 0,
};
const target: MirrorTarget = {
  project,
  name: requireRepositoryName('docker.io/library/app'),
  upstream: { registry: 'docker.io', repository: requireRepositoryName('library/app') },
};
const attempt = (source: string, verdict: Attempt['verdict'], detail: string): Attempt => ({ source, verdict, detail, ms: 1, bytes: 0 });

test('names each source once, with the last thing it did', () => {
  const error = unavailable(target, [
    attempt('https://a.example', 'truncated', 'the connection was lost in mid-body'),
    attempt('https://b.example:8443/path', 'timeout', 'no complete answer within 10000 ms'),
    attempt('https://a.example', 'refused', 'connection refused'),
  ]);
  expect(error.code).toBe('UNAVAILABLE');
  expect(error.message).toBe(
    'docker.io cannot be reached and this is not cached: a.example: connection refused; b.example:8443: no complete answer within 10000 ms',
  );
  expect(error.retryAfterMs).toBeGreaterThan(0);
});

test('is a refusal when everybody refused or has none, and none of them is down', () => {
  const refused = attempt('https://a.example', 'denied', 'answered 403');
  const absent = attempt('https://b.example', 'not-found', 'answered 404');
  expect(unavailable(target, [refused, absent]).code).toBe('DENIED');
  expect(unavailable(target, [refused, absent, attempt('https://c.example', 'skipped', 'not asked again yet (refused)')]).code).toBe(
    'UNAVAILABLE',
  );
});

test('stays one line of ASCII of bounded length with many sources, and says so when there are none', () => {
  const many = Array.from({ length: 60 }, (_, place) => attempt(`https://mirror-${place}.example`, 'timeout', 'no complete answer'));
  const { message } = unavailable(target, many);
  expect(message).toMatch(/^[\x20-\x7e]{1,500}$/);
  expect(unavailable(target, []).message).toContain('no source is configured');
});
