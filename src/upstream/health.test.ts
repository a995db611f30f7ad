import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createFakeClock } from '../lib/clock.ts';
import { createSourceHealth, healthNumbers, type SourceHealth } from './health.ts';
import { outcome, setUp, source } from './health-fixture.ts';
import type { Source } from './source.ts';
import type { Verdict } from './verdict.ts';

describe('the breaker', () => {
  test('opens at once when no connection can be made, for five seconds first', () => {
    for (const verdict of [
      'dns',
      'refused',
      'unreachable',
      'connect-timeout',
      'tls',
      'timeout',
      'html',
      'private-address',
      'foreign-realm',
    ] as const) {
      const { clock, health, report } = setUp();
      report(verdict);
      expect(health.allow('a')).toBe('no');
      expect(health.snapshot('a').state).toBe('open');
      clock.advance(4_999);
      expect(health.allow('a')).toBe('no');
      clock.advance(1);
      expect(health.snapshot('a').state).toBe('half-open');
      expect(health.allow('a')).toBe('trial');
    }
  });

  test('opens after three faults in a row; a success in between starts the count again', () => {
    const { health, report } = setUp();
    report('server-error');
    report('truncated');
    report('ok');
    report('server-error');
    report('server-error');
    expect(health.allow('a')).toBe('yes');
    report('stalled');
    expect(health.allow('a')).toBe('no');
  });

  test('gives one trial at a time; success closes it, failure doubles the wait up to five minutes', () => {
    const { clock, health, report } = setUp();
    report('refused');
    for (const waitMs of [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
      expect(health.snapshot('a').blockedForMs).toBe(waitMs);
      clock.advance(waitMs);
      expect(health.allow('a')).toBe('trial');
      expect(health.allow('a')).toBe('no');
      report('refused');
    }
    clock.advance(300_000);
    expect(health.allow('a')).toBe('trial');
    report('ok');
    expect(health.allow('a')).toBe('yes');
    expect(health.snapshot('a').state).toBe('up');
    report('refused');
    expect(health.snapshot('a').blockedForMs).toBe(5_000);
  });

  test('the failures of requests already under way do not lengthen the wait, their successes do not end it', () => {
    const { health, report } = setUp();
    for (let count = 0; count < 100; count++) report('refused');
    expect(health.snapshot('a').blockedForMs).toBe(5_000);
    report('ok');
    expect(health.allow('a')).toBe('no');
  });

  test('a trial whose caller left, or that was never reported, frees its place', () => {
    const { clock, health, report } = setUp();
    report('refused');
    clock.advance(5_000);
    expect(health.allow('a')).toBe('trial');
    report('aborted');
    expect(health.allow('a')).toBe('trial');
    clock.advance(30_000);
    expect(health.allow('a')).toBe('trial');
  });

  test('what says nothing on the source leaves it up', () => {
    const { health, report } = setUp();
    for (let count = 0; count < 20; count++)
      for (const verdict of ['aborted', 'busy', 'not-found', 'token-error', 'denied', 'unauthorized'] as const) report(verdict);
    expect(health.allow('a')).toBe('yes');
    expect(health.snapshot('a').state).toBe('up');
  });

  test('never blocks longer than five minutes and gives at most one trial per time it opens, whatever happens', () => {
    const verdicts: readonly (Verdict | 'ok')[] = [
      'ok',
      'refused',
      'server-error',
      'rate-limited',
      'denied',
      'not-found',
      'wrong-digest',
      'aborted',
      'token-error',
      'timeout',
    ];
    const step = fc.oneof(
      fc.record({ kind: fc.constant('report' as const), verdict: fc.constantFrom(...verdicts), retryAfterMs: fc.nat(86_400_000) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(400_000) }),
      fc.record({ kind: fc.constant('allow' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, health, report } = setUp();
        let trialAtMs: number | undefined;
        for (const item of steps) {
          if (item.kind === 'wait') clock.advance(item.ms);
          else if (item.kind === 'report') {
            report(item.verdict, { retryAfterMs: item.retryAfterMs });
            trialAtMs = undefined;
          } else {
            const answer = health.allow('a');
            const isHeld = trialAtMs !== undefined && clock.monotonicMs() - trialAtMs < 30_000;
            if (isHeld) expect(answer).toBe('no');
            if (answer === 'trial') trialAtMs = clock.monotonicMs();
          }
          expect(health.snapshot('a').blockedForMs).toBeLessThanOrEqual(300_000);
        }
        clock.advance(300_000);
        expect(health.allow('a')).not.toBe('no');
      }),
    );
  });
});

describe('limits and refusals', () => {
  test('a limited source is left alone until Retry-After, a minute when it does not say, five minutes at most', () => {
    for (const [retryAfterMs, waitMs] of [
      [7_000, 7_000],
      [undefined, 60_000],
      [86_400_000, 300_000],
    ] as const) {
      const { clock, health, report } = setUp();
      report('rate-limited', retryAfterMs === undefined ? {} : { retryAfterMs });
      expect(health.snapshot('a').state).toBe('limited');
      clock.advance(waitMs - 1);
      expect(health.allow('a')).toBe('no');
      clock.advance(1);
      expect(health.allow('a')).toBe('yes');
    }
  });

  test('a refused repository is not asked for again for twelve hours, others are', () => {
    const { clock, health, report } = setUp();
    report('denied', { repository: 'library/x' });
    expect(health.allow('a', 'library/x')).toBe('no');
    expect(health.allow('a', 'library/y')).toBe('yes');
    expect(health.allow('b', 'library/x')).toBe('yes');
    clock.advance(healthNumbers.refusalMs);
    expect(health.allow('a', 'library/x')).toBe('yes');
  });

  test('an authority’s refusal and a missing login last a minute', () => {
    for (const more of [{ verdict: 'denied', trust: 'authority' }, { verdict: 'unauthorized' }] as const) {
      const { clock, health } = setUp();
      health.report('a', outcome(more.verdict, { repository: 'x', ...more }));
      expect(health.allow('a', 'x')).toBe('no');
      clock.advance(60_000);
      expect(health.allow('a', 'x')).toBe('yes');
    }
  });
});

describe('trust', () => {
  test('a source is clean after three verified deliveries of 8 MiB in all and never before', () => {
    const { health, report } = setUp();
    const bytes = 4 * 1024 * 1024;
    report('ok', { verified: true, bytes });
    report('ok', { bytes });
    report('ok', { verified: true, bytes });
    expect(health.clean('a')).toBe(false);
    report('ok', { verified: true, bytes: 10 });
    expect(health.clean('a')).toBe(true);
  });

  test('many small deliveries make no source clean', () => {
    const { health, report } = setUp();
    for (let count = 0; count < 1000; count++) report('ok', { verified: true, bytes: 1000 });
    expect(health.clean('a')).toBe(false);
  });

  test('a wrong digest quarantines it for ten minutes and takes the record away', () => {
    const { clock, health, report } = setUp();
    for (let count = 0; count < 5; count++) report('ok', { verified: true });
    report('wrong-digest');
    expect(health.isQuarantined('a')).toBe(true);
    expect(health.clean('a')).toBe(false);
    expect(health.snapshot('a')).toMatchObject({ state: 'quarantined', evidence: 'wrong-digest', verdicts: { 'wrong-digest': 1 } });
    clock.advance(healthNumbers.quarantineMs);
    expect(health.isQuarantined('a')).toBe(false);
    expect(health.clean('a')).toBe(false);
  });

  test('the evidence that was given stays beside the report of the same lie', () => {
    const { health, report } = setUp();
    health.quarantine('a', 'blob sha256:aa: got sha256:bb');
    report('wrong-digest');
    expect(health.snapshot('a').evidence).toBe('blob sha256:aa: got sha256:bb');
  });
});

describe('the rank', () => {
  const ids = (health: SourceHealth, sources: readonly Source[], repository?: string): string =>
    health
      .rank(sources, repository)
      .map((entry) => entry.id)
      .join(' ');

  test('is by priority, and by pace among equals', () => {
    const { health } = setUp();
    health.report('slow', outcome('ok', { ms: 900 }));
    health.report('fast', outcome('ok', { ms: 20 }));
    expect(ids(health, [source('last', 20), source('slow'), source('fast')])).toBe('fast slow last');
  });

  test('puts what may not be asked last, for the repository in question', () => {
    const { health } = setUp();
    health.report('a', outcome('denied', { repository: 'x' }));
    health.report('b', outcome('refused'));
    expect(ids(health, [source('b', 1), source('a', 2), source('c', 3)], 'x')).toBe('c b a');
    expect(ids(health, [source('b', 1), source('a', 2), source('c', 3)], 'y')).toBe('a c b');
  });

  test('puts a quarantined source behind all that may be asked', () => {
    const { health } = setUp();
    health.quarantine('a', 'x');
    expect(ids(health, [source('a', 1), source('b', 2)])).toBe('b a');
  });

  test('a flapping source falls behind once and does not come and go', () => {
    const { clock, health } = setUp();
    let changes = 0;
    let before = 'a b';
    for (let second = 0; second < 120; second++) {
      health.report('a', outcome(second % 2 === 0 ? 'server-error' : 'ok'));
      health.report('a', outcome(second % 2 === 0 ? 'server-error' : 'ok'));
      health.report('b', outcome('ok'));
      const now = ids(health, [source('a', 1), source('b', 2)]);
      if (now !== before) changes++;
      before = now;
      clock.advance(1_000);
    }
    expect(before).toBe('b a');
    expect(changes).toBe(1);
  });

  test('a source that was down takes its place again after one good trial', () => {
    const { clock, health } = setUp();
    const sources = [source('a', 1), source('b', 2)];
    health.report('a', outcome('refused'));
    for (let count = 0; count < 8; count++) {
      clock.advance(300_000);
      expect(ids(health, sources)).toBe('a b');
      expect(health.allow('a')).toBe('trial');
      health.report('a', outcome('refused'));
      expect(ids(health, sources)).toBe('b a');
    }
    clock.advance(300_000);
    health.allow('a');
    health.report('a', outcome('ok'));
    expect(ids(health, sources)).toBe('a b');
  });

  test('keeps every source exactly once', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.stringMatching(/^[a-z]{1,5}$/), { maxLength: 12 }),
        fc.array(fc.constantFrom('ok', 'refused', 'denied', 'wrong-digest', 'rate-limited'), { maxLength: 30 }),
        (names, verdicts) => {
          const { health } = setUp();
          for (const [index, verdict] of verdicts.entries())
            health.report(names[index % Math.max(1, names.length)] ?? 'z', outcome(verdict as Verdict, { repository: 'x' }));
          const ranked = health.rank(
            names.map((name, index) => source(name, index % 3)),
            'x',
          );
          expect(ranked.map((entry) => entry.id).sort()).toEqual([...names].sort());
        },
      ),
    );
  });
});

