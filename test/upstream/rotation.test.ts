// Several logins at one source, pull quotas and the two kinds of 429: which login is used, and when nothing is asked at all.
// faults F17, F27, F28, F29.

import { describe, expect, test } from 'bun:test';
import { createFakeClock, type FakeClock } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { type CredentialSource, fixedCredential } from '../../src/upstream/credentials.ts';
import { createSourceHealth } from '../../src/upstream/health.ts';
import { createLoginBook } from '../../src/upstream/logins.ts';
import type { Source } from '../../src/upstream/source.ts';
import type { FakeUpstream, Script } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, failureOf, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const credentials = [fixedCredential('one', new Secret('p1')), fixedCredential('two', new Secret('p2'))];
const blob = blobOf(1_000);

/** A registry with a token service; tokens are named after the login. `answer` says what a request with this login gets. */
function registryScript(
  self: () => FakeUpstream,
  answer: (login: string, method: string, path: string) => readonly [number, Record<string, string>, string?] | undefined,
  realm: (login: string) => number = () => 200,
): Script {
  return (request, reply) => {
    const header = request.headers['authorization'] ?? '';
    if (request.path.startsWith('/token')) {
      const login = header === '' ? 'anonymous' : (Buffer.from(header.slice(6), 'base64').toString().split(':')[0] ?? '');
      const status = realm(login);
      return reply.send(status, {}, status === 200 ? `{"token":"for-${login}"}` : '{}');
    }
    if (!header.startsWith('Bearer for-')) {
      return reply.send(401, { 'www-authenticate': `Bearer realm="${self().url}/token",service="s",scope="repository:a/b:pull"` });
    }
    const said = answer(header.slice('Bearer for-'.length), request.method, request.path);
    if (said !== undefined) return reply.send(said[0], said[1], said[2] ?? '');
    if (request.path.includes('/blobs/')) return reply.send(200, {}, blob);
    return reply.send(200, { 'content-type': manifestType }, manifestBytes);
  };
}

/** Who asked for content, in order: method and login. */
function asked(registry: FakeUpstream): string[] {
  return registry.requests
    .filter((request) => !request.path.startsWith('/token') && request.headers['authorization'] !== undefined)
    .map((request) => `${request.method} ${request.headers['authorization']?.slice('Bearer for-'.length)}`);
}

const quotaSpent = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600', 'retry-after': '120' };
const tooMany = '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}';

interface Stage extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly registry: FakeUpstream;
  readonly source: Source;
  readonly bench: ReturnType<typeof setUp>;
}

