import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../lib/clock.ts';
import { createGuard, isAllowedPort } from './guard.ts';
import type { Source } from './source.ts';
import { upstreamLimitDefaults } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

const names: Record<string, readonly string[]> = {
  'hub.example.com': ['93.184.216.34', '2606:4700::1111'],
  'poisoned.example.com': ['127.0.0.1'],
  'mixed.example.com': ['93.184.216.34', '10.0.0.7'],
  'fake-ip.example.com': ['198.18.0.5'],
  'rogue.example.com': ['169.254.169.254'],
  'hub.lan': ['192.168.1.5'],
  'nas.lan': ['127.0.0.1'],
  'many.example.com': ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4', '1.1.1.5', '1.1.1.6'],
};

const sourceAt = (url: string, more: Partial<Source> = {}): Source => ({
  id: 's',
  registry: 'docker.io',
  url,
  trust: 'authority',
  priority: 1,
  realms: [],
  ...more,
});

function setUp(): { check: (source: Source, url: string) => Promise<unknown>; asked: string[]; clock: ReturnType<typeof createFakeClock> } {
  const clock = createFakeClock();
  const asked: string[] = [];
  const resolve = async (host: string): Promise<readonly string[]> => {
    asked.push(host);
    const found = names[host];
    if (found === undefined) throw Object.assign(new Error('no'), { code: 'ENOTFOUND' });
    return found;
  };
  const guard = createGuard({ clock, limits: upstreamLimitDefaults, resolve });
  const signal = new AbortController().signal;
  const check = (source: Source, url: string): Promise<unknown> =>
    guard.check(source, new URL(url), signal).catch((error: unknown) => (error instanceof UpstreamError ? error.verdict : error));
  return { check, asked, clock };
}

