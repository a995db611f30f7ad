// `/status.json`, badges and the status of an image, of a running server with scripted sources: what they say, to whom, and what they keep back.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { ImageStatus } from '../../src/registry/image-status.ts';
import type { StatusReport } from '../../src/registry/status.ts';
import { type FakeSource, startFakeSource, status } from '../mirror/fake-source.ts';
import { basic, pull, until } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

setDefaultTimeout(60_000);

let open: RunningBreakwater;
let closed: RunningBreakwater;
let authority: FakeSource;
let whitelist: FakeSource;
let gone: FakeSource;
const popular = imageOf([500]);
const rare = imageOf([500]);

beforeAll(async () => {
  [authority, whitelist, gone] = await Promise.all([startFakeSource(), startFakeSource(), startFakeSource()]);
  await gone.stop();
  for (const source of [authority, whitelist]) {
    source.add('apps/popular', popular, 'v1');
    source.add('apps/rare', rare, 'v1');
  }
  whitelist.rule((request) => (request.path.includes('/apps/rare/') ? status(403)() : undefined));
  const registries = {
    'one.example': {
      sources: [
        { url: authority.url, trust: 'authority', priority: 1 },
        { url: whitelist.url, trust: 'digest-only', priority: 2 },
        { url: gone.url, trust: 'digest-only', priority: 3, proxy: 'http://user-of-the-proxy.test:3128' },
        { url: 'https://mirror.invalid', trust: 'digest-only', priority: 4 },
      ],
    },
    'idle.example': { sources: [{ url: authority.url, trust: 'authority' }] },
    'registry.corp.internal': { sources: [{ url: authority.url, trust: 'authority' }] },
  };
  const config = { presets: false, mirror: { root: 'one.example' }, registries };
  const canaries = { 'one.example': { popular: 'apps/popular:v1', rare: 'apps/rare:v1' } };
  [open, closed] = await Promise.all([
    startBreakwater({
      config: JSON.stringify({ ...config, status: { public: true }, probes: { interval: '5s', deep_interval: '5s', canaries } }),
    }),
    startBreakwater({ config: JSON.stringify({ ...config, probes: { enabled: false } }) }),
  ]);
});
afterAll(async () => {
  await Promise.all([open?.stop(), closed?.stop()]);
  await Promise.all([authority?.stop(), whitelist?.stop()]);
});

