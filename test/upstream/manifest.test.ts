// Manifests, listings and referrers from scripted registries: what is asked for, what is believed and what each lie is called.

import { describe, expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../../src/oci/digest.ts';
import { play, type Script } from './fake-upstream.ts';
import { calm, failureOf, manifestBytes, manifestDigest, manifestType, setUp, sourceAt } from './set-up.ts';

const other = digestOf(new TextEncoder().encode('other'));

/** The verdict of a GET by tag and of a GET by digest. */
async function verdicts(script: Script, timeoutMs = 4_000): Promise<string> {
  await using bench = setUp();
  const registry = await bench.start(script);
  const found: string[] = [];
  for (const reference of ['v1', manifestDigest]) {
    found.push(
      await bench.client.getManifest(sourceAt(registry.url), 'a/b', reference, { timeoutMs }).then(
        () => 'ok',
        (error) => error.verdict,
      ),
    );
  }
  return found.join(' ');
}

describe('a manifest', () => {
  test('comes back byte for byte with its digest and bare type; the request names four types and identity', async () => {
    await using bench = setUp();
    const registry = await bench.start((_, reply) =>
      reply.send(200, { 'content-type': `${manifestType}; charset=utf-8`, 'docker-content-digest': manifestDigest }, manifestBytes),
    );
    const answer = await bench.client.getManifest(sourceAt(`${registry.url}/mirror`), 'a/b', 'v1', calm);
    expect(Buffer.from(answer.bytes)).toEqual(Buffer.from(manifestBytes));
    expect([answer.digest, answer.mediaType]).toEqual([manifestDigest, manifestType]);
    const request = registry.requests[0];
    expect(request?.path).toBe('/mirror/v2/a/b/manifests/v1');
    expect(request?.headers['accept-encoding']).toBe('identity');
    expect(request?.headers['user-agent']).toBe('breakwater/0.0.0-test');
    expect(request?.headers['accept']).toBe(
      'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json',
    );
  });

  test('by a sha512 digest is verified with sha512', async () => {
    await using bench = setUp();
    const registry = await bench.start((_, reply) =>
      reply.send(200, { 'content-type': manifestType, 'docker-content-digest': manifestDigest }, manifestBytes),
    );
    const long = digestOf(manifestBytes, 'sha512');
    expect((await bench.client.getManifest(sourceAt(registry.url), 'a/b', long, calm)).digest).toBe(long);
    const wrong = digestOf(new Uint8Array(), 'sha512');
    expect((await failureOf(bench.client.getManifest(sourceAt(registry.url), 'a/b', wrong, calm))).verdict).toBe('wrong-digest');
  });

  test('without a digest header is taken', async () => {
    expect(await verdicts((_, reply) => reply.send(200, { 'content-type': manifestType }, manifestBytes))).toBe('ok ok');
  });

  test('sent as gzip although identity was asked for is unpacked before it is hashed', async () => {
    expect(
      await verdicts((_, reply) =>
        reply.send(
          200,
          { 'content-type': manifestType, 'content-encoding': 'gzip', 'docker-content-digest': manifestDigest },
          gzipSync(manifestBytes),
        ),
      ),
    ).toBe('ok ok');
    expect(await verdicts((_, reply) => reply.send(200, { 'content-encoding': 'gzip' }, gzipSync(Buffer.alloc(50_000_000))))).toBe(
      'too-large too-large',
    );
    expect(await verdicts((_, reply) => reply.send(200, { 'content-encoding': 'br' }, manifestBytes))).toBe('encoding encoding');
  });

  test('with another digest than announced or asked for is a lie', async () => {
    expect(await verdicts((_, reply) => reply.send(200, { 'docker-content-digest': other }, manifestBytes))).toBe(
      'wrong-digest wrong-digest',
    );
    expect(await verdicts((_, reply) => reply.send(200, {}, `${Buffer.from(manifestBytes).toString()} `))).toBe('ok wrong-digest');
  });

  test('that is a page, an error, schema 1 or nonsense is called what it is', async () => {
    const json = { 'content-type': 'application/json' };
    expect(await verdicts((_, reply) => reply.send(200, { 'content-type': 'text/html' }, '<!doctype html><html>'))).toBe('html html');
    expect(await verdicts((_, reply) => reply.send(200, json, '{"errors":[{"code":"UNKNOWN"}]}'))).toBe('bad-manifest bad-manifest');
    expect(await verdicts((_, reply) => reply.send(200, json, '{"schemaVersion":1,"signatures":[]}'))).toBe('bad-manifest bad-manifest');
    expect(await verdicts((_, reply) => reply.send(200, json, ''))).toBe('bad-manifest bad-manifest');
  });

  test('larger than the cap is cut, announced or not', async () => {
    const large = Buffer.alloc(4 * 1024 * 1024 + 1, 32);
    expect(await verdicts((_, reply) => reply.send(200, {}, large))).toBe('too-large too-large');
    const endless: Script = async (_, reply) => {
      await reply.raw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      for (let count = 0; count < 200; count++) await reply.raw(`10000\r\n${' '.repeat(0x10000)}\r\n`);
    };
    expect(await verdicts(endless)).toBe('too-large too-large');
  });

  test('cut off, reset or never finished is no manifest', async () => {
    const half = manifestBytes.subarray(0, 50);
    expect(await verdicts(play(`HTTP/1.1 200 OK\r\ncontent-length: ${manifestBytes.length}\r\n\r\n`, half, { close: 'end' }))).toBe(
      'truncated truncated',
    );
    expect(await verdicts((_, reply) => reply.reset())).toBe('reset reset');
    expect(await verdicts((_, reply) => reply.end())).toBe('reset reset');
    expect(await verdicts(play(`HTTP/1.1 200 OK\r\ncontent-length: ${manifestBytes.length}\r\n\r\n`, half), 200)).toBe('timeout timeout');
    expect(await verdicts(() => undefined, 200)).toBe('timeout timeout');
    expect(await verdicts((_, reply) => reply.raw('SSH-2.0-OpenSSH\r\n\r\n'), 200)).toMatch(
      /^(bad-answer|reset|timeout) (bad-answer|reset|timeout)$/,
    );
  });

  test('statuses give their verdict, with the wait a limit asks for', async () => {
    await using bench = setUp();
    const answers: readonly (readonly [number, Record<string, string>, string])[] = [
      [404, {}, 'not-found'],
      [403, {}, 'denied'],
      [412, {}, 'gone'],
      [500, {}, 'server-error'],
      [503, { 'retry-after': '3' }, 'server-error'],
      [429, { 'retry-after': '7' }, 'rate-limited'],
      [429, { 'retry-after': new Date(Date.now() + 90_000).toUTCString() }, 'rate-limited'],
      [405, {}, 'bad-answer'],
      [204, {}, 'bad-answer'],
      [429, {}, 'rate-limited'],
    ];
    const registry = await bench.start((request, reply) => {
      const [status, headers] = answers[request.count - 1] ?? [500, {}];
      reply.send(status, headers);
    });
    const waits: (number | undefined)[] = [];
    for (const [index, [status, , verdict]] of answers.entries()) {
      const source = sourceAt(registry.url, { id: `source ${index}` });
      const error = await failureOf(bench.client.getManifest(source, 'a/b', 'v1', calm));
      expect([error.status, error.verdict]).toEqual([status, verdict as never]);
      waits.push(error.retryAfterMs);
    }
    expect(waits.slice(4, 6)).toEqual([3_000, 7_000]);
    expect(waits[6]).toBeWithin(80_000, 91_000);
    expect(waits[9]).toBeUndefined();
  });

  test('error answers leave the connection usable', async () => {
    await using bench = setUp();
    const registry = await bench.start((_, reply) => reply.send(404, {}, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'));
    for (let count = 0; count < 10; count++) await failureOf(bench.client.getManifest(sourceAt(registry.url), 'a/b', 'v1', calm));
    expect(registry.connections()).toBe(1);
  });
});

describe('the head of a manifest', () => {
  test('tells digest, type and size, and leaves out what is missing or malformed', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      expect(request.method).toBe('HEAD');
      if (request.path.endsWith('full'))
        reply.send(200, { 'content-type': manifestType, 'docker-content-digest': manifestDigest, 'content-length': '123' });
      else reply.send(200, { 'content-type': 'text/plain', 'docker-content-digest': 'sha256:xyz' });
    });
    const source = sourceAt(registry.url);
    expect(await bench.client.headManifest(source, 'a/b', 'full', calm)).toEqual({
      digest: manifestDigest,
      mediaType: manifestType,
      sizeBytes: 123,
    });
    expect(await bench.client.headManifest(source, 'a/b', 'poor', calm)).toEqual({});
    expect(registry.connections()).toBe(1);
  });

  test('that is a page, absent or not supported is a coded failure', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) =>
      request.count === 1 ? reply.send(200, { 'content-type': 'text/html' }) : reply.send(request.count === 2 ? 404 : 405),
    );
    const source = sourceAt(registry.url);
    const found: unknown[] = [];
    for (let count = 0; count < 3; count++) found.push((await failureOf(bench.client.headManifest(source, 'a/b', 'v1', calm))).verdict);
    expect(found).toEqual(['html', 'not-found', 'bad-answer']);
  });
});

