// Redirects and the outbound guard, with real sockets: what is dialled, what is not, and which header goes where.

import { describe, expect, test } from 'bun:test';
import { Secret } from '../../src/lib/secret.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { fixedCredential } from '../../src/upstream/credentials.ts';
import { testCa } from './fake-upstream.ts';
import { blobOf, calm, calmBlob, collect, failureOf, manifestBytes, manifestType, setUp, sourceAt } from './set-up.ts';

const credentials = [fixedCredential('alice', new Secret('correct-horse-battery'))];
const blob = blobOf(5_000);
const digest = digestOf(blob);

describe('a redirect', () => {
  test('to another origin drops Authorization and keeps Range and Accept', async () => {
    await using bench = setUp();
    const cdn = await bench.start((request, reply) => {
      // S3 answers 400 to two ways of authentication
      if (request.headers['authorization'] !== undefined) reply.send(400);
      else reply.send(206, { 'content-range': `bytes 1000-4999/${blob.length}` }, blob.subarray(1_000));
    });
    const registry = await bench.start((request, reply) => {
      if (request.headers['authorization'] === undefined) reply.send(401, { 'www-authenticate': 'Basic realm="x"' });
      else reply.send(307, { location: `${cdn.url}/data?X-Signature=a%2Bb%2Fc%3D&x=1+2` });
    });
    const answer = await bench.client.getBlob(sourceAt(registry.url, { credentials }), 'a/b', digest, {
      ...calmBlob,
      offset: 1_000,
      expectedSizeBytes: blob.length,
    });
    expect(answer.finalOrigin).toBe(cdn.url);
    expect(answer.startOffset).toBe(1_000);
    expect((await collect(answer.body)).bytes).toEqual(Buffer.from(blob.subarray(1_000)));
    expect(cdn.requests[0]?.path).toBe('/data?X-Signature=a%2Bb%2Fc%3D&x=1+2');
    expect(cdn.requests[0]?.headers).toMatchObject({ range: 'bytes=1000-', host: `127.0.0.1:${cdn.port}` });
    expect(cdn.requests[0]?.headers).not.toHaveProperty('authorization');
    expect(registry.requests.at(-1)?.headers).toMatchObject({ range: 'bytes=1000-' });
  });

  test('back to the first origin does not bring Authorization back', async () => {
    await using bench = setUp();
    const away = await bench.start((_, reply) => reply.send(302, { location: `${registry.url}/third` }));
    const registry = await bench.start((request, reply) => {
      if (request.path === '/third') reply.send(200, { 'content-type': manifestType }, manifestBytes);
      else if (request.headers['authorization'] === undefined) reply.send(401, { 'www-authenticate': 'Basic realm="x"' });
      else reply.send(302, { location: `${away.url}/second` });
    });
    await bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm);
    expect(registry.requests.at(-1)?.path).toBe('/third');
    expect(registry.requests.at(-1)?.headers).not.toHaveProperty('authorization');
  });

  test('on the same origin keeps Authorization; a relative Location is resolved against the URL that answered', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      if (request.headers['authorization'] === undefined) reply.send(401, { 'www-authenticate': 'Basic realm="x"' });
      else if (request.path.startsWith('/v2/a/b/manifests/')) reply.send(308, { location: '../moved/v1?sig=1' });
      else reply.send(200, { 'content-type': manifestType }, manifestBytes);
    });
    await bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm);
    expect(registry.requests.at(-1)?.path).toBe('/v2/a/b/moved/v1?sig=1');
    expect(registry.requests.at(-1)?.headers).toHaveProperty('authorization');
  });

  test('challenge of the target is not answered', async () => {
    await using bench = setUp();
    const away = await bench.start((_, reply) => reply.send(401, { 'www-authenticate': 'Basic realm="x"' }));
    const registry = await bench.start((_, reply) => reply.send(307, { location: `${away.url}/x` }));
    const error = await failureOf(bench.client.getManifest(sourceAt(registry.url, { credentials }), 'a/b', 'v1', calm));
    expect([error.verdict, error.origin]).toEqual(['unauthorized', away.url]);
    expect(away.requests).toHaveLength(1);
    expect(away.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  test('SEC-D03: is followed five times and not six', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => reply.send(307, { location: `/hop/${request.count}` }));
    const error = await failureOf(bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob));
    expect(error.verdict).toBe('redirect-refused');
    expect(registry.requests).toHaveLength(6);
  });

  test('SEC-D03: from https to http is refused before anything is dialled', async () => {
    await using bench = setUp({ names: { 'a.test': ['127.0.0.1'] } });
    const plain = await bench.start((_, reply) => reply.send(200));
    const registry = await bench.start((_, reply) => reply.send(302, { location: plain.urlAt('a.test') }), { tls: 'a.test' });
    const source = sourceAt(registry.urlAt('a.test'), { tls: { ca: testCa, insecure: false }, allowPrivate: true });
    expect((await failureOf(bench.client.getBlob(source, 'a/b', digest, calmBlob))).verdict).toBe('redirect-refused');
    expect(plain.connections()).toBe(0);
  });

  test('without a Location, to no URL, to another protocol, to a strange port or with a login is refused', async () => {
    await using bench = setUp();
    const locations = [
      undefined,
      'http://',
      'ftp://127.0.0.1/',
      'file:///etc/passwd',
      'http://127.0.0.1:25/',
      'http://user:pw@127.0.0.1/',
      `http://127.0.0.1/${'x'.repeat(9_000)}`,
    ];
    const registry = await bench.start((request, reply) => {
      const location = locations[request.count - 1];
      reply.send(302, location === undefined ? {} : { location });
    });
    for (const location of locations.slice(0, -1)) {
      const error = await failureOf(bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob));
      expect(`${location}: ${error.verdict}`).toBe(`${location}: redirect-refused`);
    }
  });

  test('whose target fails says where', async () => {
    await using bench = setUp();
    const cdn = await bench.start((_, reply) => reply.send(403, {}, '<Error><Code>AccessDenied</Code></Error>'));
    const registry = await bench.start((_, reply) => reply.send(307, { location: `${cdn.url}/data?secret=signature` }));
    const error = await failureOf(bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob));
    expect([error.verdict, error.status, error.origin]).toEqual(['denied', 403, cdn.url]);
    expect(JSON.stringify({ ...error, message: error.message })).not.toContain('signature');
  });
});

