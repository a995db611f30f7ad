// The limits of the configuration, each with a small value: what is over it is refused with its code, and nothing else is harmed.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { exchange, openConnection } from './raw-socket.ts';
import { basicOf, bytesOf, codeOf, failuresIn, imageType, type Registry, sha256, startRegistry } from './registry.ts';

const small = `
  manifest_bytes: 2KiB
  blob_bytes: 4KiB
  uploads_per_principal: 4
  uploads_per_repository: 3
  uploads_total: 4
  page_size_default: 2
  page_size_max: 3
  minimum_free: { percent: 0, bytes: 1MiB }`;

const startUpload = (registry: Registry, repository: string): Promise<Response> =>
  registry.call(`/v2/${repository}/blobs/uploads/`, { method: 'POST' });

describe('small limits', () => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await startRegistry({ limits: small });
  });
  afterAll(async () => {
    expect(failuresIn(registry)).toEqual([]);
    expect(await registry.stop()).toBe(0);
  });

  const putManifest = (reference: string, body: Uint8Array | ReadableStream<Uint8Array>): Promise<Response> =>
    registry.call(`/v2/library/app/manifests/${reference}`, { method: 'PUT', headers: { 'content-type': imageType }, body });

  test('a manifest may have as many bytes and no more, whether its length is announced or not', async () => {
    const { bytes } = await registry.pushImage('library/app', 'v1');
    const padded = (size: number): Uint8Array => bytesOf(new TextDecoder().decode(bytes).padEnd(size));
    expect((await putManifest('exact', padded(2048))).status).toBe(201);
    const refused = await putManifest('large', padded(2049));
    expect([refused.status, await codeOf(refused)]).toEqual([413, 'MANIFEST_INVALID']);
    const chunked = await putManifest('large', new Blob([padded(2049) as Uint8Array<ArrayBuffer>]).stream());
    expect([chunked.status, await codeOf(chunked)]).toEqual([413, 'MANIFEST_INVALID']);
    expect((await registry.call('/v2/library/app/manifests/large')).status).toBe(404);
  });

  test('SEC-G02: an endless manifest is refused while it is still coming, and memory does not grow', async () => {
    const residentKiB = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${registry.pid}/status`, 'utf8'))?.[1]);
    const before = residentKiB();
    const connections = await Promise.all(
      Array.from({ length: 32 }, async () => {
        const connection = await openConnection(registry.port);
        connection.write(
          `PUT /v2/library/app/manifests/endless HTTP/1.1\r\nHost: a\r\nAuthorization: ${basicOf(registry.admin)}\r\nTransfer-Encoding: chunked\r\n\r\n`,
        );
        const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`;
        for (let index = 0; index < 32; index++) connection.write(chunk);
        return connection;
      }),
    );
    for (const connection of connections) {
      await connection.received('HTTP/1.1 413');
      connection.socket.destroy();
    }
    expect(residentKiB() - before).toBeLessThan(64 * 1024);
  });

  test('a blob may have as many bytes and no more, in one request and in chunks', async () => {
    const body = 'b'.repeat(4096);
    const digest = sha256(bytesOf(body));
    expect((await registry.call(`/v2/library/app/blobs/uploads/?digest=${digest}`, { method: 'POST', body })).status).toBe(201);
    const large = await registry.call(`/v2/library/app/blobs/uploads/?digest=${digest}`, { method: 'POST', body: `${body}b` });
    expect([large.status, await codeOf(large)]).toEqual([413, 'SIZE_INVALID']);
    const location = await registry.beginUpload('library/app');
    expect((await registry.call(location, { method: 'PATCH', body: body.slice(96) })).status).toBe(202);
    const chunk = await registry.call(location, { method: 'PATCH', body: 'b'.repeat(97) });
    expect([chunk.status, await codeOf(chunk)]).toEqual([413, 'SIZE_INVALID']);
    const closing = await registry.call(`${location}?digest=${digest}`, { method: 'PUT', body: 'b'.repeat(97) });
    expect(closing.status).toBe(413);
    // The session is as it was.
    expect((await registry.call(`${location}?digest=${digest}`, { method: 'PUT', body: 'b'.repeat(96) })).status).toBe(201);
  });

  test('SEC-G04: open uploads of a repository and in all; one that ends makes room', async () => {
    const opened: string[] = [];
    for (let index = 0; index < 3; index++) opened.push(await registry.beginUpload('library/one'));
    const fourth = await startUpload(registry, 'library/one');
    expect([fourth.status, await codeOf(fourth), fourth.headers.has('retry-after')]).toEqual([429, 'TOOMANYREQUESTS', true]);
    opened.push(await registry.beginUpload('library/two'));
    expect((await startUpload(registry, 'library/three')).status).toBe(429);
    const mounted = await registry.call(`/v2/library/three/blobs/uploads/?mount=${sha256(bytesOf('x'))}&from=library/one`, {
      method: 'POST',
    });
    expect(mounted.status).toBe(429);
    // What needs no session goes on.
    await registry.pushBlob('library/three', bytesOf('in one request'));
    const body = 'x';
    const digest = sha256(bytesOf(body));
    expect((await registry.call(`${opened[0]}?digest=${digest}`, { method: 'PUT', body })).status).toBe(201);
    expect((await startUpload(registry, 'library/one')).status).toBe(202);
    for (const location of opened.slice(1)) expect((await registry.call(location, { method: 'DELETE' })).status).toBe(204);
    expect((await startUpload(registry, 'library/three')).status).toBe(202);
  });

  test('SEC-G01: pages have their size when none is asked for, and never more than the largest', async () => {
    for (const tag of ['a', 'b', 'c', 'd', 'e']) await registry.pushImage('library/paged', tag, bytesOf('same'));
    const tags = async (query: string): Promise<unknown> => {
      const response = await registry.call(`/v2/library/paged/tags/list${query}`);
      return [((await response.json()) as { tags: string[] }).tags.join(''), response.headers.get('link')];
    };
    expect(await tags('')).toEqual(['ab', '</v2/library/paged/tags/list?n=2&last=b>; rel="next"']);
    for (const n of ['4', '1000000', '999999999999']) {
      expect(await tags(`?n=${n}`)).toEqual(['abc', '</v2/library/paged/tags/list?n=3&last=c>; rel="next"']);
    }
    expect(await tags('?n=3&last=c')).toEqual(['de', null]);
    expect(await tags('?n=0')).toEqual(['', null]);
    for (const n of ['-1', 'NaN', '1e9', '2147483648.5', '9'.repeat(13), '0x10', '1&n=2']) {
      const response = await registry.call(`/v2/library/paged/tags/list?n=${n}`);
      expect([n, response.status, await codeOf(response)]).toEqual([n, 400, 'PAGINATION_NUMBER_INVALID']);
    }
    const catalog = await registry.call('/v2/_catalog?n=1000');
    expect(((await catalog.json()) as { repositories: string[] }).repositories.length).toBeLessThanOrEqual(3);
  });
});

