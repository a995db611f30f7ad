// One way to ask a source: what is reported, what is remembered, what is told while it is not asked.

import { expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { fixedCredential } from '../upstream/credentials.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError, type Verdict } from '../upstream/verdict.ts';
import { createSourcePool } from './source-pool.ts';

const source: Source = { id: 'a', registry: 'docker.io', url: 'http://a.test', trust: 'digest-only', priority: 1, realms: [] };
const make = () => {
  const clock = createFakeClock();
  const health = createSourceHealth({ clock });
  return { clock, health, pool: createSourcePool({ sources: new Map([['docker.io', [source]]]), health, clock }) };
};
const failing = (verdict: Verdict, status?: number) => ({
  repository: 'library/app',
  run: async (): Promise<number> => {
    throw new UpstreamError(verdict, { detail: `said ${verdict}`, ...(status === undefined ? {} : { status }) });
  },
});
const answering = { repository: 'library/app', run: async () => 7, sizeOf: (value: number) => value };

test('an answer is given with its time and size, and counted', async () => {
  const { pool, health, clock } = make();
  const asked = await pool.ask(source, {
    ...answering,
    run: async () => {
      clock.advance(25);
      return 7;
    },
  });
  expect(asked).toEqual({ value: 7, attempt: { source: 'http://a.test', verdict: 'ok', ms: 25, bytes: 7 } });
  expect(health.snapshot('a')).toMatchObject({ succeeded: 1, failed: 0, bytes: 7, averageMs: 25 });
});

test('a refusal is told again, as what it was, while the source is not asked about that repository', async () => {
  const { pool } = make();
  await pool.ask(source, failing('denied', 403));
  let isAsked = false;
  const again = await pool.ask(source, {
    ...answering,
    run: async () => {
      isAsked = true;
      return 1;
    },
  });
  expect(isAsked).toBe(false);
  expect(again).toMatchObject({ error: { verdict: 'denied' }, attempt: { verdict: 'denied', status: 403, bytes: 0 } });
  expect(await pool.ask(source, { ...answering, repository: 'library/other' })).toMatchObject({ value: 7 });
});

test('a source that is down is told as skipped, with the reason', async () => {
  const { pool, clock } = make();
  await pool.ask(source, failing('refused'));
  expect(await pool.ask(source, answering)).toMatchObject({
    error: undefined,
    attempt: { verdict: 'skipped', detail: 'not asked again yet (refused)' },
  });
  clock.advance(5000);
  expect(await pool.ask(source, answering)).toMatchObject({ value: 7 });
});

test('a manifest that is not what it says it is sets its source aside', async () => {
  const { pool, health } = make();
  await pool.ask(source, failing('wrong-digest'));
  expect(health.isQuarantined('a')).toBe(true);
  expect(health.snapshot('a').evidence).toBe('said wrong-digest');
});

test('what is no failure of the source is thrown, and leaves no trial behind', async () => {
  const { pool, health, clock } = make();
  await pool.ask(source, failing('refused'));
  clock.advance(5000);
  const broken = pool.ask(source, {
    ...answering,
    run: async () => {
      throw new TypeError('a bug');
    },
  });
  await expect(broken).rejects.toThrow('a bug');
  expect(health.allow('a')).toBe('trial');
});

test('a registry is anonymous when none of its sources has a login', () => {
  const clock = createFakeClock();
  const health = createSourceHealth({ clock });
  const withLogin: Source = { ...source, id: 'b', credentials: [fixedCredential('u', new Secret('p'))] };
  const pool = createSourcePool({
    sources: new Map([
      ['docker.io', [source]],
      ['quay.io', [source, withLogin]],
    ]),
    health,
    clock,
  });
  expect([pool.isAnonymous('docker.io'), pool.isAnonymous('quay.io')]).toEqual([true, false]);
});
