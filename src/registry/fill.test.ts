// Seeded simulations of one fill: sources that break off, lie, refuse or ignore ranges, readers who come and go at any time, on a store in
// memory. Whatever happens, nobody reads to the end of wrong bytes, nobody waits for ever, and one honest source is enough.

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Source } from '../upstream/source.ts';
import type { Verdict } from '../upstream/verdict.ts';
import { smallBlobMaxBytes } from './blob-race.ts';
import { SourcesFailed } from './fill-round.ts';
import { read, type ScriptedSource, simulate, type Turn } from './fill-simulation.ts';

const holdBackBytes = 64 * 1024;
const runs = process.env['BREAKWATER_FULL'] === '1' ? 1500 : 40;
const large = smallBlobMaxBytes + 300_000;
const trust = fc.constantFrom<Source['trust']>('authority', 'digest-only');
const honest: Turn = { kind: 'honest' };
const transportTurn: fc.Arbitrary<Turn> = fc.oneof(
  fc.record({ kind: fc.constant('silent' as const), forMs: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }) }),
  fc.constantFrom<Turn>(honest, { kind: 'ignores-range' }),
  fc
    .constantFrom<Verdict>('server-error', 'not-found', 'denied', 'rate-limited', 'refused', 'html', 'reset')
    .map((verdict): Turn => ({ kind: 'refuses', verdict })),
  fc
    .record({ afterBytes: fc.integer({ min: 0, max: large }), verdict: fc.constantFrom<'truncated' | 'stalled'>('truncated', 'stalled') })
    .map((cut): Turn => ({ kind: 'breaks', ...cut })),
);
const lyingTurn: fc.Arbitrary<Turn> = fc.oneof(
  transportTurn,
  fc.double({ min: 0, max: 1, noNaN: true }).map((atShare): Turn => ({ kind: 'lies', atShare })),
  fc.integer({ min: 1, max: 1_000_000 }).map((byBytes): Turn => ({ kind: 'misstates', byBytes })),
  fc
    .record({ byBytes: fc.integer({ min: 1, max: 1_000_000 }), afterBytes: fc.integer({ min: 0, max: large }) })
    .map((wrong): Turn => ({ kind: 'misstates', ...wrong })),
);
const sourcesOf = (turn: fc.Arbitrary<Turn>): fc.Arbitrary<readonly ScriptedSource[]> =>
  fc
    .record({
      others: fc.array(fc.record({ trust, turns: fc.array(turn, { minLength: 1, maxLength: 4 }) }), { maxLength: 3 }),
      honestTrust: trust,
      place: fc.nat(),
    })
    .map(({ others, honestTrust, place }) => {
      const at = place % (others.length + 1);
      return [...others.slice(0, at), { trust: honestTrust, turns: [honest] }, ...others.slice(at)];
    });
const readers = fc.array(
  fc.record({
    start: fc.integer({ min: 0, max: large - 1 }),
    turnsBefore: fc.integer({ min: 0, max: 60 }),
    leavesAfter: fc.option(fc.integer({ min: 0, max: 60 }), { freq: 3 }),
  }),
  { minLength: 1, maxLength: 6 },
);

async function turnsOfTheLoop(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function checkRun(options: {
  sources: readonly ScriptedSource[];
  people: readonly { start: number; turnsBefore: number; leavesAfter: number | null }[];
  isSizeKnown: boolean;
  seed: number;
  mayCutOff: boolean;
}): Promise<void> {
  const simulation = simulate({ ...options, sizeBytes: large });
  const reading = options.people.map(async (person) => {
    await turnsOfTheLoop(person.turnsBefore);
    const leaving = new AbortController();
    if (person.leavesAfter !== null)
      void turnsOfTheLoop(person.leavesAfter).then(() => leaving.abort(new DOMException('the client left', 'AbortError')));
    const { bytes, failure } = await read(simulation, person.start, leaving.signal);
    const wanted = simulation.blob.subarray(person.start);
    if (failure === undefined) expect(bytes.equals(wanted)).toBe(true);
    else if (!leaving.signal.aborted) {
      expect(options.mayCutOff).toBe(true);
      expect(bytes.length).toBeLessThanOrEqual(Math.max(0, large - holdBackBytes - person.start));
    }
  });
  const { failure, segments } = await simulation.ended();
  expect(failure).toBeUndefined();
  await Promise.all(reading);
  let at = 0;
  for (const segment of segments) {
    expect(segment.from).toBe(at);
    at = segment.to;
  }
  expect(at).toBe(large);
  expect(simulation.open()).toBe(0);
  expect(simulation.staged()).toBe(0);
  // Whoever lost against a faster one is over soon, too.
  for (let turn = 0; turn < 200 && simulation.answers() > 0; turn++) await Bun.sleep(5);
  expect(simulation.answers()).toBe(0);
  expect(simulation.requests()).toBeLessThanOrEqual(options.sources.length * 4);
}

describe('with one honest source among up to four', () => {
  test('that only fail, every reader who stays gets every byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        sourcesOf(transportTurn),
        readers,
        fc.boolean(),
        fc.integer({ min: 1, max: 1_000_000 }),
        (sources, people, isSizeKnown, seed) => checkRun({ sources, people, isSizeKnown, seed, mayCutOff: false }),
      ),
      { numRuns: runs },
    );
  }, 600_000);

  test('that also lie, no reader comes to the end of wrong bytes, and the blob is had', async () => {
    await fc.assert(
      fc.asyncProperty(
        sourcesOf(lyingTurn),
        readers,
        fc.boolean(),
        fc.integer({ min: 1, max: 1_000_000 }),
        (sources, people, isSizeKnown, seed) => checkRun({ sources, people, isSizeKnown, seed, mayCutOff: true }),
      ),
      { numRuns: runs },
    );
  }, 600_000);
});

