// The challenge flow against scripted registries and token services. wire.md-level rules: one scope, one refresh, no secret to a stranger.

import { describe, expect, test } from 'bun:test';
import { createFakeClock } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { fixedCredential } from '../../src/upstream/credentials.ts';
import type { Script } from './fake-upstream.ts';
import { calm, failureOf, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const password = 'correct-horse-battery';
const credentials = [fixedCredential('alice', new Secret(password))];
const basic = `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`;

/** A registry that wants `Bearer TOKEN` and names this realm. */
const guarded =
  (realm: () => string, accepts: (authorization: string | undefined) => boolean): Script =>
  (request, reply) => {
    if (accepts(request.headers['authorization']))
      reply.send(200, { 'content-type': manifestType }, request.method === 'HEAD' ? '' : manifestBytes);
    else
      reply.send(
        401,
        { 'www-authenticate': `Bearer realm="${realm()}",service="fake.registry",scope="repository:user/image:pull"` },
        '{"errors":[{"code":"UNAUTHORIZED"}]}',
      );
  };

describe('a Bearer challenge', () => {
  test('is answered with one token for the real repository, kept for the next request', async () => {
    await using bench = setUp();
    const tokens = await bench.start((_, reply) => reply.send(200, {}, '{"token":"T1","expires_in":300}'));
    const registry = await bench.start(
      guarded(
        () => `${tokens.url}/token?keep=1`,
        (value) => value === 'Bearer T1',
      ),
    );
    const source = sourceAt(registry.url, { realms: [tokens.url] });
    await bench.client.getManifest(source, 'library/debian', 'v1', calm);
    await bench.client.getManifest(source, 'library/debian', 'v2', calm);
    expect(registry.requests.map((request) => request.headers['authorization'])).toEqual([undefined, 'Bearer T1', 'Bearer T1']);
    const query = new URL(tokens.requests[0]?.path ?? '', tokens.url).searchParams;
    expect(tokens.requests).toHaveLength(1);
    expect([query.getAll('scope'), query.get('service'), query.get('keep')]).toEqual([
      ['repository:library/debian:pull'],
      'fake.registry',
      '1',
    ]);
    expect(tokens.requests[0]?.headers['authorization']).toBeUndefined();
  });

  test('sends the login to the realm of the source’s own origin, and never to the registry’s own paths', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, '{"access_token":"T2"}');
      else
        return guarded(
          () => `${registry.url}/token`,
          (value) => value === 'Bearer T2',
        )(request, reply);
    });
    await bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm);
    expect(registry.requests.map((request) => request.headers['authorization'])).toEqual([undefined, basic, 'Bearer T2']);
  });

  test('of a realm elsewhere is answered with nothing: no request, not one byte', async () => {
    await using bench = setUp({ names: { 'hub.test': ['127.0.0.1'], 'evil.test': ['127.0.0.1'] } });
    const evil = await bench.start((_, reply) => reply.send(200, {}, '{"token":"T"}'));
    const registry = await bench.start(
      guarded(
        () => `${evil.urlAt('evil.test')}/token`,
        () => false,
      ),
    );
    for (const more of [{ credentials }, {}]) {
      const error = await failureOf(bench.client.getManifest(sourceAt(registry.urlAt('hub.test'), more), 'a/b', 'v1', calm));
      expect(error.verdict).toBe('foreign-realm');
    }
    expect([evil.connections(), evil.bytesReceived()]).toEqual([0, 0]);
    expect(bench.logged()).toContain('foreign-realm');
    expect(bench.logged()).not.toContain(password);
  });

  test('of a realm on another port of the same address gets nothing unless it is configured', async () => {
    await using bench = setUp();
    const tokens = await bench.start((_, reply) => reply.send(200, {}, '{"token":"T1"}'));
    const registry = await bench.start(
      guarded(
        () => `${tokens.url}/token`,
        (value) => value === 'Bearer T1',
      ),
    );
    expect((await failureOf(bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm))).verdict).toBe(
      'foreign-realm',
    );
    expect(tokens.connections()).toBe(0);
    await bench.client.getManifest(sourceAt(registry.url, { credentials, realms: [tokens.url] }), 'a/b', 'v1', calm);
    expect(tokens.requests[0]?.headers['authorization']).toBe(basic);
  });

  test('is answered with the login withheld where the realm is only of the same owner', async () => {
    await using bench = setUp({ names: { 'registry.corp.test': ['127.0.0.1'], 'auth.corp.test': ['127.0.0.1'] } });
    // One port for both names, since only the source's own port counts as the same.
    const server = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, '{"token":"T"}');
      else
        return guarded(
          () => `${server.urlAt('auth.corp.test')}/token`,
          (value) => value === 'Bearer T',
        )(request, reply);
    });
    await bench.client.getManifest(sourceAt(server.urlAt('registry.corp.test'), { credentials, allowPrivate: true }), 'a/b', 'v1', calm);
    expect(server.requests.map((request) => `${request.headers['host']?.split(':')[0]} ${request.headers['authorization']}`)).toEqual([
      'registry.corp.test undefined',
      'auth.corp.test undefined',
      'registry.corp.test Bearer T',
    ]);
  });

  test('a token service’s redirect to another origin is not followed', async () => {
    await using bench = setUp();
    const elsewhere = await bench.start((_, reply) => reply.send(200, {}, '{"token":"T"}'));
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(307, { location: `${elsewhere.url}/token` });
      else
        return guarded(
          () => `${registry.url}/token`,
          () => false,
        )(request, reply);
    });
    expect((await failureOf(bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm))).verdict).toBe(
      'token-error',
    );
    expect(elsewhere.connections()).toBe(0);
  });

  test('that never ends costs at most three requests to the registry', async () => {
    await using bench = setUp();
    let issued = 0;
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, `{"token":"T${++issued}"}`);
      else
        return guarded(
          () => `${registry.url}/token`,
          () => false,
        )(request, reply);
    });
    const source = sourceAt(registry.url);
    const asked = (): number => registry.requests.filter((request) => request.path.startsWith('/v2/')).length;
    expect((await failureOf(bench.client.getManifest(source, 'a/b', 'v1', calm))).verdict).toBe('unauthorized');
    expect([asked(), issued]).toEqual([3, 2]);
    expect((await failureOf(bench.client.getManifest(source, 'a/b', 'v1', calm))).verdict).toBe('unauthorized');
    expect([asked(), issued]).toEqual([6, 5]);
  });

  test('an expired token is dropped and fetched once more', async () => {
    await using bench = setUp();
    let valid = 'T1';
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, `{"token":"${valid}","expires_in":300}`);
      else
        return guarded(
          () => `${registry.url}/token`,
          (value) => value === `Bearer ${valid}`,
        )(request, reply);
    });
    const source = sourceAt(registry.url);
    await bench.client.getManifest(source, 'a/b', 'v1', calm);
    valid = 'T2';
    await bench.client.getManifest(source, 'a/b', 'v1', calm);
    expect(registry.requests.map((request) => request.headers['authorization'] ?? request.path.slice(0, 6))).toEqual([
      '/v2/a/',
      '/token',
      'Bearer T1',
      'Bearer T1',
      '/token',
      'Bearer T2',
    ]);
  });

  test('a scope that was refused is not asked for again', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, '{"token":"T"}');
      else reply.send(401, { 'www-authenticate': `Bearer realm="${registry.url}/token",service="s",error="insufficient_scope"` });
    });
    expect((await failureOf(bench.client.getManifest(sourceAt(registry.url), 'a/b', 'v1', calm))).verdict).toBe('unauthorized');
    expect(registry.requests.filter((request) => request.path.startsWith('/v2/'))).toHaveLength(2);
  });

  test('many requests share one token request', async () => {
    await using bench = setUp();
    const registry = await bench.start(async (request, reply) => {
      if (!request.path.startsWith('/token'))
        return guarded(
          () => `${registry.url}/token`,
          (value) => value === 'Bearer T',
        )(request, reply);
      await Bun.sleep(50);
      reply.send(200, {}, '{"token":"T","expires_in":300}');
    });
    await Promise.all(Array.from({ length: 20 }, (_, index) => bench.client.getManifest(sourceAt(registry.url), 'a/b', `v${index}`, calm)));
    expect(registry.requests.filter((request) => request.path.startsWith('/token'))).toHaveLength(1);
  });

  test('a token is refreshed at four fifths of its life', async () => {
    const clock = createFakeClock();
    await using bench = setUp({ clock });
    let issued = 0;
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, `{"token":"T${++issued}","expires_in":100}`);
      else
        return guarded(
          () => `${registry.url}/token`,
          (value) => value?.startsWith('Bearer T') === true,
        )(request, reply);
    });
    const pull = (): Promise<unknown> => bench.client.getManifest(sourceAt(registry.url), 'a/b', 'v1', { timeoutMs: 1e9 });
    await pull();
    clock.advance(79_000);
    await pull();
    expect(issued).toBe(1);
    clock.advance(2_000);
    await pull();
    expect(issued).toBe(2);
  });
});

