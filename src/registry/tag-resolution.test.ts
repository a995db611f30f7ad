// The rules for tags on a clock that tests move: who is believed, for how long, and what rests after a failure.

import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { OciError } from '../oci/errors.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { type ManifestAnswer, manifestUnknown } from './answers.ts';
import { mirrorTimings } from './mirror-timings.ts';
import { createSourcePool } from './source-pool.ts';
import { one, tag, target, two, world } from './tag-fixture.ts';
import { createTagResolver } from './tag-resolution.ts';

const second = 1000;
const minute = 60 * second;
const day = 24 * 60 * minute;

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) => (error instanceof OciError ? error.code : String(error)),
  );
}
const stale = expect.stringMatching(/^299 - "stale tag/);
const unconfirmed = expect.stringMatching(/^299 - "unconfirmed tag/);

describe('an authority', () => {
  test('ranked first is asked for the manifest itself when nothing is known, and by HEAD afterwards', async () => {
    const { resolve, asked, clock } = world(['A']);
    expect(await resolve()).toEqual(one);
    clock.advance(minute - 1);
    await resolve();
    expect(asked).toEqual(['GET A']);
    clock.advance(1);
    expect((await resolve()).warning).toBeUndefined();
    expect(asked).toEqual(['GET A', 'HEAD A']);
  });

  test('behind a mirror is asked by HEAD, and the content taken by digest', async () => {
    const { resolve, asked } = world(['m', 'A']);
    expect((await resolve()).digest).toBe(one.digest);
    expect(asked).toEqual(['HEAD A', `GET ${one.digest.slice(0, 12)}`]);
  });

  test('that is down gives place to the next one', async () => {
    const { resolve, says, asked } = world(['A', 'B']);
    says.set('A', 'refused');
    says.set('B', two);
    expect((await resolve()).digest).toBe(two.digest);
    expect(asked).toEqual(['GET A', 'GET B']);
  });

  test.each(['not-found', 'gone'] as const)('that says %s decides, also on what is cached', async (verdict) => {
    const { resolve, says, clock } = world(['A', 'm', 'n']);
    await resolve();
    says.set('A', verdict);
    clock.advance(minute);
    expect(await codeOf(resolve())).toBe('MANIFEST_UNKNOWN');
  });

  test('that delivered wrong content is not believed: nobody is left to say', async () => {
    const { resolve, quarantine } = world(['A']);
    quarantine('A');
    const failure = await resolve().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('wrong content') });
  });
});

describe('a known tag whose authority is silent', () => {
  test('is answered at the deadline, then at once for ten seconds, then checked again', async () => {
    const { resolve, says, clock, asked, failures } = world(['A']);
    await resolve();
    says.set('A', 'silence');
    clock.advance(minute);
    let answered: ManifestAnswer | undefined;
    const first = resolve().then((answer) => {
      answered = answer;
    });
    await settle();
    clock.advance(2 * second - 1);
    await settle();
    expect(answered).toBeUndefined();
    clock.advance(1);
    await first;
    expect(answered).toEqual({ ...one, warning: stale });
    await settle();
    const before = asked.length;
    clock.advance(9 * second);
    expect((await resolve()).warning).toEqual(stale);
    expect(asked).toHaveLength(before);
    expect(failures).toEqual([`${target.name} v1`]);
    says.set('A', one);
    clock.advance(second);
    expect((await resolve()).warning).toBeUndefined();
    expect(asked.length).toBeGreaterThan(before);
  });

  test('is answered at the deadline when a second authority is silent too', async () => {
    const { resolve, says, clock } = world(['A', 'B', 'm']);
    await resolve();
    for (const name of ['A', 'B', 'm']) says.set(name, 'silence');
    clock.advance(minute);
    const answer = resolve();
    await settle();
    clock.advance(2 * second);
    expect((await answer).warning).toEqual(stale);
  });

  test('stays at its digest while the manifest of a moved one does not come, and moves when it has come', async () => {
    const { resolve, says, clock, content, known } = world(['A']);
    await resolve();
    says.set('A', two);
    content.set(two.digest, undefined);
    clock.advance(minute);
    const late = resolve();
    await settle();
    clock.advance(2 * second);
    expect(await late).toEqual({ ...one, warning: stale });
    expect(known()?.digest).toBe(one.digest);
  });

  test('stays at its digest when the manifest of a moved one cannot be had', async () => {
    const { resolve, says, clock, content } = world(['A']);
    await resolve();
    says.set('A', two);
    content.set(two.digest, manifestUnknown({ kind: 'digest', digest: two.digest }));
    clock.advance(minute);
    expect(await resolve()).toEqual({ ...one, warning: stale });
  });

  test('is served stale for thirty days and no longer', async () => {
    const { resolve, says, clock } = world(['A']);
    await resolve();
    says.set('A', 'refused');
    clock.advance(30 * day - 1);
    expect((await resolve()).warning).toEqual(stale);
    clock.advance(minute);
    expect(await codeOf(resolve())).toBe('UNAVAILABLE');
  });
});