describe('with no honest source', () => {
  test('the fill ends, every reader is told, and nothing is kept', async () => {
    const dishonest = fc.array(
      fc.record({
        trust,
        turns: fc.array(
          fc.oneof(fc.constant<Turn>({ kind: 'lies', atShare: 0.5 }), fc.constant<Turn>({ kind: 'refuses', verdict: 'server-error' })),
          { minLength: 1, maxLength: 2 },
        ),
      }),
      { maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(dishonest, readers, fc.integer({ min: 1, max: 1_000_000 }), async (sources, people, seed) => {
        const simulation = simulate({ sources, sizeBytes: large, isSizeKnown: true, seed });
        const reading = people.map(async (person) => {
          await turnsOfTheLoop(person.turnsBefore);
          return read(simulation, person.start, new AbortController().signal);
        });
        const { failure, kept } = await simulation.ended();
        expect(failure).toBeInstanceOf(SourcesFailed);
        expect(kept).toBeUndefined();
        for (const { failure: told, bytes } of await Promise.all(reading)) {
          expect(told).toBeDefined();
          expect(bytes.length).toBeLessThanOrEqual(large - holdBackBytes);
        }
        expect([simulation.open(), simulation.staged()]).toEqual([0, 0]);
      }),
      { numRuns: runs },
    );
  }, 600_000);
});

test('an empty blob is a blob', async () => {
  const simulation = simulate({ sources: [{ trust: 'authority', turns: [honest] }], sizeBytes: 0, isSizeKnown: true, seed: 1 });
  expect((await simulation.ended()).failure).toBeUndefined();
  expect(simulation.requests()).toBe(1);
});

describe('of a blob whose size no manifest states', () => {
  const misstated: Turn = { kind: 'misstates', byBytes: 70_000, afterBytes: 20_000 };

  test('the word of an unproven source is not held against the next one, which goes on where it broke off', async () => {
    const sources: ScriptedSource[] = [
      { trust: 'digest-only', turns: [misstated] },
      { trust: 'authority', turns: [honest] },
    ];
    const simulation = simulate({ sources, sizeBytes: 100_000, isSizeKnown: false, seed: 3 });
    const { failure, segments } = await simulation.ended();
    expect(failure).toBeUndefined();
    expect(segments.map(({ from, to }) => [from, to])).toEqual([
      [0, 20_000],
      [20_000, 100_000],
    ]);
    expect(simulation.requests()).toBe(2);
  });

  test('one that cannot go on where an authority broke off, because its size is another, is asked for the whole', async () => {
    const sources: ScriptedSource[] = [
      { trust: 'authority', turns: [misstated, { kind: 'refuses', verdict: 'server-error' }] },
      { trust: 'authority', turns: [honest] },
    ];
    const simulation = simulate({ sources, sizeBytes: 100_000, isSizeKnown: false, seed: 3 });
    const { failure, segments } = await simulation.ended();
    expect(failure).toBeUndefined();
    expect(segments).toEqual([{ source: 'http://1.test', from: 0, to: 100_000 }]);
  });
});

test('a source is asked twice at most, and only after it broke off', async () => {
  const cases: readonly (readonly [turn: Turn, requests: number])[] = [
    [{ kind: 'refuses', verdict: 'denied' }, 1],
    [{ kind: 'refuses', verdict: 'not-found' }, 1],
    [{ kind: 'refuses', verdict: 'html' }, 1],
    [{ kind: 'refuses', verdict: 'reset' }, 2],
    [{ kind: 'breaks', afterBytes: 1000, verdict: 'truncated' }, 2],
    [{ kind: 'breaks', afterBytes: 0, verdict: 'stalled' }, 2],
    [{ kind: 'lies', atShare: 0 }, 1],
  ];
  for (const [turn, requests] of cases) {
    const simulation = simulate({ sources: [{ trust: 'authority', turns: [turn] }], sizeBytes: 100_000, isSizeKnown: true, seed: 7 });
    expect((await simulation.ended()).failure).toBeInstanceOf(SourcesFailed);
    expect(simulation.requests()).toBe(requests);
  }
});
