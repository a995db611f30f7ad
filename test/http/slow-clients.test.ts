// Clients that hardly move, and the end of a server that has such clients. Limit LIM-11 with short windows.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type InProcess, startInProcess } from './in-process.ts';
import { openConnection } from './raw-socket.ts';
import { bytesOf, sha256 } from './registry.ts';

describe('a body that is too slow', () => {
  let server: InProcess;
  beforeAll(async () => {
    server = await startInProcess({ bodyPace: { windowMs: 200, minBytesPerS: 10_000 } });
  });
  afterAll(async () => {
    expect(server.logged).toEqual([]);
    await server.close();
  });

  const begin = async (): Promise<string> => {
    const headers = { authorization: server.authorization };
    const response = await fetch(`${server.url}/v2/library/app/blobs/uploads/`, { method: 'POST', headers });
    return response.headers.get('location') ?? '';
  };
  const request = (method: string, path: string, length: number): string =>
    `${method} ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${server.authorization}\r\nContent-Length: ${length}\r\n\r\n`;

  test('SEC-E14: ends with 408 and the connection, and the upload goes on at its offset', async () => {
    const location = await begin();
    const connection = await openConnection(server.port);
    connection.write(`${request('PATCH', location, 1000)}${'x'.repeat(100)}`);
    const answer = await connection.received('HTTP/1.1 408');
    expect(answer.toLowerCase()).toContain('connection: close');
    await connection.closed;
    const headers = { authorization: server.authorization };
    expect((await fetch(`${server.url}${location}`, { headers })).headers.get('range')).toBe('0-99');
    const done = await fetch(`${server.url}${location}?digest=${sha256(bytesOf('x'.repeat(100)))}`, { method: 'PUT', headers });
    expect(done.status).toBe(201);
  });

  test('is one that trickles, too', async () => {
    const connection = await openConnection(server.port);
    connection.write(request('PATCH', await begin(), 100_000));
    const timer = setInterval(() => connection.write('x'.repeat(10)), 10);
    await connection.received('HTTP/1.1 408');
    clearInterval(timer);
    connection.socket.destroy();
  });

  test('is a manifest that stops, too', async () => {
    const connection = await openConnection(server.port);
    connection.write(`${request('PUT', '/v2/library/app/manifests/slow', 1000)}{`);
    await connection.received('HTTP/1.1 408');
    connection.socket.destroy();
  });

  test('is none that keeps the least rate, for many windows', async () => {
    const location = await begin();
    const connection = await openConnection(server.port);
    const size = 50_000;
    connection.write(request('PUT', `${location}?digest=${sha256(bytesOf('x'.repeat(size)))}`, size));
    // Four times the least rate, over six windows.
    for (let sent = 0; sent < size; sent += 1000) {
      connection.write('x'.repeat(1000));
      await Bun.sleep(24);
    }
    await connection.received('HTTP/1.1 201');
    connection.socket.destroy();
  });

  test('SEC-E14: keeps nobody else waiting', async () => {
    const connections = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const connection = await openConnection(server.port);
        connection.write('GET /v2/ HTTP/1.1\r\nHo');
        return connection;
      }),
    );
    const sinceMs = performance.now();
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(performance.now() - sinceMs).toBeLessThan(500);
    for (const { socket } of connections) socket.destroy();
  });
});

describe('the end of a server', () => {
  test('waits for a slow upload only so long, and cuts it then', async () => {
    const server = await startInProcess({ drainTimeoutMs: 300 });
    try {
      const headers = { authorization: server.authorization };
      const begun = await fetch(`${server.url}/v2/library/app/blobs/uploads/`, { method: 'POST', headers });
      const connection = await openConnection(server.port);
      connection.write(
        `PATCH ${begun.headers.get('location')} HTTP/1.1\r\nHost: a\r\nAuthorization: ${server.authorization}\r\nContent-Length: 1000\r\n\r\nx`,
      );
      await Bun.sleep(50);
      const sinceMs = performance.now();
      await server.stop();
      const tookMs = performance.now() - sinceMs;
      expect([tookMs > 250, tookMs < 2000]).toEqual([true, true]);
      await connection.closed;
      expect(server.logged.join('')).toContain('"event":"server.drain-timeout","requests":1');
    } finally {
      await server.close();
    }
  });
});
