// The rules for tags, continued: what is missing or was taken away, answers ahead of their check, several sources without an authority.

import { describe, expect, test } from 'bun:test';
import { OciError } from '../oci/errors.ts';
import { requireTag } from '../oci/reference.ts';
import { one, target, two, world } from './tag-fixture.ts';

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
const _unconfirmed = expect.stringMatching(/^299 - "unconfirmed tag/);

describe('a tag its registry does not have', () => {
  test('is asked for once in thirty seconds, however often it is pulled', async () => {
    const { resolve, says, clock, asked } = world(['A']);
    says.set('A', 'not-found');
    for (let times = 0; times < 1000; times++) expect(await codeOf(resolve())).toBe('MANIFEST_UNKNOWN');
    expect(asked).toEqual(['GET A']);
    says.set('A', one);
    clock.advance(30 * second - 1);
    expect(await codeOf(resolve())).toBe('MANIFEST_UNKNOWN');
    clock.advance(1);
    expect(await resolve()).toEqual(one);
    expect(asked).toEqual(['GET A', 'GET A']);
  });

  test('because it shut the repository down is asked for once in an hour, whatever the tag', async () => {
    const { resolve, resolver, says, clock, asked } = world(['A']);
    says.set('A', 'gone');
    const failure = await resolve().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'MANIFEST_UNKNOWN', message: expect.stringContaining('shut this repository down') });
    clock.advance(60 * minute - 1);
    expect(await codeOf(resolver.resolve(target, requireTag('another')))).toBe('MANIFEST_UNKNOWN');
    expect(asked).toEqual(['GET A']);
    says.set('A', one);
    clock.advance(1);
    expect(await resolve()).toEqual(one);
  });

  test('is here at once when it came by another way', async () => {
    const { resolve, says, store, clock } = world(['A']);
    says.set('A', 'not-found');
    expect(await codeOf(resolve())).toBe('MANIFEST_UNKNOWN');
    await store(one, clock.nowMs() - 2 * minute);
    says.set('A', one);
    expect(await resolve()).toEqual(one);
  });
});

describe('a cached tag its registry took away', () => {
  const removed = async (rules: Parameters<typeof world>[1] = {}) => {
    const found = world(['A', 'm', 'n'], rules);
    await found.resolve();
    found.says.set('A', 'not-found');
    found.clock.advance(minute);
    const first = found.resolve().catch((error: unknown) => error);
    await settle();
    found.clock.advance(250);
    return { ...found, first: await first };
  };

  test('stays away while the registry cannot be asked, whatever mirrors say, for as long as a digest would stay', async () => {
    const { resolve, says, clock, asked } = await removed();
    says.set('A', 'refused');
    clock.advance(minute);
    const failure = await resolve().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'MANIFEST_UNKNOWN', message: expect.stringContaining('had no such tag any more at 2023-') });
    expect(asked.filter((one) => /[mn]$/.test(one))).toEqual([]);
    clock.advance(30 * day);
    expect((await resolve()).digest).toBe(one.digest);
  });

  test('is back as soon as the registry has it again', async () => {
    const { resolve, says, clock, known } = await removed();
    says.set('A', one);
    clock.advance(30 * second);
    expect(await resolve()).toEqual(one);
    expect(known()?.removedAtMs).toBeNull();
  });

  test('is kept with a warning where the policy says so', async () => {
    const { resolve, first, asked, known, clock, says } = await removed({ rules: { onUpstreamDelete: 'keep' } });
    const kept = { ...one, warning: expect.stringMatching(/^299 - "kept tag, last verified 2023-/) };
    expect(first).toEqual(kept);
    const before = asked.length;
    expect(await resolve()).toEqual(kept);
    expect(asked).toHaveLength(before);
    expect(known()?.removedAtMs).toBeNull();
    says.set('A', two);
    clock.advance(minute);
    expect(await resolve()).toEqual(two);
  });

  test('is not believed gone when another authority has it, or when nobody confirms it', async () => {
    const { resolve, says, clock } = world(['A', 'B']);
    await resolve();
    says.set('A', 'not-found');
    clock.advance(minute);
    expect(await resolve()).toEqual(one);
    says.set('B', 'refused');
    clock.advance(minute);
    const answer = resolve();
    await settle();
    says.set('A', 'server-error');
    clock.advance(250);
    expect(await answer).toEqual({ ...one, warning: stale });
  });
});

describe('within stale_while_revalidate', () => {
  const rules = { rules: [{ match: 'docker.io/library/*:v*', staleWhileRevalidateMs: 10 * minute }] };

  test('the known digest is the answer at once, and one check runs behind it', async () => {
    const { resolve, says, clock, asked, known } = world(['A'], { rules });
    await resolve();
    says.set('A', two);
    clock.advance(minute);
    expect(await Promise.all(Array.from({ length: 50 }, resolve))).toEqual(Array.from({ length: 50 }, () => one));
    await settle();
    expect(known()?.digest).toBe(two.digest);
    expect(await resolve()).toEqual(two);
    expect(asked).toEqual(['GET A', 'HEAD A', `GET ${two.digest.slice(0, 12)}`]);
  });

  test('a check that failed is told, and behind it the pull waits again', async () => {
    const { resolve, says, clock } = world(['A'], { rules });
    await resolve();
    says.set('A', 'server-error');
    clock.advance(minute);
    expect(await resolve()).toEqual(one);
    await settle();
    expect(await resolve()).toEqual({ ...one, warning: stale });
    says.set('A', two);
    clock.advance(11 * minute);
    expect(await resolve()).toEqual(two);
  });
});