describe('uploads that are left alone', () => {
  test('expire, and are unknown then', async () => {
    const registry = await startRegistry({ limits: '{ upload_idle_expiry: 2s, minimum_free: { percent: 0, bytes: 1MiB } }' });
    try {
      const location = await registry.beginUpload('library/app');
      expect((await registry.call(location)).status).toBe(204);
      await Bun.sleep(1100);
      expect((await registry.call(location, { method: 'PATCH', body: 'still here' })).status).toBe(202);
      await Bun.sleep(1100);
      expect((await registry.call(location)).status).toBe(204);
      await Bun.sleep(2100);
      expect((await registry.call(location)).status).toBe(404);
    } finally {
      await registry.stop();
    }
  }, 20_000);
});

describe('a disk that is almost full', () => {
  test('SEC-G11: takes nothing new and still serves', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-full-'));
    try {
      const roomy = await startRegistry({ dataDir });
      const image = await roomy.pushImage('library/app', 'v1');
      const location = await roomy.beginUpload('library/app');
      await roomy.stop();
      const registry = await startRegistry({ dataDir, limits: '{ minimum_free: { percent: 90, bytes: 16TiB } }' });
      const digest = sha256(bytesOf('x'));
      const writes: [string, string][] = [
        ['POST', '/v2/library/app/blobs/uploads/'],
        ['POST', `/v2/library/app/blobs/uploads/?digest=${digest}`],
        ['PATCH', location],
        ['PUT', `${location}?digest=${digest}`],
      ];
      for (const [method, path] of writes) {
        const response = await registry.call(path, { method, body: 'x' });
        expect([method, path, response.status, await codeOf(response)]).toEqual([method, path, 507, 'INSUFFICIENT_STORAGE']);
      }
      expect((await registry.call('/v2/library/app/manifests/v1')).status).toBe(200);
      expect(sha256(await (await registry.call(`/v2/library/app/blobs/${image.layerDigest}`)).bytes())).toBe(image.layerDigest);
      expect((await registry.call(location)).status).toBe(204);
      expect(await registry.stop()).toBe(0);
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});

describe.skipIf(!(requireTools('mount', 'umount') && requireRoot()))('a disk that is full', () => {
  test('refuses what does not fit, keeps what it has, and serves what is there', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-full-'));
    if (Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', dataDir]).exitCode !== 0) {
      console.log('skipped a suite: no file system can be mounted here');
      rmSync(dataDir, { recursive: true, force: true });
      return;
    }
    try {
      const registry = await startRegistry({ dataDir, limits: '{ minimum_free: { percent: 0, bytes: 0B } }' });
      try {
        const image = await registry.pushImage('library/app', 'v1');
        const large = 'x'.repeat(20 * 1024 * 1024);
        const digest = sha256(bytesOf(large));
        const whole = await registry.call(`/v2/library/app/blobs/uploads/?digest=${digest}`, { method: 'POST', body: large });
        expect([whole.status, await codeOf(whole)]).toEqual([507, 'INSUFFICIENT_STORAGE']);
        const location = await registry.beginUpload('library/app');
        expect((await registry.call(location, { method: 'PATCH', body: 'y'.repeat(1000) })).status).toBe(202);
        const chunk = await registry.call(location, { method: 'PATCH', body: large });
        expect(chunk.status).toBe(507);
        // The chunk made room again: the session is where it was, and others can push.
        expect((await registry.call(location)).headers.get('range')).toBe('0-999');
        await registry.pushBlob('library/app', bytesOf('y'.repeat(1024 * 1024)));
        expect((await registry.call('/v2/library/app/manifests/v1')).status).toBe(200);
        expect((await registry.call(`/v2/library/app/blobs/${image.layerDigest}`)).status).toBe(200);
        expect((await registry.call(location, { method: 'DELETE' })).status).toBe(204);
        const fits = 'z'.repeat(1024 * 1024);
        const pushed = await registry.call(`/v2/library/app/blobs/uploads/?digest=${sha256(bytesOf(fits))}`, {
          method: 'POST',
          body: fits,
        });
        expect(pushed.status).toBe(201);
        expect(failuresIn(registry)).toEqual([]);
      } finally {
        await registry.stop();
      }
    } finally {
      Bun.spawnSync(['umount', dataDir]);
      rmSync(dataDir, { recursive: true, force: true });
    }
  }, 30_000);
});

describe('a stored file that was damaged behind our back', () => {
  test('is never served as if it were the blob', async () => {
    const registry = await startRegistry();
    try {
      const image = await registry.pushImage('library/app', 'v1', bytesOf('0123456789'));
      const path = `/v2/library/app/blobs/${image.layerDigest}`;
      const folder = join(registry.dataDir, 'blobs/sha256', image.layerDigest.slice(7, 9));
      const [name] = [...new Bun.Glob(`${image.layerDigest.slice(7)}.*`).scanSync(folder)];
      for (const content of ['01234', '0123456789ab', '']) {
        await Bun.write(join(folder, name ?? ''), content);
        for (const headers of ['', 'Range: bytes=2-3\r\n']) {
          const answer = await exchange(
            registry.port,
            `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}Connection: close\r\nAuthorization: ${basicOf(registry.admin)}\r\n\r\n`,
          );
          expect([content, headers, answer.statuses]).toEqual([content, headers, [503]]);
        }
      }
      expect(failuresIn(registry).join('\n')).toContain('blob.damaged');
      // The client is told nothing of our disk.
      expect(await (await registry.call(path)).text()).not.toContain(registry.dataDir);
    } finally {
      await registry.stop();
    }
  });
});