test('a snapshot counts what happened', () => {
  const { clock, health, report } = setUp();
  report('ok', { ms: 100, bytes: 5 });
  report('ok', { ms: 200, bytes: 7 });
  report('not-found');
  report('aborted', { bytes: 3 });
  expect(health.snapshot('a')).toEqual({
    state: 'up',
    lastVerdict: 'not-found',
    lastAtMs: clock.nowMs(),
    succeeded: 2,
    failed: 1,
    verdicts: { 'not-found': 1 },
    averageMs: 120,
    bytes: 15,
    failuresInARow: 0,
    blockedForMs: 0,
    clean: false,
    firstByteP95Ms: 200,
  });
  health.forget('a');
  expect(health.snapshot('a').succeeded).toBe(0);
});

test('every report is told to the listener, and forgetting a source leaves the others', () => {
  const told: string[] = [];
  const health = createSourceHealth({ clock: createFakeClock(), onOutcome: (id, outcome) => told.push(`${id} ${outcome.verdict}`) });
  for (const id of ['a', 'b']) {
    health.report(id, { verdict: 'denied', ms: 1, repository: 'x/y' });
    health.report(id, { verdict: 'ok', ms: 1 });
  }
  expect(told).toEqual(['a denied', 'a ok', 'b denied', 'b ok']);
  health.forget('a');
  expect([health.allow('a', 'x/y'), health.allow('b', 'x/y')]).toEqual(['yes', 'no']);
  expect([health.snapshot('a').succeeded, health.snapshot('b').succeeded]).toEqual([0, 1]);
});

test('the first-byte budget is one second for an unknown source and follows what it does', () => {
  const health = createSourceHealth({ clock: createFakeClock() });
  expect(health.firstByteBudgetMs('a')).toBe(1_000);
  health.report('a', { verdict: 'ok', ms: 900, firstByteMs: 400 });
  expect([health.firstByteBudgetMs('a'), health.snapshot('a').firstByteP95Ms]).toEqual([600, 400]);
});
