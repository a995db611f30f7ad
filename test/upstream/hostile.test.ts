// A hostile source gets no byte of a login or token, and makes no connection to an address that is forbidden to it: every way it has to name a
// place of its choice, against listeners that count connections and keep every byte. security.md SEC-C01 to SEC-C03, SEC-C15, SEC-D01 to SEC-D04.

import { describe, expect, test } from 'bun:test';
import { Secret } from '../../src/lib/secret.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { type CredentialSource, fixedCredential } from '../../src/upstream/credentials.ts';
import type { Source } from '../../src/upstream/source.ts';
import { type FakeUpstream, type Script, testCa } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const password = 'correct-horse-battery';
const login = `alice:${password}`;
const token = 'own-token-7f3a9';
/** What must be found nowhere but at its owner: plain, in Base64 at any of its three alignments, as a URL parameter, and the token. */
const secrets = [
  password,
  token,
  ...[0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${login}`)
      .toString('base64')
      .slice(4, -4),
  ),
  encodeURIComponent(login),
];

const names = {
  'registry.test': ['127.0.0.1'],
  'office.lan': ['127.0.0.1'],
  'a.test': ['127.0.0.1'],
  'public.example.com': ['127.0.0.1'],
  'rebinding.example.com': ['93.184.216.34', '127.0.0.1'],
};
const blob = blobOf(1_000);

/** A login whose use is counted. */
function countedCredential(): { credential: CredentialSource; uses: () => number } {
  const fixed = fixedCredential('alice', new Secret(password));
  let uses = 0;
  return {
    uses: () => uses,
    credential: {
      id: 'alice',
      get: (signal) => {
        uses++;
        return fixed.get(signal);
      },
    },
  };
}

/** Asks for everything the client can ask for; failures do not matter here. */
async function askForAll(client: ReturnType<typeof setUp>['client'], source: Source): Promise<void> {
  const quick = { ...calm, timeoutMs: 2_000 };
  for (let round = 0; round < 2; round++) {
    await client.getManifest(source, 'a/b', 'v1', quick).catch(() => undefined);
    await client.headManifest(source, 'a/b', 'v1', quick).catch(() => undefined);
    await client
      .getBlob(source, 'a/b', digestOf(blob), { ...calmBlob, firstByteTimeoutMs: 2_000 })
      .then((answer) => answer.discard())
      .catch(() => undefined);
    const tags = await client.listTags(source, 'a/b', quick).catch(() => undefined);
    if (tags?.next !== undefined) await client.listTags(source, 'a/b', { ...quick, next: tags.next }).catch(() => undefined);
    await client.getReferrers(source, 'a/b', digestOf(blob), quick).catch(() => undefined);
  }
}

function expectNoSecret(server: FakeUpstream): void {
  for (const secret of secrets) expect(server.received()).not.toContain(secret);
}

describe('a realm', () => {
  const cases: readonly (readonly [string, (evil: FakeUpstream, self: FakeUpstream) => string])[] = [
    ['on another port of the same address', (evil) => `${evil.url}/token`],
    ['on another name of that address', (evil) => `${evil.urlAt('public.example.com')}/token`],
    ['that hides its host behind a login', (evil, self) => `http://127.0.0.1:${self.port}@127.0.0.1:${evil.port}/token`],
    ['whose own host is only its login', (evil) => `http://registry.test:1@127.0.0.1:${evil.port}/token`],
    ['with a backslash', (evil, self) => `http://127.0.0.1:${evil.port}\\@127.0.0.1:${self.port}/token`],
    ['of no scheme', (evil) => `//127.0.0.1:${evil.port}/token`],
    ['of another scheme', (evil) => `gopher://127.0.0.1:${evil.port}/token`],
    ['in another spelling of the address', (evil) => `http://2130706433:${evil.port}/token`],
  ];
  test.each(cases)('%s is not contacted, and the login is not even fetched', async (_, realmOf) => {
    await using bench = setUp({ names });
    const { credential, uses } = countedCredential();
    const evil = await bench.start((_request, reply) => reply.send(200, {}, `{"token":"${token}"}`));
    const registry: FakeUpstream = await bench.start((_request, reply) =>
      reply.send(401, { 'www-authenticate': `Bearer realm="${realmOf(evil, registry)}",service="s",scope="repository:a/b:pull"` }),
    );
    await askForAll(bench.client, sourceAt(registry.url, { credentials: [credential] }));
    expect([evil.connections(), evil.bytesReceived(), uses()]).toEqual([0, 0, 0]);
    expectNoSecret(registry);
  });

  test('that leaves https is not contacted', async () => {
    await using bench = setUp({ names });
    const { credential, uses } = countedCredential();
    const evil = await bench.start((_, reply) => reply.send(200, {}, `{"token":"${token}"}`));
    const registry: FakeUpstream = await bench.start(
      (_, reply) => reply.send(401, { 'www-authenticate': `Bearer realm="${evil.urlAt('a.test')}/token",service="s"` }),
      { tls: 'a.test' },
    );
    const source = sourceAt(registry.urlAt('a.test'), {
      credentials: [credential],
      allowPrivate: true,
      tls: { ca: testCa, insecure: false },
    });
    await askForAll(bench.client, source);
    expect([evil.connections(), uses()]).toEqual([0, 0]);
  });

  test('of its own whose answer is a redirect elsewhere gets the login, and the other place nothing', async () => {
    await using bench = setUp({ names });
    const evil = await bench.start((_, reply) => reply.send(200, {}, `{"token":"${token}"}`));
    const registry: FakeUpstream = await bench.start((request, reply) => {
      if (request.path.startsWith('/token')) reply.send(307, { location: `${evil.url}/token` });
      else reply.send(401, { 'www-authenticate': `Bearer realm="${registry.url}/token",service="s"` });
    });
    await askForAll(bench.client, sourceAt(registry.url, { credentials: [countedCredential().credential] }));
    expect(registry.received()).toContain(Buffer.from(login).toString('base64'));
    expect([evil.connections(), evil.bytesReceived()]).toEqual([0, 0]);
  });
});

