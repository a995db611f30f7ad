// The rules for tags on a clock that tests move: who is believed, for how long, and what rests after a failure.

import { describe, expect, test } from 'bun:test';
import { digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
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