describe('tags', () => {
  test('are read page by page; what is no tag is left out', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) => {
      if (request.path.includes('last=b')) reply.send(200, {}, '{"name":"a/b","tags":["c"]}');
      else reply.send(200, { link: '</v2/a/b/tags/list?n=2&last=b>; rel="next"' }, '{"name":"a/b","tags":["a","b","no tag",5]}');
    });
    const source = sourceAt(registry.url);
    const first = await bench.client.listTags(source, 'a/b', { ...calm, n: 2, last: 'Z' });
    expect(first).toEqual({ tags: ['a', 'b'], next: '?n=2&last=b' });
    expect(await bench.client.listTags(source, 'a/b', { ...calm, next: first.next ?? '' })).toEqual({ tags: ['c'] });
    expect(registry.requests.map((request) => request.path)).toEqual(['/v2/a/b/tags/list?n=2&last=Z', '/v2/a/b/tags/list?n=2&last=b']);
  });

  test('too many, none or no list are told apart', async () => {
    await using bench = setUp();
    const many = JSON.stringify({ tags: Array.from({ length: 10_001 }, (_, index) => `t${index}`) });
    const bodies = [many, '{"tags":null}', '{"tags":5}', '<html>', '[]'];
    const registry = await bench.start((request, reply) => reply.send(200, {}, bodies[request.count - 1] ?? ''));
    const found: unknown[] = [];
    for (const _ of bodies)
      found.push(
        await bench.client.listTags(sourceAt(registry.url), 'a/b', calm).then(
          (page) => page.tags.length,
          (error) => error.verdict,
        ),
      );
    expect(found).toEqual(['too-large', 0, 'bad-answer', 'html', 'bad-answer']);
  });
});

