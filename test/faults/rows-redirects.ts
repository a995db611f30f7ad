// F33 to F39, F49, F65: redirects, ranges, and addresses that somebody else names.

import { expect } from 'bun:test';
import { breakAt, type FakeSource, on, startFakeSource, times } from '../mirror/fake-source.ts';
import { pull, startServer } from '../mirror/harness.ts';
import { type Image, imageOf } from '../mirror/images.ts';
import { failuresOf, layerOf, type Row, requireExact } from './row.ts';
import { caFile, demandToken, expectNoSecret, loopbackPem, redirectBlobs, startTokenService } from './upstream.ts';

const mebibyte = 1024 * 1024;
const secret = 'a-secret-that-must-not-leave';

/** A CDN on another host: serves what it is given, and answers 400 to anybody who sends it a registry's authorization. */
async function startCdn(): Promise<FakeSource> {
  const cdn = await startFakeSource({ address: '127.0.0.3' });
  cdn.rule((request) =>
    request.headers['authorization'] === undefined ? undefined : { status: 400, headers: {}, body: Buffer.from('no') },
  );
  return cdn;
}

async function withCdn(run: (cdn: FakeSource) => Promise<void>): Promise<void> {
  const cdn = await startCdn();
  try {
    await run(cdn);
  } finally {
    await cdn.stop();
  }
}

