// Many clients of one cold blob: what the upstream gives, when the first byte comes and what memory it takes. The upstream makes
// its bytes as they are asked for, so that its disk is no part of it.

import { randomBytes } from 'node:crypto';
import { residentMegabytes, startOurs } from './contenders.ts';
import { drain } from './content.ts';
import type { Row, Scope } from './rows.ts';

const pieceBytes = 1024 * 1024;

/** 100 clients of one blob of 1 GiB; with `quick` 30 of 64 MiB. */
export async function herdRows({ quick }: Scope): Promise<Row[]> {
  const [clients, pieces] = quick ? [30, 64] : [100, 1024];
  const upstream = startUpstream(pieces);
  const other = startUpstream(16);
  const source = (name: string, url: string): string => `  ${name}:\n    sources:\n      - { url: "${url}", trust: authority }\n`;
  const config = `presets: false\nregistries:\n${source('docker.io', upstream.url)}${source('other.test', other.url)}`;
  const server = await startOurs({ config });
  try {
    const path = `/v2/library/big/blobs/${upstream.digest}`;
    const direct = await drain(`${upstream.url}${path}`);
    // The first fetch of a process compiles what it runs; the row is about the herd.
    await drain(`${server.url}/v2/other.test/library/other/blobs/${other.digest}`);
    upstream.reset();
    const results = await Promise.all(Array.from({ length: clients }, () => drain(`${server.url}${path}`)));
    if (results.some((result) => result.bytes !== pieces * pieceBytes)) throw new Error('a client got a short blob');
    const ratio = upstream.sentBytes() / (pieces * pieceBytes);
    const laterMs = Math.min(...results.map((result) => result.firstByteMs)) - direct.firstByteMs;
    const peak = residentMegabytes(server.pid, 'VmHWM');
    const name = `${clients} cold clients of ${pieces} MiB`;
    return [
      { name: `${name}, upstream bytes`, unit: 'x of the blob', ours: ratio, target: '<= 1.00x', holds: ratio <= 1 },
      { name: `${name}, first byte after the upstream's own`, unit: 'ms', ours: laterMs, target: '<= 20 ms', holds: laterMs <= 20 },
      { name: `${name}, peak memory`, unit: 'MB', ours: peak, target: '<= 250 MB', holds: peak <= 250 },
    ];
  } finally {
    await server.stop();
    upstream.stop();
    other.stop();
  }
}

/** A source with one blob: the same random piece again and again. */
function startUpstream(pieces: number): { url: string; digest: string; sentBytes(): number; reset(): void; stop(): void } {
  const piece = randomBytes(pieceBytes);
  const hash = new Bun.CryptoHasher('sha256');
  for (let turn = 0; turn < pieces; turn++) hash.update(piece);
  let sent = 0;
  const bodyOf = (): ReadableStream<Uint8Array> => {
    let left = pieces;
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          if (left-- === 0) return controller.close();
          sent += pieceBytes;
          controller.enqueue(new Uint8Array(piece));
        },
      },
      { highWaterMark: 0 },
    );
  };
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) => {
      if (!request.url.includes('/blobs/')) return new Response('{"errors":[]}', { status: 404 });
      return new Response(bodyOf(), { headers: { 'content-length': String(pieces * pieceBytes) } });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    digest: `sha256:${hash.digest('hex')}`,
    sentBytes: () => sent,
    reset: () => {
      sent = 0;
    },
    stop: () => void server.stop(true),
  };
}
