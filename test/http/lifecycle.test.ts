// The life of a server: its first boot, its configuration at the next ones, and an end that loses nothing.

import { describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConnection } from './raw-socket.ts';
import { basicOf, bytesOf, failuresIn, sha256, startRegistry } from './registry.ts';

async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-life-'));
  try {
    await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function until(isTrue: () => boolean | Promise<boolean>, patienceMs = 10_000): Promise<void> {
  for (const sinceMs = performance.now(); !(await isTrue()); await Bun.sleep(20))
    if (performance.now() - sinceMs > patienceMs) throw new Error('it did not come true');
}

describe('the first boot', () => {
  test('SEC-B12: makes secrets that only the user of the server can read; the second one keeps them', () =>
    inFolder(async (dataDir) => {
      const first = await startRegistry({ dataDir });
      await first.pushImage('library/app', 'v1');
      const token = await first.token(['repository:library/app:pull']);
      for (const file of ['admin.password']) expect(statSync(join(dataDir, file)).mode & 0o777).toBe(0o600);
      // Whatever lies deeper is behind a folder of which the same is true.
      for (const entry of readdirSync(dataDir, { withFileTypes: true })) {
        if (entry.isDirectory()) expect([entry.name, statSync(join(dataDir, entry.name)).mode & 0o077]).toEqual([entry.name, 0]);
      }
      expect(await first.stop()).toBe(0);
      const second = await startRegistry({ dataDir });
      expect(second.adminPassword).toBe(first.adminPassword);
      expect((await second.call('/v2/')).status).toBe(200);
      expect((await second.call('/v2/library/app/manifests/v1', { as: { token } })).status).toBe(200);
      expect(await second.stop()).toBe(0);
    }));

  test('SEC-B07: gives each installation secrets of its own', async () => {
    const [one, two] = await Promise.all([startRegistry(), startRegistry()]);
    try {
      expect(one.adminPassword).not.toBe(two.adminPassword);
      const token = await one.token(['repository:library/app:pull,push']);
      expect((await two.call('/v2/', { as: { token } })).status).toBe(401);
      expect((await two.call('/v2/', { as: one.admin })).status).toBe(401);
    } finally {
      await Promise.all([one.stop(), two.stop()]);
    }
  });
});

describe('a mirror', () => {
  test('is open or closed as the configuration says now', () =>
    inFolder(async (dataDir) => {
      const dead = 'url: "http://127.0.0.1:1"';
      const states: [string, number][] = [
        [`sources: [{ ${dead} }]`, 503],
        [`sources: [{ ${dead}, credentials: { username: a, password: "b" } }]`, 401],
        [`public: true, sources: [{ ${dead}, credentials: { username: a, password: "b" } }]`, 503],
        [`public: false, sources: [{ ${dead} }]`, 401],
      ];
      for (const [settings, status] of states) {
        const registry = await startRegistry({ dataDir, config: `presets: false\nregistries: { quay.io: { ${settings} } }\n` });
        const anonymous = await registry.call('/v2/quay.io/team/app/manifests/v1', { as: 'anonymous' });
        const admin = await registry.call('/v2/quay.io/team/app/manifests/v1');
        await registry.stop();
        expect([settings, anonymous.status, admin.status]).toEqual([settings, status, 503]);
      }
    }));
});

describe('SIGTERM', () => {
  test(
    'lets what is under way end, lets nothing begin, and ends with 0',
    () =>
      inFolder(async (dataDir) => {
        const registry = await startRegistry({ dataDir });
        const size = 48 * 1024 * 1024;
        const big = new Uint8Array(size).fill(120);
        await registry.pushBlob('library/app', big);
        const [chunked, whole] = [await registry.beginUpload('library/app'), sha256(bytesOf('a'.repeat(3000)))];
        const head = (method: string, path: string, headers = ''): string =>
          `${method} ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${basicOf(registry.admin)}\r\n${headers}\r\n`;

        const [patch, post, pull, idle, silent] = await Promise.all(Array.from({ length: 5 }, () => openConnection(registry.port)));
        if (patch === undefined || post === undefined || pull === undefined || idle === undefined || silent === undefined)
          throw new Error('a connection is missing');
        patch.write(`${head('PATCH', chunked, 'Content-Length: 2000\r\n')}${'b'.repeat(1000)}`);
        post.write(`${head('POST', `/v2/library/app/blobs/uploads/?digest=${whole}`, 'Content-Length: 3000\r\n')}${'a'.repeat(1000)}`);
        idle.write(head('GET', '/v2/'));
        await idle.received('200 OK');
        // A pull whose client stops reading: the rest waits in the server.
        pull.socket.pause();
        pull.write(head('GET', `/v2/library/app/blobs/${sha256(big)}`));
        let pulled = 0;
        pull.socket.on('data', (data) => {
          pulled += data.length;
        });
        pull.socket.pause();
        await Bun.sleep(200);

        const sinceMs = performance.now();
        const stopped = registry.stop();
        await until(() => registry.logs().includes('server.stopping'));
        // Connections that only stand there go at once.
        await idle.closed;
        await until(async () => {
          const refused = await fetch(`${registry.url}/healthz`).catch(() => undefined);
          return refused === undefined;
        });
        patch.write('b'.repeat(1000));
        await patch.received('202 Accepted');
        post.write('a'.repeat(2000));
        await post.received('201 Created');
        expect(pulled).toBeLessThan(size);
        pull.socket.resume();
        await pull.closed;
        expect(pulled).toBeGreaterThan(size);
        silent.socket.destroy();
        expect(await stopped).toBe(0);
        expect(performance.now() - sinceMs).toBeLessThan(15_000);
        expect(failuresIn(registry)).toEqual([]);

        const again = await startRegistry({ dataDir });
        expect((await again.call(chunked)).headers.get('range')).toBe('0-1999');
        expect((await again.call(`/v2/library/app/blobs/${whole}`, { method: 'HEAD' })).status).toBe(200);
        await again.stop();
      }),
    40_000,
  );
});