export const redirectRows: readonly Row[] = [
  {
    id: 'F33',
    name: 'redirect-cross-host',
    fact: 'the CDN gets the Range and never the token or the login, also when the body is continued',
    run: async () => {
      const [cdn, tokens, registry] = await Promise.all([startCdn(), startTokenService(), startFakeSource()]);
      const server = await startServer({
        registries: {
          'cdn.test': [{ source: registry, credentials: { username: 'robot', password: secret }, realms: [tokens.listener.url] }],
        },
        publicRegistries: ['cdn.test'],
      });
      try {
        const image = imageOf([3 * mebibyte]);
        for (const source of [registry, cdn]) source.add('library/app', image);
        demandToken(registry, { realm: `${tokens.listener.url}/token`, accepted: () => tokens.issued });
        redirectBlobs(registry, (request) => `${cdn.url}${request.path}?signature=1`);
        cdn.rule(on(layerOf(image).digest, times(1, breakAt(mebibyte, 'end'))));
        await requireExact(pull(server, `/v2/cdn.test/library/app/manifests/${image.manifest.digest}`), image.manifest);
        await requireExact(pull(server, `/v2/cdn.test/library/app/blobs/${layerOf(image).digest}`), layerOf(image));
        expect(cdn.requests.map((request) => request.headers['range'])).toEqual([undefined, `bytes=${mebibyte}-`]);
        for (const request of cdn.requests) expect(request.headers['authorization']).toBeUndefined();
        expectNoSecret(secret, [cdn, registry]);
        // Its own token service does get the login.
        expect(() => expectNoSecret(secret, [tokens.listener])).toThrow();
      } finally {
        await server.stop();
        await Promise.all([cdn.stop(), tokens.listener.stop(), registry.stop()]);
      }
    },
  },
  {
    id: 'F34',
    name: 'redirect-relative',
    fact: 'a Location without a host is resolved against the request',
    sources: ['authority'],
    run: async ({ first, serve, pullImage }) => {
      const image = serve([1000]);
      const layer = layerOf(image);
      first.rule((request) =>
        request.path.endsWith(layer.digest) && request.query === ''
          ? { status: 302, headers: { location: `${request.path}?signature=1` }, body: Buffer.alloc(0) }
          : undefined,
      );
      await pullImage(image);
      expect(first.requests.filter((request) => request.query === 'signature=1')).toHaveLength(1);
    },
  },
  {
    id: 'F36',
    name: 'redirect-expired',
    fact: 'a signed address that has expired is asked for anew at the registry, and the body goes on at its offset',
    sources: ['authority'],
    run: ({ first, serve, pullImage }) =>
      withCdn(async (cdn) => {
        const image = serve([3 * mebibyte]);
        cdn.add('library/app', image);
        const layer = layerOf(image);
        let signed = 0;
        redirectBlobs(first, (request) => `${cdn.url}${request.path}?signature=${++signed}`);
        // Each signature is good for one answer, the first of which breaks off.
        const used = new Set<string>();
        cdn.rule((request) => {
          if (used.has(request.query)) return { status: 403, headers: {}, body: Buffer.from('expired') };
          used.add(request.query);
          return undefined;
        });
        cdn.rule(
          on(
            layer.digest,
            times(1, (answer, request) => {
              used.add(request.query);
              return breakAt(2 * mebibyte, 'end')(answer);
            }),
          ),
        );
        await pullImage(image);
        expect(cdn.requests.map((request) => request.query)).toEqual(['signature=1', 'signature=2']);
        expect(cdn.bytes(layer.digest)).toBe(3 * mebibyte);
      }),
  },
  {
    id: 'F37',
    name: 'redirect-loop / http-downgrade / to 169.254.169.254',
    fact: 'loops end after five hops, a downgrade is not followed, metadata addresses are not dialled; the next source serves',
    run: async () => {
      const [loop, metadata, secure, plain, honest] = await Promise.all([
        startFakeSource(),
        startFakeSource(),
        startFakeSource({ tls: loopbackPem }),
        startFakeSource({ address: '127.0.0.3' }),
        startFakeSource(),
      ]);
      const server = await startServer({
        registries: {
          'redirects.test': [
            { source: loop, trust: 'digest-only' },
            { source: metadata, trust: 'digest-only' },
            { source: secure, trust: 'digest-only', caFile },
            { source: honest },
          ],
        },
      });
      try {
        const image = imageOf([1000]);
        for (const source of [loop, metadata, secure, plain, honest]) source.add('library/app', image);
        redirectBlobs(loop, (request) => `${request.path}?hop=${loop.requests.length}`);
        redirectBlobs(metadata, () => 'http://169.254.169.254/latest/meta-data/');
        redirectBlobs(secure, (request) => `${plain.url}${request.path}`);
        await requireExact(pull(server, `/v2/redirects.test/library/app/manifests/${image.manifest.digest}`), image.manifest);
        await requireExact(pull(server, `/v2/redirects.test/library/app/blobs/${layerOf(image).digest}`), layerOf(image));
        expect(loop.count(layerOf(image).digest)).toBeLessThanOrEqual(6);
        expect(await failuresOf(server, loop)).toEqual({ 'redirect-refused': 1 });
        expect(await failuresOf(server, metadata)).toEqual({ 'private-address': 1 });
        expect(await failuresOf(server, secure)).toEqual({ 'redirect-refused': 1 });
        expect(plain.connections()).toBe(0);
      } finally {
        await server.stop();
        for (const source of [loop, metadata, secure, plain, honest]) await source.stop();
      }
    },
  },
  {
    id: 'F38',
    name: 'range-ignored',
    fact: 'a 200 to a Range is read from its beginning, and the digest is right',
    sources: ['authority', 'authority'],
    run: async ({ first, second, serve, pullImage }) => {
      const image = serve([3 * mebibyte]);
      const layer = layerOf(image);
      first.rule(on(layer.digest, breakAt(mebibyte, 'end')));
      second.rule(on(layer.digest, (answer) => ({ ...answer, status: 200, headers: {}, body: layer.bytes })));
      await pullImage(image);
      expect(second.requests.at(-1)?.headers['range']).toBe(`bytes=${mebibyte}-`);
    },
  },
  {
    id: 'F39',
    name: 'range-wrong',
    fact: 'a 206 at another place, or of another whole, is refused, and the next source goes on',
    sources: ['authority', 'authority', 'authority', 'authority'],
    run: async ({ first, second, third, sources, serve, pullImage, server }) => {
      const size = 3 * mebibyte;
      const image = serve([size]);
      const layer = layerOf(image);
      first.rule(on(layer.digest, breakAt(mebibyte, 'end')));
      const says = (range: string) => (answer: Parameters<ReturnType<typeof breakAt>>[0]) => ({
        ...answer,
        headers: { 'content-range': range },
      });
      second.rule(on(layer.digest, says(`bytes 0-${2 * mebibyte - 1}/${size}`)));
      third.rule(on(layer.digest, says(`bytes ${mebibyte}-${size}/${size + 1}`)));
      await pullImage(image);
      expect(sources[3]?.bytes(layer.digest)).toBe(2 * mebibyte);
      for (const source of [second, third]) expect(await failuresOf(server, source)).toEqual({ 'bad-range': 1 });
    },
  },
  {
    id: 'F65',
    name: 'ns-ssrf',
    fact: 'a client that names a host as the registry is refused, and nothing is dialled',
    sources: ['authority'],
    run: async ({ first, server, registry, serve }) => {
      const victim = await startFakeSource();
      try {
        const image: Image = serve([100]);
        const tag = `${server.url}/v2/library/app/manifests/v1`;
        const hostile = [
          victim.host,
          `127.0.0.1:${victim.port}`,
          '127.0.0.1:6379',
          `http://${victim.host}`,
          '169.254.169.254',
          'localhost',
          `${registry}@${victim.host}`,
          `${victim.host}/${registry}`,
          `${registry}:80`,
          '[::1]',
          '0x7f000001',
          '%0d%0aHost:%20evil',
        ];
        for (const name of hostile) {
          const answer = await fetch(`${tag}?ns=${name.startsWith('%') ? name : encodeURIComponent(name)}`);
          expect([name, answer.status >= 400 && answer.status < 500]).toEqual([name, true]);
          await answer.bytes();
        }
        const denied = await fetch(`${tag}?ns=127.0.0.1:6379`);
        expect(denied.status).toBe(403);
        expect(await denied.text()).toContain('DENIED');
        for (const path of [
          `/v2/${victim.host}/app/manifests/v1`,
          `/v2/127.0.0.1/app/manifests/v1`,
          `/${victim.host}/v2/app/manifests/v1`,
        ]) {
          const answer = await fetch(`${server.url}${path}`);
          expect(answer.status).toBeGreaterThanOrEqual(400);
          await answer.bytes();
        }
        expect(victim.connections()).toBe(0);
        // The same question with a registry that is configured is answered.
        const known = await fetch(`${tag}?ns=${registry}`);
        expect(known.headers.get('docker-content-digest')).toBe(image.manifest.digest);
        expect(first.requests.length).toBeGreaterThan(0);
      } finally {
        await victim.stop();
      }
    },
  },
  {
    id: 'F35',
    name: 'redirect-dead-cdn',
    fact: 'blobs behind a dead CDN come from the next source, while this one still serves manifests',
    sources: ['digest-only', 'authority'],
    run: ({ first, second, serve, pullImage }) =>
      withCdn(async (cdn) => {
        await cdn.down();
        redirectBlobs(first, (request) => `${cdn.url}${request.path}`);
        for (const image of [serve([1000]), serve([1000]), serve([1000])]) {
          await pullImage(image);
          expect(first.count(image.manifest.digest)).toBe(1);
          expect(second.count(layerOf(image).digest)).toBe(1);
        }
      }),
  },
];