describe('without an authority', () => {
  test('one source alone is unconfirmed, and asked again after the TTL', async () => {
    const { resolve, says, clock, known, asked } = world(['A', 'm']);
    says.set('A', 'refused');
    expect((await resolve()).warning).toEqual(unconfirmed);
    expect(known()?.trust).toBe('unconfirmed');
    const before = asked.length;
    expect((await resolve()).warning).toEqual(unconfirmed);
    expect(asked).toHaveLength(before);
    says.set('A', one);
    clock.advance(minute);
    expect((await resolve()).warning).toBeUndefined();
    expect(known()?.trust).toBe('confirmed');
  });

  test('two that agree are believed, and two that do not are not', async () => {
    const agreeing = world(['m', 'n', 'o']);
    agreeing.says.set('m', two);
    expect((await agreeing.resolve()).digest).toBe(one.digest);
    expect(agreeing.known()?.trust).toBe('confirmed');
    const apart = world(['m', 'n']);
    apart.says.set('n', two);
    expect(await apart.resolve()).toMatchObject({ digest: one.digest, warning: unconfirmed });
  });

  test('two doors of one host are no two witnesses', async () => {
    const clock = createFakeClock();
    const health = createSourceHealth({ clock });
    const doors = ['/a', '/b'].map(
      (path, priority): Source => ({
        id: path,
        registry: 'docker.io',
        url: `http://m.test${path}`,
        trust: 'digest-only',
        priority,
        realms: [],
      }),
    );
    const trusts: string[] = [];
    const resolver = createTagResolver({
      content: { manifestByTag: async () => undefined },
      database: { run: async () => undefined as never },
      client: { headManifest: async () => ({ digest: one.digest }) },
      pool: createSourcePool({ sources: new Map([['docker.io', doors]]), health, clock }),
      fetcher: {
        byTag: async () => one,
        byDigest: async () => one,
        setTag: async (_target, _tag, _manifest, trust) => void trusts.push(trust),
      },
      rules: { tagTtlMs: minute, staleIfErrorMs: day, revalidateTimeoutMs: second },
      timings: mirrorTimings,
      clock,
      onFailure: () => undefined,
    });
    await resolver.resolve(target, tag);
    expect(trusts).toEqual(['unconfirmed']);
  });

  test('nobody alone overrides what is known, two together do', async () => {
    const { resolve, says, clock, known } = world(['A', 'm', 'n']);
    await resolve();
    says.set('A', 'refused');
    says.set('m', two);
    says.set('n', 'refused');
    clock.advance(minute);
    expect(await resolve()).toEqual({ ...one, warning: stale });
    says.set('n', two);
    clock.advance(minute);
    expect(await resolve()).toEqual(two);
    expect(known()?.trust).toBe('confirmed');
  });

  test('a source that still has the known digest confirms it', async () => {
    const { resolve, says, clock, known } = world(['A', 'm', 'n']);
    await resolve();
    says.set('A', 'server-error');
    says.set('m', two);
    clock.advance(minute);
    expect((await resolve()).warning).toBeUndefined();
    expect(known()?.verifiedAtMs).toBe(clock.nowMs());
  });

  test('what is too old to be served is no known answer: one source alone may replace it, unconfirmed', async () => {
    const { resolve, says, clock, known } = world(['A', 'm']);
    await resolve();
    says.set('A', 'refused');
    says.set('m', two);
    clock.advance(30 * day);
    expect(await resolve()).toEqual({ ...two, warning: unconfirmed });
    expect(known()?.trust).toBe('unconfirmed');
  });

  test('a 404 of a mirror is no absence', async () => {
    const { resolve, says } = world(['m']);
    says.set('m', 'not-found');
    expect(await codeOf(resolve())).not.toBe('MANIFEST_UNKNOWN');
  });
});

test('a clock that went back makes nothing fresh', async () => {
  const { resolve, setWall, asked } = world(['A']);
  await resolve();
  setWall(-day);
  await resolve();
  expect(asked).toEqual(['GET A', 'HEAD A']);
});

test('a herd shares one check', async () => {
  const { resolve, asked } = world(['A']);
  await Promise.all(Array.from({ length: 20 }, resolve));
  expect(asked).toEqual(['GET A']);
});

test('HEAD that is refused is answered by GET', async () => {
  const { resolve, says, asked, clock } = world(['A']);
  await resolve();
  clock.advance(minute);
  says.set('A', 'denied');
  expect((await resolve()).warning).toEqual(stale);
  expect(asked.slice(1)).toEqual(['HEAD A', 'GET A']);
});