describe('a redirect', () => {
  /** Takes the login or the token, then leads to `location`. */
  const luring = (way: 'Basic' | 'Bearer', self: () => FakeUpstream, location: (path: string) => string): Script => {
    return (request, reply) => {
      if (request.path.startsWith('/token')) reply.send(200, {}, `{"token":"${token}"}`);
      else if (request.headers['authorization'] === undefined && request.path.startsWith('/v2/'))
        reply.send(401, { 'www-authenticate': way === 'Basic' ? 'Basic realm="r"' : `Bearer realm="${self().url}/token",service="s"` });
      else reply.send(307, { location: location(request.path), 'set-cookie': `s=${token}` });
    };
  };

  test.each(['Basic', 'Bearer'] as const)('to another origin carries nothing of a %s login, whatever that place answers', async (way) => {
    for (const answer of [
      [200, { 'content-type': manifestType }],
      [401, { 'www-authenticate': 'Basic realm="please"' }],
      [401, { 'www-authenticate': 'Bearer realm="http://127.0.0.1:1/token",service="s"' }],
      [407, { 'proxy-authenticate': 'Basic realm="p"' }],
      [429, { 'retry-after': '1' }],
    ] as const) {
      await using bench = setUp({ names });
      const evil = await bench.start((_, reply) => reply.send(answer[0], answer[1], manifestBytes));
      const registry: FakeUpstream = await bench.start(
        luring(
          way,
          () => registry,
          (path) => `${evil.url}${path}`,
        ),
      );
      await askForAll(bench.client, sourceAt(registry.url, { credentials: [countedCredential().credential] }));
      expect(evil.requests.length).toBeGreaterThan(0);
      expectNoSecret(evil);
      const headers = evil.requests.flatMap((request) => Object.keys(request.headers));
      expect(headers.filter((name) => /auth|cookie/.test(name))).toEqual([]);
    }
  });

  test('from https to http makes no connection', async () => {
    await using bench = setUp({ names });
    const plain = await bench.start((_, reply) => reply.send(200));
    const registry: FakeUpstream = await bench.start(
      luring(
        'Basic',
        () => registry,
        (path) => `${plain.urlAt('a.test')}${path}`,
      ),
      { tls: 'a.test' },
    );
    const tls = { ca: testCa, insecure: false };
    await askForAll(
      bench.client,
      sourceAt(registry.urlAt('a.test'), { tls, allowPrivate: true, credentials: [countedCredential().credential] }),
    );
    expect(registry.received()).toContain(Buffer.from(login).toString('base64'));
    expect([plain.connections(), plain.bytesReceived()]).toEqual([0, 0]);
  });

  test('or a page link or a realm of a source in the office network to our own loopback makes no connection, in any spelling', async () => {
    await using bench = setUp({ names });
    const inner = await bench.start((_, reply) => reply.send(200, {}, '{"token":"x"}'));
    for (const host of [
      '127.0.0.1',
      'localhost',
      '127.1',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '[::ffff:127.0.0.1]',
      '[::1]',
      'public.example.com',
      'rebinding.example.com',
    ]) {
      const target = `http://${host}:${inner.port}`;
      for (const script of [
        (
          () => (_, reply) =>
            reply.send(302, { location: `${target}/x` })
        )(),
        (
          () => (_, reply) =>
            reply.send(401, { 'www-authenticate': `Bearer realm="${target}/token",service="s"` })
        )(),
        (
          () => (_, reply) =>
            reply.send(200, { link: `<${target}/v2/a/b/tags/list?last=a>; rel="next"` }, '{"name":"a/b","tags":["a"]}')
        )(),
      ] satisfies Script[]) {
        const registry = await bench.start(script);
        await askForAll(bench.client, sourceAt(registry.urlAt('office.lan'), { credentials: [countedCredential().credential] }));
      }
    }
    expect([inner.connections(), inner.bytesReceived()]).toEqual([0, 0]);
  }, 60_000);
});