describe('of several sources without an authority', () => {
  test('two that agree on what the tag meant before do not turn it back', async () => {
    const { resolve, says, clock, held } = world(['A', 'm', 'n']);
    await resolve();
    says.set('A', 'refused');
    held.add(two.digest);
    for (const name of ['m', 'n']) says.set(name, two);
    clock.advance(minute);
    expect(await resolve()).toEqual({ ...one, warning: stale });
  });

  test('the one that says something else than the others is an alarm, and not believed on tags for a day', async () => {
    const { resolve, says, clock, alarms, asked } = world(['A', 'm', 'n', 'o']);
    says.set('A', 'refused');
    says.set('m', two);
    expect(await resolve()).toEqual(one);
    expect(alarms).toMatchObject([{ kind: 'tag-poisoned', fields: { source: 'http://m.test', tag: 'v1', digest: two.digest } }]);
    const before = asked.length;
    clock.advance(23 * 60 * minute);
    await resolve();
    expect(asked.slice(before).filter((one) => one.endsWith(' m'))).toEqual([]);
  });
});

describe('a policy for when no authority can be asked', () => {
  test('quorum: one alone is not served, two that agree are', async () => {
    const { resolve, says, clock } = world(['A', 'm', 'n'], { rules: { withoutAuthority: 'quorum' } });
    says.set('A', 'refused');
    says.set('n', 'refused');
    expect(await codeOf(resolve())).toBe('UNAVAILABLE');
    says.set('n', one);
    clock.advance(minute);
    expect(await resolve()).toEqual(one);
  });

  test('known: nobody makes a tag or moves one, the last word of an authority stands', async () => {
    const { resolve, says, clock, asked } = world(['A', 'm', 'n'], { rules: { withoutAuthority: 'known' } });
    says.set('A', 'refused');
    expect(await codeOf(resolve())).toBe('UNAVAILABLE');
    says.set('A', one);
    clock.advance(minute);
    expect(await resolve()).toEqual(one);
    says.set('A', 'refused');
    for (const name of ['m', 'n']) says.set(name, two);
    clock.advance(minute);
    expect(await resolve()).toEqual({ ...one, warning: stale });
    expect(asked.filter((what) => / [mn]$/.test(what))).toEqual(['HEAD m']);
  });
});

describe('a comparison behind an answer', () => {
  const compared = async (setUp: (found: ReturnType<typeof world>) => void) => {
    const found = world(['A', 'm']);
    await found.resolve();
    found.clock.advance(minute);
    setUp(found);
    await found.resolve();
    await found.drift.settle();
    return found;
  };

  test('is made once in a minute at most, and of each source once in ten', async () => {
    const { asked, resolve, clock, alarms } = await compared(() => undefined);
    expect(asked).toEqual(['GET A', 'HEAD A', 'HEAD m']);
    for (let times = 0; times < 9; times++) {
      clock.advance(minute);
      await resolve();
    }
    expect(asked.filter((one) => one === 'HEAD m')).toHaveLength(1);
    clock.advance(minute);
    await resolve();
    expect(asked.filter((one) => one === 'HEAD m')).toHaveLength(2);
    expect(alarms).toEqual([]);
  });

  test('finds a source that is behind by what the registry still has', async () => {
    const { alarms, drift } = await compared(({ says, atAuthority }) => {
      says.set('m', two);
      atAuthority.add(two.digest);
    });
    expect(alarms).toMatchObject([{ kind: 'tag-drift', fields: { source: 'http://m.test', digest: two.digest, expected: one.digest } }]);
    expect(drift.evidence(target.name, 'v1')?.attempts[0]?.detail).toContain('behind');
  });

  test('suspects one of poison whose digest the registry never had, and believes it on no tag', async () => {
    const { alarms, says, resolve, clock } = await compared((found) => found.says.set('m', two));
    expect(alarms.map((alarm) => alarm.kind)).toEqual(['tag-poisoned']);
    says.set('A', 'refused');
    clock.advance(31 * day - 30 * day);
    expect((await resolve()).warning).toEqual(stale);
  });

  test('says nothing when the tag moved meanwhile', async () => {
    const { alarms } = await compared(({ says, headSays, asked }) => {
      says.set('m', two);
      const push = asked.push.bind(asked);
      asked.push = (...what) => {
        if (what.includes('HEAD m')) headSays.set('A', two.digest);
        return push(...what);
      };
    });
    expect(alarms).toEqual([]);
  });
});
