// The rules for tags on a clock that tests move: who is believed, for how long, and what rests after a failure.

import { describe, expect, test } from 'bun:test';
import { digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { requireTag } from '../oci/reference.ts';
import { type ManifestAnswer, manifestUnknown } from './answers.ts';
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

  test.each(['not-found', 'gone'] as const)('that says %s decides, also on what is cached once it says so again', async (verdict) => {
    const { resolve, says, clock, asked, known } = world(['A', 'm', 'n']);
    await resolve();
    says.set('A', verdict);
    clock.advance(minute);
    const code = codeOf(resolve());
    await settle();
    expect(known()?.removedAtMs).toBeNull();
    clock.advance(250);
    expect(await code).toBe('MANIFEST_UNKNOWN');
    expect(known()?.removedAtMs).toBe(clock.nowMs());
    expect(asked.filter((one) => one.endsWith('m') || one.endsWith('n'))).toEqual([]);
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
    content.set(two.digest, new OciError('UNAVAILABLE', 'scripted'));
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

  test('two doors of one operator are no two witnesses', async () => {
    const { resolve, known } = world(['m', 'n'], { operators: { m: 'somebody', n: 'somebody' } });
    expect((await resolve()).warning).toEqual(unconfirmed);
    expect(known()?.trust).toBe('unconfirmed');
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

describe('HEAD', () => {
  test('that is refused by a source that answers GET is not tried again for an hour', async () => {
    const { resolve, says, clock, asked, headFails } = world(['A']);
    headFails.add('A');
    await resolve();
    for (let times = 0; times < 2; times++) {
      clock.advance(minute);
      expect((await resolve()).warning).toBeUndefined();
    }
    expect(asked).toEqual(['GET A', 'HEAD A', 'GET A', 'GET A']);
    says.set('A', two);
    clock.advance(60 * minute);
    expect((await resolve()).digest).toBe(two.digest);
    expect(asked.slice(4)).toEqual(['HEAD A', 'GET A']);
  });

  test('that tells a digest the authority does not have gives way to the body', async () => {
    const { resolve, says, clock, asked, headSays, content, known } = world(['A']);
    await resolve();
    const lie = digestOf(new TextEncoder().encode('nothing has this'));
    headSays.set('A', lie);
    content.set(lie, manifestUnknown({ kind: 'digest', digest: lie }));
    clock.advance(minute);
    expect(await resolve()).toEqual(one);
    says.set('A', two);
    clock.advance(minute);
    expect(await resolve()).toEqual(two);
    expect(known()?.verifiedAtMs).toBe(clock.nowMs());
    expect(asked).toEqual(['GET A', 'HEAD A', `GET ${lie.slice(0, 12)}`, 'GET A', 'GET A']);
  });
});

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
