// The egress policy on the wire: what it denies is answered 403 with the policy named, no name is resolved and nothing is dialled.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createServer, type Server } from 'node:net';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { createEgress } from '../../src/registry/egress.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { startFakeUpstream } from '../upstream/fake-upstream.ts';
import { calm, calmBlob, collect, failureOf, manifestBytes, manifestDigest, manifestType, sourceAt } from '../upstream/set-up.ts';

/** A listener that counts who comes. */
async function startCounter(): Promise<{ readonly port: number; readonly connections: () => number; stop(): void }> {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections++;
    socket.on('error', () => undefined);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, connections: () => connections, stop: () => server.close() };
}

describe('a server whose policy denies a registry', () => {
  let counter: Awaited<ReturnType<typeof startCounter>>;
  let server: RunningBreakwater;
  beforeAll(async () => {
    counter = await startCounter();
    const source = { url: `http://127.0.0.1:${counter.port}`, trust: 'authority' };
    server = await startBreakwater({
      config: JSON.stringify({
        presets: false,
        registries: { 'docker.io': { sources: [source] }, 'quay.io': { sources: [source] }, 'ghcr.io': { sources: [source] } },
        egress: { registries: { deny: ['docker.io', 'quay.*'] }, hosts: { deny: ['127.0.0.0/8'] } },
      }),
    });
  });
  afterAll(async () => {
    await server.stop();
    counter.stop();
  });

  const ask = async (path: string, init: RequestInit = {}): Promise<{ status: number; code: string | undefined; message: string }> => {
    const response = await fetch(`${server.url}${path}`, init);
    const text = await response.text();
    const body = text === '' ? {} : (JSON.parse(text) as { errors?: { code: string; message: string }[] });
    return { status: response.status, code: body.errors?.[0]?.code, message: body.errors?.[0]?.message ?? '' };
  };
  const paths = [
    '/v2/quay.io/owner/app/manifests/1',
    '/v2/owner/app/manifests/1?ns=quay.io',
    '/quay.io/v2/owner/app/manifests/1',
    '/v2/docker.io/library/app/manifests/1',
    '/v2/owner/app/manifests/1',
    `/v2/quay.io/owner/app/blobs/${manifestDigest}`,
    '/v2/quay.io/owner/app/tags/list',
  ];
  for (const path of paths) {
    test(`${path} is 403 DENIED with the policy named`, async () => {
      const answer = await ask(path);
      expect(answer).toMatchObject({ status: 403, code: 'DENIED' });
      expect(answer.message).toContain('egress policy: the registry');
      expect(answer.message).toMatch(/egress\.registries\.deny: (docker\.io|quay\.\*)/);
    });
  }

  test('a HEAD is 403 as well', async () => {
    expect((await ask('/v2/quay.io/owner/app/manifests/1', { method: 'HEAD' })).status).toBe(403);
  });

  test('what an overlay lacks is refused', async () => {
    const answer = await ask('/v2/library/app/manifests/1');
    expect(answer).toMatchObject({ status: 403, code: 'DENIED' });
    expect(answer.message).toContain('egress.registries.deny: docker.io');
  });

  test('a registry whose only host is denied is 403 with that rule', async () => {
    const answer = await ask('/v2/ghcr.io/owner/app/manifests/1');
    expect(answer).toMatchObject({ status: 403, code: 'DENIED' });
    expect(answer.message).toContain('egress.hosts.deny: 127.0.0.0/8');
  });

  test('F65: a registry that is none of ours is 403, whatever address it names', async () => {
    for (const ns of [`127.0.0.1:${counter.port}`, 'localhost:5432', '169.254.169.254', '[::1]:80', '127.0.0.1:6379']) {
      const answer = await ask(`/v2/owner/app/manifests/1?ns=${encodeURIComponent(ns)}`);
      expect([ns, answer.status === 403 || answer.status === 400]).toEqual([ns, true]);
      if (/^[\w.:-]+$/.test(ns)) expect(answer).toMatchObject({ status: 403, code: 'DENIED' });
    }
  });

  test('nothing was dialled for all of this', () => {
    expect(counter.connections()).toBe(0);
  });
});