describe('referrers', () => {
  const index = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}';
  test('come as bytes, with the word on filtering', async () => {
    await using bench = setUp();
    const registry = await bench.start((request, reply) =>
      reply.send(200, request.path.includes('artifactType') ? { 'oci-filters-applied': 'artifactType' } : {}, index),
    );
    const source = sourceAt(registry.url);
    const filtered = await bench.client.getReferrers(source, 'a/b', manifestDigest, { ...calm, artifactType: 'application/x+json' });
    expect([Buffer.from(filtered?.bytes ?? []).toString(), filtered?.filtersApplied]).toEqual([index, true]);
    expect((await bench.client.getReferrers(source, 'a/b', manifestDigest, calm))?.filtersApplied).toBe(false);
    expect(registry.requests[0]?.path).toBe(`/v2/a/b/referrers/${manifestDigest}?artifactType=application%2Fx%2Bjson`);
  });

  test('are undefined where there is no such API, and a failure where there should be', async () => {
    await using bench = setUp();
    const answers = [404, 405, 400, 501, 503, 200];
    const registry = await bench.start((request, reply) => reply.send(answers[request.count - 1] ?? 500, {}, '{"schemaVersion":2}'));
    const found: unknown[] = [];
    for (const _ of answers)
      found.push(await bench.client.getReferrers(sourceAt(registry.url), 'a/b', manifestDigest, calm).catch((error) => error.verdict));
    expect(found).toEqual([undefined, undefined, undefined, undefined, 'server-error', 'bad-answer']);
  });
});