test('a public source whose name leads to a private address is not contacted at all, not even in part', async () => {
  await using bench = setUp({ names });
  const { credential, uses } = countedCredential();
  const inner = await bench.start((_, reply) => reply.send(401, { 'www-authenticate': 'Basic realm="r"' }));
  for (const host of ['public.example.com', 'rebinding.example.com'])
    await askForAll(bench.client, sourceAt(inner.urlAt(host), { credentials: [credential] }));
  expect([inner.connections(), inner.bytesReceived(), uses()]).toEqual([0, 0, 0]);
});

test('nothing of a login is in errors or logs, whatever a source does', async () => {
  await using bench = setUp({ names });
  const texts: string[] = [];
  for (const status of [200, 302, 400, 401, 403, 404, 429, 500]) {
    const registry: FakeUpstream = await bench.start((request, reply) => {
      const seen = request.headers['authorization'] ?? '';
      if (seen === '') return reply.send(401, { 'www-authenticate': 'Basic realm="r"' });
      // It echoes what it was sent, where a careless client would log it.
      const body = JSON.stringify({ errors: [{ code: 'DENIED', message: `${seen} ${login}` }] });
      return reply.send(
        status,
        { location: `http://${login}@127.0.0.1:${registry.port}/`, 'www-authenticate': `Basic realm="${login}"` },
        body,
      );
    });
    const error = await bench.client
      .getManifest(sourceAt(registry.url, { id: `s${status}`, credentials: [countedCredential().credential] }), 'a/b', 'v1', calm)
      .catch((reason: unknown) => reason);
    texts.push(`${error} ${JSON.stringify(error)} ${Bun.inspect(error)}`);
  }
  for (const secret of secrets) expect(`${texts.join('\n')}${bench.logged()}`).not.toContain(secret);
});