async function read(server: RunningBreakwater, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${server.url}${path}`, { headers });
}
async function report(server: RunningBreakwater, headers: Record<string, string> = {}): Promise<StatusReport> {
  const response = await read(server, '/status.json', headers);
  expect(response.status).toBe(200);
  return (await response.json()) as StatusReport;
}

test('a mirror that has only some images is called whitelist, one that is gone down, the authority up', async () => {
  const stateOf = async (url: string): Promise<string | undefined> =>
    (await report(open, basic(open))).registries
      .find(({ registry }) => registry === 'one.example')
      ?.sources.find(({ source }) => source === url)?.state;
  await until(async () => (await stateOf(whitelist.url)) === 'whitelist', 40_000);
  await until(async () => (await stateOf(authority.url)) === 'up', 40_000);
  await until(async () => (await stateOf(gone.url)) === 'down', 40_000);
  // Compared with what the authority was heard to say, so at the first probe after the authority's.
  const isCompared = async (): Promise<boolean> =>
    (await report(open, basic(open))).registries.some(({ sources }) =>
      sources.some(({ source, freshness }) => source === whitelist.url && freshness === 'fresh'),
    );
  await until(isCompared, 40_000);
  const found = await report(open, basic(open));
  expect(found.states['one.example']).toBe('degraded');
  expect(found.summary).not.toBe('all registries are up');
  const sources = found.registries.find(({ registry }) => registry === 'one.example')?.sources ?? [];
  const of = (url: string) => sources.find(({ source }) => source === url);
  expect(of(whitelist.url)).toMatchObject({ trust: 'digest-only', freshness: 'fresh' });
  expect(of(whitelist.url)?.why).toContain('refuses others');
  expect(of(authority.url)?.availability.day).toBe(1);
  expect(of(gone.url)?.availability.day).toBe(0);
  for (const { since, lastCheck } of sources) {
    expect(Date.parse(since)).toBeGreaterThan(Date.now() - 600_000);
    expect(Date.parse(lastCheck ?? '')).toBeGreaterThan(Date.now() - 600_000);
  }
});

test('a recovered source is up again within two intervals, with a new since', async () => {
  const back = await startFakeSource();
  try {
    back.add('apps/popular', popular, 'v1');
    const added = await fetch(`${open.url}/api/v2.0/sources`, {
      method: 'POST',
      headers: { ...basic(open), 'content-type': 'application/json' },
      body: JSON.stringify({ registry: 'idle.example', url: back.url, trust: 'digest-only' }),
    });
    expect(added.status).toBe(201);
    const stateOf = async (): Promise<string | undefined> =>
      (await report(open, basic(open))).registries.flatMap(({ sources }) => sources).find(({ source }) => source === back.url)?.state;
    await until(async () => (await stateOf()) === 'up', 40_000);
    await back.down();
    await until(async () => (await stateOf()) === 'down', 40_000);
    await back.up();
    await until(async () => (await stateOf()) === 'up', 40_000);
  } finally {
    await back.stop();
  }
}, 150_000);

describe('the public view', () => {
  test('needs no login and tells no private address, no proxy and no reason', async () => {
    const response = await read(open, '/status.json');
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('public, max-age=30');
    const text = await response.text();
    for (const word of [authority.host, whitelist.host, gone.host, 'user-of-the-proxy', 'why', 'refuses others', 'corp.internal'])
      expect(text).not.toContain(word);
    expect(text).toContain('private source');
    expect(text).toContain('https://mirror.invalid');
    // What a monitor that looks for a word is given.
    expect(text).toMatch(/"one\.example":"(up|degraded|down|unknown)"/);
  });
  test('is the whole one for an administrator, and a wrong login is refused', async () => {
    expect(JSON.stringify(await report(open, basic(open)))).toContain(authority.url);
    expect((await read(open, '/status.json', { authorization: `Basic ${btoa('admin:wrong')}` })).status).toBe(401);
  });
});

describe('without status.public', () => {
  test('nobody sees anything without a login', async () => {
    for (const path of ['/status.json', '/status/badge/one.example.svg', '/status/image?name=one.example/apps/popular:v1']) {
      const response = await read(closed, path);
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toContain('Basic');
      expect(await response.text()).not.toContain('one.example');
      expect((await read(closed, path, basic(closed))).status).toBe(200);
    }
  });
  test('what was neither pulled nor probed is unknown', async () => {
    const found = await report(closed, basic(closed));
    expect(found.summary).toBe('nothing is known yet');
    expect(found.states).toEqual({ 'one.example': 'unknown', 'idle.example': 'unknown', 'registry.corp.internal': 'unknown' });
  });
});

describe('a badge', () => {
  test('is an SVG of its own that tells the word and how many sources', async () => {
    const response = await read(open, '/status/badge/one.example.svg');
    expect(response.headers.get('content-type')).toBe('image/svg+xml');
    const svg = await response.text();
    expect(svg).toStartWith('<svg xmlns="http://www.w3.org/2000/svg"');
    expect(svg).toMatch(/one\.example: (up|degraded) \d\/4/);
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toContain('http');
  });
  test('of a registry that is not mirrored is 404', async () => {
    expect((await read(open, '/status/badge/other.test.svg')).status).toBe(404);
    // A private one is not there for everybody.
    expect((await read(open, '/status/badge/registry.corp.internal.svg')).status).toBe(404);
    expect((await read(open, '/status/badge/registry.corp.internal.svg', basic(open))).status).toBe(200);
    expect((await read(open, '/status/badge/%3Cscript%3E.svg')).status).toBe(404);
  });
});

describe('an image', () => {
  const statusOf = async (query: string): Promise<ImageStatus> => {
    const response = await read(open, `/status/image?${query}`, basic(open));
    expect(response.status).toBe(200);
    return (await response.json()) as ImageStatus;
  };
  test('tells which source gave it, and asks nobody unless it is told to', async () => {
    authority.add('apps/asked', popular, 'v1');
    await pull(open, '/v2/apps/asked/manifests/v1');
    const layer = popular.layers[0];
    await pull(open, `/v2/apps/asked/blobs/${layer?.digest}`);
    const before = authority.count('/apps/asked/manifests/v1');
    const found = await statusOf('name=one.example/apps/asked:v1');
    expect(found).toMatchObject({ registry: 'one.example', digest: popular.manifest.digest, cached: true, trust: 'confirmed' });
    expect(found.sources.find(({ source }) => source === authority.url)).toMatchObject({ verdict: 'ok', bytes: 500 });
    expect(authority.count('/apps/asked/manifests/v1')).toBe(before);
    const asked = await statusOf('name=one.example/apps/asked:v1&probe=1');
    expect(authority.count('/apps/asked/manifests/v1', 'HEAD')).toBeGreaterThan(0);
    expect(asked.sources.find(({ source }) => source === authority.url)).toMatchObject({ verdict: 'ok', isSame: true });
    expect(asked.sources.find(({ source }) => source === whitelist.url)).toMatchObject({ verdict: 'not-found' });
  });
  test('is for administrators only, and a name that makes no sense is refused', async () => {
    expect((await read(open, '/status/image?name=one.example/apps/popular:v1')).status).toBe(401);
    expect((await read(open, '/status/image', basic(open))).status).toBe(400);
    expect((await read(open, '/status/image?name=UPPER', basic(open))).status).toBe(400);
  });
});
