// One way to ask a source: what is reported, what is remembered, what is told while it is not asked.

import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { fixedCredential } from '../upstream/credentials.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError, type Verdict } from '../upstream/verdict.ts';
import { createSourcePool, type SourcePool } from './source-pool.ts';

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

describe('sources that change', () => {
  const two: Source = { ...source, id: 'b', url: 'http://b.test', priority: 2 };
  const order = (pool: SourcePool, repository = 'library/app'): string[] => pool.ranked('docker.io', repository).map((one) => one.id);
  const asks = async (pool: SourcePool, one: Source, repository = 'library/app'): Promise<boolean> =>
    'value' in (await pool.ask(one, { ...answering, repository }));

  test('a new list counts at once, and one that is no longer in it is not asked', async () => {
    const { pool } = make();
    pool.replace('docker.io', [two]);
    expect(order(pool)).toEqual(['b']);
    expect(await asks(pool, two)).toBe(true);
    expect(await pool.ask(source, answering)).toMatchObject({ attempt: { verdict: 'skipped', detail: 'no longer a source here' } });
  });

  test('a registry that is added or removed is known or unknown at once', () => {
    const { pool } = make();
    const { names } = pool;
    const told: string[] = [];
    const end = pool.subscribe((registry) => told.push(registry));
    pool.replace('quay.io', []);
    expect([names.has('quay.io'), pool.registries()]).toEqual([true, ['docker.io', 'quay.io']]);
    pool.remove('docker.io');
    end();
    pool.remove('quay.io');
    expect([...names]).toEqual([]);
    expect(told).toEqual(['quay.io', 'docker.io']);
  });

  test('a source keeps its health when only its place changes, and loses it with its address, login, proxy or certificates', async () => {
    const credentials = [fixedCredential('u', new Secret('p'))];
    const changes: Partial<Source>[] = [
      { url: 'http://c.test' },
      { credentials },
      { proxy: 'http://p.test:1' },
      { tls: { insecure: true } },
    ];
    for (const change of changes) {
      const { pool, health } = make();
      await pool.ask(source, answering);
      await pool.ask(source, failing('denied', 403));
      pool.replace('docker.io', [{ ...source, priority: 9, trust: 'authority', operator: 'x' }, two]);
      expect(health.snapshot('a').succeeded).toBe(1);
      expect(await asks(pool, source)).toBe(false);
      pool.replace('docker.io', [{ ...source, ...change }]);
      expect(health.snapshot('a').succeeded).toBe(0);
      expect(await asks(pool, { ...source, ...change })).toBe(true);
    }
  });

  test('what a scope leaves out is neither ranked nor asked', async () => {
    const { pool } = make();
    const scoped: Source = { ...source, scope: { allow: ['library/*'], deny: ['library/secret'] } };
    pool.replace('docker.io', [scoped, two]);
    expect(order(pool)).toEqual(['a', 'b']);
    expect(order(pool, 'library/secret')).toEqual(['b']);
    expect(order(pool, 'other/app')).toEqual(['b']);
    expect(await pool.ask(scoped, { ...answering, repository: 'library/secret' })).toMatchObject({
      error: undefined,
      attempt: { verdict: 'skipped', detail: 'its scope leaves this repository out' },
    });
  });

  test('what was fetched with a login is not public after the login is taken away', () => {
    const { pool } = make();
    pool.replace('docker.io', [{ ...source, credentials: [fixedCredential('u', new Secret('p'))] }]);
    pool.replace('docker.io', [source]);
    expect(pool.isAnonymous('docker.io')).toBe(false);
    pool.replace('quay.io', [two], { isRestricted: true });
    expect(pool.isAnonymous('quay.io')).toBe(false);
  });
});

test('a spent pull quota stops manifests at this source, not HEADs and blobs', async () => {
  const { pool, health } = make();
  health.report('a', { verdict: 'quota-spent', ms: 1 });
  const asked: string[] = [];
  for (const kind of ['manifest', 'head', 'blob'] as const) {
    const answer = await pool.ask(source, { repository: 'x/y', kind, run: async () => kind });
    asked.push('value' in answer ? answer.value : (answer.attempt.detail ?? ''));
  }
  expect(asked.slice(1)).toEqual(['head', 'blob']);
  expect(asked[0]).toContain('not asked again yet');
});