describe('the outbound guard', () => {
  test('SEC-D03: a redirect of any source to the metadata address is refused', async () => {
    await using bench = setUp();
    for (const target of [
      'http://169.254.169.254/latest/meta-data/',
      'http://[::ffff:169.254.169.254]/',
      'http://[fd00:ec2::254]/',
      'http://0.0.0.0/',
    ]) {
      const registry = await bench.start((_, reply) => reply.send(307, { location: target }));
      const error = await failureOf(bench.client.getBlob(sourceAt(registry.url), 'a/b', digest, calmBlob));
      expect(`${target} ${error.verdict}`).toBe(`${target} private-address`);
    }
    expect(bench.logged()).toContain('private-address');
  });

  test('a source of the office network reaches nothing on our loopback', async () => {
    await using bench = setUp({ names: { 'hub.lan': ['127.0.0.1'], localhost: ['127.0.0.1'], 'x.lan': ['127.0.0.1'] } });
    const inner = await bench.start((_, reply) => reply.send(200));
    for (const target of [
      inner.url,
      inner.urlAt('localhost'),
      inner.urlAt('x.lan'),
      inner.urlAt('127.1'),
      inner.urlAt('[::ffff:127.0.0.1]'),
    ]) {
      const registry = await bench.start((_, reply) => reply.send(302, { location: target }));
      const error = await failureOf(bench.client.getBlob(sourceAt(registry.urlAt('hub.lan')), 'a/b', digest, calmBlob));
      expect(`${target} ${error.verdict}`).toBe(`${target} private-address`);
    }
    expect(inner.connections()).toBe(0);
  });

  test('a public name that resolves to a private address is not dialled', async () => {
    const names = {
      'hub.example.com': ['127.0.0.1'],
      'mixed.example.com': ['93.184.216.34', '127.0.0.1'],
      'six.example.com': ['::1'],
      'mapped.example.com': ['::ffff:7f00:1'],
    };
    await using bench = setUp({ names });
    const inner = await bench.start((_, reply) => reply.send(200));
    for (const host of Object.keys(names)) {
      const error = await failureOf(bench.client.getManifest(sourceAt(inner.urlAt(host)), 'a/b', 'v1', calm));
      expect(`${host} ${error.verdict}`).toBe(`${host} private-address`);
    }
    expect(inner.connections()).toBe(0);
  });

  test('SEC-D02: a name is dialled at the address that was checked, not at what it resolves to next', async () => {
    const answers = [['127.0.0.1'], ['169.254.169.254']];
    let asked = 0;
    const names = new Proxy<Record<string, readonly string[]>>({}, { get: () => answers[Math.min(asked++, 1)] });
    await using bench = setUp({ names });
    const registry = await bench.start((_, reply) => reply.send(200, { 'content-type': manifestType }, manifestBytes));
    await bench.client.getManifest(sourceAt(registry.urlAt('hub.lan')), 'a/b', 'v1', calm);
    expect(asked).toBe(1);
    expect(registry.requests[0]?.headers['host']).toBe(`hub.lan:${registry.port}`);
  });
});
