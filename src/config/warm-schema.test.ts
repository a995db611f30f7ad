import { expect, test } from 'bun:test';
import { buildWarm, printWarm, warmSettings } from './warm-schema.ts';

const parse = (entries: unknown) => warmSettings.safeParse(entries);
const good = { name: 'nightly', schedule: '30 2 * * *', images: ['nginx:1.27'] };

test('a schedule is read with its defaults, and what is printed is read as the same', () => {
  const entries = [
    good,
    { ...good, name: 'pinned', images: undefined, pins: 'site', bandwidth: '20MiB', platforms: 'linux/arm64,linux/amd64' },
  ];
  const built = buildWarm(warmSettings.parse(entries));
  expect(built[0]).toEqual({
    name: 'nightly',
    schedule: '30 2 * * *',
    from: { kind: 'images', images: ['nginx:1.27'] },
    platforms: [{ os: 'linux', architecture: 'amd64' }],
    concurrency: 4,
  });
  expect(built[1]).toMatchObject({ from: { kind: 'pins', set: 'site' }, bandwidthBytes: 20 * 1024 * 1024 });
  expect(buildWarm(warmSettings.parse(printWarm(built)))).toEqual(built);
});

test('a pinned set goes without platforms of its own', () => {
  const [built] = buildWarm(warmSettings.parse([{ name: 'p', schedule: '0 0 * * 0', pins: 'site' }]));
  expect(built?.platforms).toBeUndefined();
});

test('what means nothing is refused', () => {
  for (const schedule of ['', 'nightly', '* * * *', '0 0 31 2 *', '60 * * * *', '* * * * * *'])
    expect(parse([{ ...good, schedule }]).success).toBe(false);
  for (const more of [
    { file: 'x' },
    { pins: 'x' },
    { images: undefined },
    { images: [] },
    { platforms: 'linux' },
    { bandwidth: '1B' },
    { name: 'a b' },
  ])
    expect([more, parse([{ ...good, ...more }]).success]).toEqual([more, false]);
  expect(parse([good, good]).success).toBe(false);
});