describe('a public source', () => {
  const source = sourceAt('https://hub.example.com');

  test('is dialled at the addresses its name has', async () => {
    expect(await setUp().check(source, 'https://hub.example.com/v2/')).toEqual(['93.184.216.34', '2606:4700::1111']);
  });

  test('SEC-D01, SEC-D04: reaches no private, loopback, link-local or metadata address, in any spelling of the literal', async () => {
    for (const host of [
      '127.0.0.1',
      '10.0.0.1',
      '192.168.0.1',
      '169.254.169.254',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[fd00::1]',
      '0.0.0.0',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '127.1',
      '100.64.0.1',
      '[64:ff9b::7f00:1]',
    ]) {
      const { check, asked } = setUp();
      expect(`${host} ${await check(source, `http://${host}/x`)}`).toBe(`${host} private-address`);
      expect(asked).toEqual([]);
    }
  });

  test('SEC-D02: is refused when its name is poisoned, also when only one of several answers is private', async () => {
    const { check } = setUp();
    for (const host of ['poisoned', 'mixed', 'fake-ip', 'rogue'])
      expect(await check(sourceAt(`https://${host}.example.com`), `https://${host}.example.com/v2/`)).toBe('private-address');
    expect(await check(source, 'https://nas.lan/')).toBe('private-address');
  });

  test('may be private when its configuration says so, but never link-local', async () => {
    const { check } = setUp();
    expect(await check(sourceAt('https://fake-ip.example.com', { allowPrivate: true }), 'https://fake-ip.example.com/')).toEqual([
      '198.18.0.5',
    ]);
    expect(await check(sourceAt('https://poisoned.example.com', { allowPrivate: true }), 'https://poisoned.example.com/')).toEqual([
      '127.0.0.1',
    ]);
    expect(await check(sourceAt('https://rogue.example.com', { allowPrivate: true }), 'https://rogue.example.com/')).toBe(
      'private-address',
    );
  });
});

describe('a private source', () => {
  test('is dialled at its own literal and leads to private addresses, not to metadata', async () => {
    const { check } = setUp();
    const source = sourceAt('http://10.0.0.5:5000');
    expect(await check(source, 'http://10.0.0.5:5000/v2/')).toEqual(['10.0.0.5']);
    expect(await check(source, 'http://10.0.0.6/')).toEqual(['10.0.0.6']);
    expect(await check(source, 'https://hub.lan/')).toEqual(['192.168.1.5']);
    expect(await check(source, 'http://169.254.169.254/latest/')).toBe('private-address');
  });

  test('leads to loopback only when it is there itself', async () => {
    const { check } = setUp();
    expect(await check(sourceAt('http://10.0.0.5:5000'), 'http://127.0.0.1:6379/')).toBe('private-address');
    expect(await check(sourceAt('http://127.0.0.1:5000'), 'http://127.0.0.1:5001/')).toEqual(['127.0.0.1']);
    expect(await check(sourceAt('https://nas.lan'), 'https://nas.lan/')).toEqual(['127.0.0.1']);
  });
});

describe('behind an egress proxy', () => {
  const source = sourceAt('https://hub.example.com', { proxy: 'http://proxy.lan:3128' });

  test('names are not resolved here', async () => {
    const { check, asked } = setUp();
    expect(await check(source, 'https://poisoned.example.com/')).toBeUndefined();
    expect(asked).toEqual([]);
  });

  test('private literals and local names are still refused', async () => {
    const { check } = setUp();
    for (const host of ['127.0.0.1', '169.254.169.254', 'localhost', 'metadata.google.internal', 'localhost.']) {
      expect(`${host} ${await check(source, `http://${host}/`)}`).toBe(`${host} private-address`);
    }
  });
});

describe('resolution', () => {
  test('a name that does not exist is a coded failure', async () => {
    expect(await setUp().check(sourceAt('https://nope.example.com'), 'https://nope.example.com/')).toBe('dns');
  });

  test('a resolver that hangs is given up', async () => {
    const clock = createFakeClock();
    const guard = createGuard({ clock, limits: upstreamLimitDefaults, resolve: () => new Promise(() => undefined) });
    const verdict = guard
      .check(sourceAt('https://hub.example.com'), new URL('https://hub.example.com'), new AbortController().signal)
      .catch((error: UpstreamError) => error.verdict);
    clock.advance(upstreamLimitDefaults.dnsTimeoutMs);
    expect(await verdict).toBe('dns');
  });

  test('answers are kept for a while and checked again after', async () => {
    const { check, asked, clock } = setUp();
    const source = sourceAt('https://hub.example.com');
    await check(source, 'https://hub.example.com/');
    await check(source, 'https://hub.example.com/');
    expect(asked).toHaveLength(1);
    clock.advance(upstreamLimitDefaults.dnsCacheMs + 1);
    await check(source, 'https://hub.example.com/');
    expect(asked).toHaveLength(2);
  });

  test('at most four addresses are dialled', async () => {
    expect(await setUp().check(sourceAt('https://many.example.com'), 'https://many.example.com/')).toHaveLength(4);
  });
});

test('redirects and realms may name web ports, unprivileged ports and the source’s own port', () => {
  const source = sourceAt('https://hub.example.com:843');
  for (const [url, isAllowed] of [
    ['https://a.example', true],
    ['http://a.example', true],
    ['https://a.example:8443', true],
    ['https://a.example:843', true],
    ['https://a.example:22', false],
    ['http://a.example:25', false],
  ] as const) {
    expect(isAllowedPort(source, new URL(url))).toBe(isAllowed);
  }
});

test('the egress policy is asked before anything is resolved, proxy or not', async () => {
  const asked: string[] = [];
  const guard = createGuard({
    clock: createFakeClock(),
    limits: upstreamLimitDefaults,
    resolve: async (host) => {
      asked.push(host);
      return ['93.184.216.34'];
    },
    egress: (source, url) => (url.hostname === 'denied.example.com' ? `${source.registry} may not reach it` : undefined),
  });
  const signal = new AbortController().signal;
  for (const more of [{}, { proxy: 'http://proxy.lan:3128' }]) {
    const error = await guard
      .check(sourceAt('https://hub.example.com', more), new URL('https://denied.example.com/x'), signal)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ verdict: 'egress-denied', detail: 'docker.io may not reach it', origin: 'https://denied.example.com' });
  }
  expect(asked).toEqual([]);
  expect(await guard.check(sourceAt('https://hub.example.com'), new URL('https://cdn.example.com/x'), signal)).toEqual(['93.184.216.34']);
});