async function stage(
  answer: Parameters<typeof registryScript>[1],
  more: { source?: Partial<Source>; realm?: (login: string) => number; options?: Parameters<typeof setUp>[0] } = {},
): Promise<Stage> {
  const clock = createFakeClock();
  const bench = setUp({ clock, ...more.options });
  const registry: FakeUpstream = await bench.start(registryScript(() => registry, answer, more.realm));
  const source = sourceAt(registry.url, { credentials, ...more.source });
  return { clock, registry, source, bench, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

describe('a spent quota', () => {
  test('answered by 429 rests the login as long as the source says, and the next one is used in the same call', async () => {
    let isSpent = true;
    await using at = await stage((login) => (login === 'one' && isSpent ? [429, quotaSpent, tooMany] : undefined));
    const get = (): Promise<unknown> => at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    await get();
    await get();
    expect(asked(at.registry)).toEqual(['GET one', 'GET two', 'GET two']);
    at.clock.advance(119_000);
    await get();
    isSpent = false;
    at.clock.advance(1_000);
    await get();
    expect(asked(at.registry).slice(3)).toEqual(['GET two', 'GET one']);
  });

  test('that is announced moves to the next login before the first 429', async () => {
    await using at = await stage((login) => {
      const headers = { 'content-type': manifestType, 'ratelimit-limit': '100;w=21600' };
      if (login !== 'one') return undefined;
      return [200, { ...headers, 'ratelimit-remaining': '0;w=21600' }, new TextDecoder().decode(manifestBytes)];
    });
    for (let count = 0; count < 4; count++) await at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    expect(asked(at.registry)).toEqual(['GET one', 'GET two', 'GET two', 'GET two']);
  });

  test('of every login is quota-spent without a request, while HEADs and blobs are still asked for', async () => {
    await using at = await stage((_, method, path) =>
      method === 'GET' && path.includes('/manifests/') ? [429, quotaSpent, tooMany] : undefined,
    );
    const error = await failureOf(at.bench.client.getManifest(at.source, 'a/b', 'v1', calm));
    expect([error.verdict, error.status, error.retryAfterMs]).toEqual(['quota-spent', 429, 120_000]);
    // Both logins, and the address itself as the last resort.
    expect(asked(at.registry)).toEqual(['GET one', 'GET two', 'GET anonymous']);
    at.clock.advance(20_000);
    const before = at.registry.requests.length;
    const again = await failureOf(at.bench.client.getManifest(at.source, 'a/b', 'v1', calm));
    expect([again.verdict, again.retryAfterMs]).toEqual(['quota-spent', 100_000]);
    expect(at.registry.requests).toHaveLength(before);
    await at.bench.client.headManifest(at.source, 'a/b', 'v1', calm);
    (await at.bench.client.getBlob(at.source, 'a/b', digestOf(blob), calmBlob)).discard();
    expect(asked(at.registry).slice(3)).toEqual(['HEAD one', 'GET one']);
  });

  test('puts the source behind others for manifests only, and is told once', async () => {
    const clock = createFakeClock();
    const low: string[] = [];
    const logins = createLoginBook({ clock, onQuotaLow: (_, credential, quota) => low.push(`${credential} ${quota.remaining}`) });
    const health = createSourceHealth({ clock, logins });
    let remaining = 100;
    await using at = await stage(
      (_, method) => {
        if (method === 'GET') remaining -= 40;
        const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': `${Math.max(0, remaining)};w=21600` };
        return [
          200,
          { ...headers, 'docker-ratelimit-source': '192.0.2.1', 'content-type': manifestType },
          new TextDecoder().decode(manifestBytes),
        ];
      },
      { source: { credentials: [fixedCredential('one', new Secret('p1'))], priority: 1 }, options: { clock, logins, observer: health } },
    );
    const other = sourceAt('http://127.0.0.1:1', { id: 'other', priority: 2 });
    const order = (kind: 'manifest' | 'head' | 'blob'): string => health.rank([at.source, other], 'a/b', { kind })[0]?.id ?? '';
    for (let count = 0; count < 2; count++) await at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    expect(order('manifest')).toBe(at.source.id);
    expect(health.snapshot(at.source.id).quota).toMatchObject({ limit: 100, remaining: 20, windowSeconds: 21_600, countedBy: '192.0.2.1' });
    await at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    expect([order('manifest'), order('head'), order('blob')]).toEqual(['other', at.source.id, at.source.id]);
    expect(low).toEqual(['one 0']);
    // A free HEAD sees that there is quota again.
    remaining = 100;
    await at.bench.client.headManifest(at.source, 'a/b', 'v1', calm);
    expect(order('manifest')).toBe(at.source.id);
  });
});

describe('a refused login', () => {
  test('by the token service makes way for the next one, and is not tried again for a minute', async () => {
    await using at = await stage(() => undefined, { realm: (login) => (login === 'one' ? 401 : 200) });
    for (let count = 0; count < 3; count++) await at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    expect(asked(at.registry)).toEqual(['GET two', 'GET two', 'GET two']);
    const tokens = (): number => at.registry.requests.filter((request) => request.path.startsWith('/token')).length;
    expect(tokens()).toBe(2);
    at.clock.advance(60_000);
    await at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    expect(tokens()).toBeGreaterThan(2);
  });

  test('for want of rights on this repository only is used for the next one', async () => {
    const challenge = (self: FakeUpstream): Record<string, string> => ({
      'www-authenticate': `Bearer realm="${self.url}/token",service="s",error="insufficient_scope"`,
    });
    await using at: Stage = await stage((login, _, path) =>
      login === 'one' && path.includes('/private/') ? [401, challenge(at.registry)] : undefined,
    );
    await at.bench.client.getManifest(at.source, 'a/private', 'v1', calm);
    await at.bench.client.getManifest(at.source, 'a/b', 'v1', calm);
    expect(asked(at.registry)).toEqual(['GET one', 'GET two', 'GET one']);
  });

  test('never makes a loop: three requests for a source that takes no token', async () => {
    await using at: Stage = await stage(() => [401, { 'www-authenticate': `Bearer realm="${at.registry.url}/token",service="s"` }]);
    expect((await failureOf(at.bench.client.getManifest(at.source, 'a/b', 'v1', calm))).verdict).toBe('unauthorized');
    expect(at.registry.requests.filter((request) => !request.path.startsWith('/token'))).toHaveLength(3);
  });

  test('by Basic makes way for the next one', async () => {
    await using bench = setUp();
    const good = `Basic ${Buffer.from('two:p2').toString('base64')}`;
    const registry = await bench.start((request, reply) => {
      if (request.headers['authorization'] === good) reply.send(200, { 'content-type': manifestType }, manifestBytes);
      else reply.send(401, { 'www-authenticate': 'Basic realm="r"' });
    });
    const source = sourceAt(registry.url, { credentials });
    await bench.client.getManifest(source, 'a/b', 'v1', calm);
    await bench.client.getManifest(source, 'a/b', 'v1', calm);
    expect(registry.requests).toHaveLength(4);
  });
});

test('a lone Basic login that is refused for one repository is still used for others', async () => {
  await using bench = setUp();
  const registry = await bench.start((request, reply) => {
    const isAllowed = request.headers['authorization'] !== undefined && request.path.includes('/a/b/');
    if (isAllowed) reply.send(200, { 'content-type': manifestType }, manifestBytes);
    else reply.send(401, { 'www-authenticate': 'Basic realm="r"' });
  });
  const source = sourceAt(registry.url, { credentials: credentials.slice(0, 1) });
  expect((await failureOf(bench.client.getManifest(source, 'a/private', 'v1', calm))).verdict).toBe('unauthorized');
  await bench.client.getManifest(source, 'a/b', 'v1', calm);
});

test.each(['Basic', 'Bearer'] as const)('a %s login that has expired is fetched anew within the call', async (scheme) => {
  await using bench = setUp();
  let password = 'old';
  let held = password;
  const expiring: CredentialSource = {
    id: 'helper',
    get: async () => ({ username: 'u', password: new Secret(held) }),
    forget: () => {
      held = password;
    },
  };
  const registry: FakeUpstream = await bench.start((request, reply) => {
    const isLoggedIn = request.headers['authorization'] === `Basic ${btoa(`u:${password}`)}`;
    if (request.path.startsWith('/token')) reply.send(isLoggedIn ? 200 : 401, {}, `{"token":"T-${password}"}`);
    else if (isLoggedIn || request.headers['authorization'] === `Bearer T-${password}`)
      reply.send(200, { 'content-type': manifestType }, manifestBytes);
    else reply.send(401, { 'www-authenticate': scheme === 'Basic' ? 'Basic realm="r"' : `Bearer realm="${registry.url}/token"` });
  });
  const source = sourceAt(registry.url, { credentials: [expiring] });
  await bench.client.getManifest(source, 'a/b', 'v1', calm);
  password = 'new';
  await bench.client.getManifest(source, 'a/b', 'v1', calm);
  expect(held).toBe('new');
});

test('a login that is another one each time makes no loop', async () => {
  await using bench = setUp();
  let count = 0;
  const restless: CredentialSource = {
    id: 'r',
    get: async () => ({ username: 'u', password: new Secret(`p${count++}`) }),
    forget: () => undefined,
  };
  const registry: FakeUpstream = await bench.start((request, reply) => {
    if (request.path.startsWith('/token')) reply.send(401, {}, '{}');
    else reply.send(401, { 'www-authenticate': `Bearer realm="${registry.url}/token"` });
  });
  expect((await failureOf(bench.client.getManifest(sourceAt(registry.url, { credentials: [restless] }), 'a/b', 'v1', calm))).verdict).toBe(
    'token-error',
  );
  // Two with logins, and one without.
  expect(registry.requests.filter((request) => request.path.startsWith('/token'))).toHaveLength(3);
});

describe('a flood guard', () => {
  test('in plain text rests the whole host, for every source and login there, and then halves what runs at once', async () => {
    const clock = createFakeClock();
    await using bench = setUp({ clock });
    let isFlooded = true;
    let inside = 0;
    let most = 0;
    const server = await bench.start(async (_, reply) => {
      if (isFlooded) return reply.send(429, { 'content-type': 'text/plain' }, 'Too Many Requests');
      most = Math.max(most, ++inside);
      await Bun.sleep(20);
      inside--;
      return reply.send(200, { 'content-type': manifestType }, manifestBytes);
    });
    const get = (id: string): Promise<unknown> => bench.client.getManifest(sourceAt(server.url, { id, credentials }), 'a/b', 'v1', calm);
    const failures = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => failureOf(get(id))));
    expect(new Set(failures.map((error) => error.verdict))).toEqual(new Set(['rate-limited']));
    const before = server.requests.length;
    expect(before).toBeLessThanOrEqual(6);
    isFlooded = false;
    const resting = await failureOf(get('other'));
    expect([resting.verdict, resting.retryAfterMs]).toEqual(['rate-limited', 10_000]);
    expect(server.requests).toHaveLength(before);
    clock.advance(10_000);
    await Promise.all(Array.from({ length: 12 }, (_, index) => get(`g${index}`)));
    expect(most).toBeLessThanOrEqual(3);
    expect(server.requests).toHaveLength(before + 12);
  });

  test('with a time, in seconds or as a date, concerns the login: nothing is asked before, then all is', async () => {
    for (const form of ['seconds', 'date'] as const) {
      await using at = await stage(
        () => [429, { 'retry-after': form === 'seconds' ? '30' : new Date(at.clock.nowMs() + 30_000).toUTCString() }, tooMany],
        { source: { credentials: [fixedCredential('one', new Secret('p1'))] } },
      );
      await failureOf(at.bench.client.getManifest(at.source, 'a/b', 'v1', calm));
      const before = at.registry.requests.length;
      at.clock.advance(28_000);
      for (const call of ['headManifest', 'getManifest'] as const)
        expect((await failureOf(at.bench.client[call](at.source, 'a/b', 'v1', calm))).verdict).toBe('rate-limited');
      expect(at.registry.requests).toHaveLength(before);
      at.clock.advance(2_000);
      await failureOf(at.bench.client.getManifest(at.source, 'a/b', 'v1', calm));
      expect(at.registry.requests.length).toBeGreaterThan(before);
    }
  });
});