describe('a token service that fails', () => {
  for (const [what, script] of [
    ['answers 500', (_, reply) => reply.send(500)],
    ['answers a page', (_, reply) => reply.send(200, { 'content-type': 'text/html' }, '<html>login</html>')],
    ['answers too much', (_, reply) => reply.send(200, {}, `{"token":"${'x'.repeat(2_000_000)}"}`)],
    [
      'answers without end',
      (_, reply) => reply.raw(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n${'x'.repeat(0x200000)}\r\n`),
    ],
    ['closes', (_, reply) => reply.end()],
  ] as readonly (readonly [string, Script])[]) {
    test(`(it ${what}) is a token error, and is left alone for a while`, async () => {
      await using bench = setUp({ limits: { tokenTimeoutMs: 2_000, tokenBreakerMs: 400 } });
      let isWell = false;
      const tokens = await bench.start((request, reply) => (isWell ? reply.send(200, {}, '{"token":"T"}') : script(request, reply)));
      const registry = await bench.start(
        guarded(
          () => `${tokens.url}/token`,
          (value) => value === 'Bearer T',
        ),
      );
      const source = sourceAt(registry.url, { realms: [tokens.url] });
      expect((await failureOf(bench.client.getManifest(source, 'a/b', 'v1', calm))).verdict).toBe('token-error');
      const asked = tokens.requests.length;
      isWell = true;
      expect((await failureOf(bench.client.getManifest(source, 'a/c', 'v1', calm))).verdict).toBe('token-error');
      expect(tokens.requests.length).toBe(asked);
      await Bun.sleep(450);
      await bench.client.getManifest(source, 'a/b', 'v1', calm);
    });
  }

  test('for one repository (403) does not close the way to others', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) {
        if (request.path.includes('secret')) reply.send(403, {}, '{"errors":[{"code":"DENIED"}]}');
        else reply.send(200, {}, '{"token":"T"}');
      } else
        return guarded(
          () => `${registry.url}/token`,
          (value) => value === 'Bearer T',
        )(request, reply);
    });
    const source = sourceAt(registry.url);
    const error = await failureOf(bench.client.getManifest(source, 'a/secret', 'v1', calm));
    expect([error.verdict, error.status]).toEqual(['token-error', 403]);
    await bench.client.getManifest(source, 'a/open', 'v1', calm);
  });

  test('does not stop a registry that answers without a token', async () => {
    await using bench = setUp();
    let isOpen = false;
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(isOpen ? 500 : 200, {}, '{"token":"T","expires_in":1}');
      else
        return guarded(
          () => `${registry.url}/token`,
          (value) => isOpen || value === 'Bearer T',
        )(request, reply);
    });
    await bench.client.getManifest(sourceAt(registry.url), 'a/b', 'v1', calm);
    isOpen = true;
    await bench.client.getManifest(sourceAt(registry.url), 'a/other', 'v1', calm);
  });
});

describe('a Basic challenge', () => {
  const script: Script = (request, reply) => {
    if (request.headers['authorization'] === basic) reply.send(200, { 'content-type': manifestType }, manifestBytes);
    else reply.send(401, { 'www-authenticate': 'Basic realm="registry"' });
  };

  test('is answered with the login, the next time at once', async () => {
    await using bench = setUp();
    const registry = await bench.start(script);
    const source = sourceAt(registry.url, { credentials });
    await bench.client.getManifest(source, 'a/b', 'v1', calm);
    await bench.client.getManifest(source, 'a/b', 'v1', calm);
    expect(registry.requests.map((request) => request.headers['authorization'])).toEqual([undefined, basic, basic]);
  });

  test('without a login, or with a wrong one, ends as unauthorized and not in a loop', async () => {
    await using bench = setUp();
    const registry = await bench.start(script);
    expect((await failureOf(bench.client.getManifest(sourceAt(registry.url), 'a/b', 'v1', calm))).verdict).toBe('unauthorized');
    expect(registry.requests).toHaveLength(1);
    const wrong = sourceAt(registry.url, { id: 'wrong', credentials: [fixedCredential('alice', new Secret('no'))] });
    expect((await failureOf(bench.client.getManifest(wrong, 'a/b', 'v1', calm))).verdict).toBe('unauthorized');
    expect(registry.requests).toHaveLength(3);
  });

  test('beside a Bearer one loses', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, '{"token":"T"}');
      else if (request.headers['authorization'] === 'Bearer T') reply.send(200, { 'content-type': manifestType }, manifestBytes);
      else reply.send(401, { 'www-authenticate': ['Basic realm="x"', `Bearer realm="${registry.url}/token",service="s"`] });
    });
    await bench.client.getManifest(sourceAt(registry.url), 'a/b', 'v1', calm);
    expect(registry.requests).toHaveLength(3);
  });
});

test('a 401 that is no challenge, or only strange ones, is unauthorized', async () => {
  await using bench = setUp();
  const registry = await bench.start((request, reply) =>
    reply.send(401, request.count === 1 ? {} : { 'www-authenticate': 'Negotiate abc=, Digest realm="x"' }),
  );
  for (let count = 0; count < 2; count++)
    expect((await failureOf(bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm))).verdict).toBe(
      'unauthorized',
    );
  expect(registry.requests).toHaveLength(2);
});
