// `explain` for people: each fact of the answer is on the screen, and nothing of it can play with the terminal.

import { expect, test } from 'bun:test';
import type { ExplanationBody } from '../api/schemas.ts';
import { formatExplanation } from './explain.ts';

const nowMs = Date.parse('2026-11-24T08:10:00.000Z');
const digest = `sha256:${'a'.repeat(64)}`;
const layerDigest = `sha256:${'b'.repeat(64)}`;
const base: ExplanationBody = {
  image: 'debian:12',
  project: 'docker.io',
  kind: 'mirror',
  registry: 'docker.io',
  repository: 'library/debian',
  reference: '12',
  cached: false,
  blobs: [],
};

test('an image that is not known here is said to be so', () => {
  expect(formatExplanation(base, nowMs)).toBe(
    [
      'debian:12',
      '  project     docker.io (mirror of docker.io)',
      '  repository  library/debian',
      '  reference   12',
      '  digest      not known here: it was not pulled or pushed yet',
      '',
    ].join('\n'),
  );
});

test('the tag, every interval, every failed attempt and the last failure are told', () => {
  const text = formatExplanation(
    {
      ...base,
      digest,
      cached: true,
      tag: {
        trust: 'confirmed',
        verifiedAt: '2026-11-24T08:00:00.000Z',
        checkedAt: '2026-11-24T08:09:00.000Z',
        trail: { atMs: nowMs, reason: 'an authority said so', attempts: [{ source: 'https://hub', verdict: 'ok', ms: 12, bytes: 0 }] },
      },
      blobs: [
        {
          digest: layerDigest,
          kind: 'layer',
          sizeBytes: 3 * 1024 * 1024,
          cached: true,
          segments: [
            { source: 'https://one', from: 0, to: 1024 * 1024 },
            { source: 'https://two', from: 1024 * 1024, to: 3 * 1024 * 1024 },
          ],
          attempts: [
            { source: 'https://one', verdict: 'truncated', detail: 'the connection was lost', ms: 800, bytes: 1024 * 1024 },
            { source: 'https://two', verdict: 'ok', ms: 1200, bytes: 2 * 1024 * 1024 },
          ],
        },
        { digest, kind: 'config', sizeBytes: 100, cached: false, segments: [], attempts: [] },
      ],
      absence: { at: '2026-11-24T08:09:50.000Z', forMs: 20_000, reason: 'https://hub has no such thing' },
      drift: {
        atMs: nowMs,
        reason: 'the tag means sha256:aa',
        attempts: [{ source: 'https://m', verdict: 'ok', detail: 'said sha256:bb: this source is behind', ms: 0, bytes: 0 }],
      },
      equivalents: ['public.ecr.aws/docker/library/app'],
      sources: [
        { url: 'https://hub', trust: 'authority', state: 'up' },
        { url: 'https://m', trust: 'digest-only', state: 'quarantined', evidence: 'it lied' },
      ],
      lastFailure: { atMs: nowMs - 5000, attempts: [{ source: 'https://one', verdict: 'server-error', status: 503, ms: 3, bytes: 0 }] },
    },
    nowMs,
  );
  expect(text).toContain('verified    2026-11-24 08:00:00 UTC (10 min ago)');
  expect(text).toContain('because     an authority said so');
  expect(text).toContain('2 parts, 1 of them here (3.0 MiB of 3.0 MiB)');
  expect(text).toContain(`layer     ${layerDigest}   3.0 MiB  here`);
  expect(text).toContain('bytes 0-1048575 (1.0 MiB) from https://one');
  expect(text).toContain('bytes 1048576-3145727 (2.0 MiB) from https://two');
  expect(text).toContain('https://one truncated (800 ms, 1.0 MiB): the connection was lost');
  expect(text).not.toContain('https://two ok');
  expect(text).toContain('not there: https://hub has no such thing, 2026-11-24 08:09:50 UTC (10 s ago); asked again in 20 s');
  expect(text).toContain('https://m ok (0 ms): said sha256:bb: this source is behind');
  expect(text).toContain('https://hub authority, up\n');
  expect(text).toContain('https://m digest-only, quarantined: it lied');
  expect(text).toContain('when all fail, by digest: public.ecr.aws/docker/library/app');
  expect(text).toContain('not here');
  expect(text).toContain('last failure 2026-11-24 08:09:55 UTC (5 s ago)\n  https://one server-error 503 (3 ms)');
});

test('a pushed tag needs no verification', () => {
  const text = formatExplanation({ ...base, kind: 'local', registry: undefined, digest, cached: true, tag: { trust: 'confirmed' } }, nowMs);
  expect(text).toContain('tag         pushed here');
  expect(text).toContain('docker.io (local)');
});

test('control characters of an answer do not reach the terminal', () => {
  const text = formatExplanation({ ...base, repository: 'a\u001b]0;owned\u0007\nb' }, nowMs);
  expect(text).toContain('repository  a?]0;owned??b');
});