describe('every outbound hop', () => {
  /** A client under a policy, with the names it resolved. */
  function clientUnder(rules: { allow?: string[]; deny?: string[] }, names: Readonly<Record<string, readonly string[]>>) {
    const resolved: string[] = [];
    const client = createUpstreamClient({
      clock: systemClock,
      log: createLog({ write: () => undefined }),
      version: '0.0.0-test',
      egress: createEgress({ registries: { allow: [], deny: ['quay.io'] }, hosts: { allow: rules.allow ?? [], deny: rules.deny ?? [] } })
        .ask,
      resolve: async (host) => {
        resolved.push(host);
        const found = names[host];
        if (found === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
        return found;
      },
    });
    return { client, resolved };
  }

  test('a denied host costs no DNS query and no connection', async () => {
    const upstream = await startFakeUpstream((_, reply) => reply.send(200));
    const { client, resolved } = clientUnder({ deny: ['m.test'] }, { 'm.test': ['127.0.0.1'], 'r.test': ['127.0.0.1'] });
    try {
      const denied = sourceAt(upstream.urlAt('m.test'), { allowPrivate: true });
      const error = await failureOf(client.getManifest(denied, 'a/b', '1', calm));
      expect(error.verdict).toBe('egress-denied');
      expect(error.detail).toContain('egress.hosts.deny: m.test');
      const other = sourceAt(upstream.urlAt('r.test'), { registry: 'quay.io', allowPrivate: true });
      expect((await failureOf(client.getManifest(other, 'a/b', '1', calm))).detail).toContain('egress.registries.deny: quay.io');
      expect(resolved).toEqual([]);
      expect(upstream.connections()).toBe(0);
    } finally {
      client.close();
      await upstream.stop();
    }
  });

  test('a network is denied by what a name resolves to, before it is dialled', async () => {
    const upstream = await startFakeUpstream((_, reply) => reply.send(200));
    const { client, resolved } = clientUnder({ deny: ['127.0.0.0/8'] }, { 'm.test': ['127.0.0.1'] });
    try {
      const source = sourceAt(upstream.urlAt('m.test'), { allowPrivate: true });
      expect((await failureOf(client.getManifest(source, 'a/b', '1', calm))).detail).toContain('m.test (127.0.0.1) may not be contacted');
      expect(resolved).toEqual(['m.test']);
      expect(upstream.connections()).toBe(0);
    } finally {
      client.close();
      await upstream.stop();
    }
  });

  test('a token service that is not allowed is not asked', async () => {
    const realm = await startFakeUpstream((_, reply) => reply.send(200, {}, '{"token":"x"}'));
    const upstream = await startFakeUpstream((_, reply) =>
      reply.send(401, { 'www-authenticate': `Bearer realm="${realm.urlAt('auth.m.test')}/token",service="s"` }),
    );
    const { client, resolved } = clientUnder({ allow: ['m.test'] }, { 'm.test': ['127.0.0.1'], 'auth.m.test': ['127.0.0.1'] });
    try {
      const source = sourceAt(upstream.urlAt('m.test'), { allowPrivate: true, realms: [realm.urlAt('auth.m.test')] });
      const error = await failureOf(client.getManifest(source, 'a/b', '1', calm));
      expect([error.verdict, error.detail]).toEqual([
        'egress-denied',
        'the host auth.m.test may not be contacted (egress.hosts.allow does not list it)',
      ]);
      expect(realm.connections()).toBe(0);
      expect(resolved).toEqual(['m.test']);
    } finally {
      client.close();
      await Promise.all([upstream.stop(), realm.stop()]);
    }
  });

  test('a redirect to a host that is denied is not followed, one to another is', async () => {
    const cdn = await startFakeUpstream((_, reply) => reply.send(200, { 'content-type': manifestType }, manifestBytes));
    const upstream = await startFakeUpstream((request, reply) =>
      reply.send(307, { location: `${cdn.urlAt(request.path.includes('/bad/') ? 'bad.test' : 'good.test')}/blob` }),
    );
    const { client } = clientUnder({ deny: ['bad.*'] }, { 'm.test': ['127.0.0.1'], 'bad.test': ['127.0.0.1'], 'good.test': ['127.0.0.1'] });
    try {
      const source = sourceAt(upstream.urlAt('m.test'), { allowPrivate: true });
      expect((await failureOf(client.getBlob(source, 'bad/b', manifestDigest, calmBlob))).verdict).toBe('egress-denied');
      expect(cdn.connections()).toBe(0);
      const good = await client.getBlob(source, 'good/b', manifestDigest, calmBlob);
      expect((await collect(good.body)).bytes).toEqual(Buffer.from(manifestBytes));
    } finally {
      client.close();
      await Promise.all([upstream.stop(), cdn.stop()]);
    }
  });

  test('a layer that lives elsewhere is not fetched from a host that is denied', async () => {
    const far = await startFakeUpstream((_, reply) => reply.send(200, {}, manifestBytes));
    const { client, resolved } = clientUnder({ deny: ['far.test'] }, { 'far.test': ['127.0.0.1'] });
    try {
      const source = sourceAt('https://m.test', { allowPrivate: true });
      const error = await failureOf(client.getBlob(source, 'a/b', manifestDigest, { ...calmBlob, at: `${far.urlAt('far.test')}/layer` }));
      expect([error.verdict, far.connections(), resolved]).toEqual(['egress-denied', 0, []]);
    } finally {
      client.close();
      await far.stop();
    }
  });

  test('a proxy is a host like any other', async () => {
    const counter = await startCounter();
    const { client } = clientUnder({ deny: ['127.0.0.1'] }, {});
    try {
      const source = sourceAt('https://m.test', { proxy: `http://127.0.0.1:${counter.port}` });
      const error = await failureOf(client.getManifest(source, 'a/b', '1', calm));
      expect([error.verdict, error.detail]).toEqual([
        'egress-denied',
        'the host 127.0.0.1 may not be contacted (egress.hosts.deny: 127.0.0.1)',
      ]);
      expect(counter.connections()).toBe(0);
    } finally {
      client.close();
      counter.stop();
    }
  });
});
