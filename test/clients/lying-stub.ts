// A registry that lies once: the first GET of the layer gets a prefix with one wrong byte and is then cut off; every later answer is honest
// and follows Range. For the question which clients get over it (docs/decisions/0005).

import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createLayout, type Descriptor, packLayer } from '../images/layout-writer.ts';
import { randomBytesOf } from '../images/random-bytes.ts';
import { writeTar } from '../images/tar.ts';

export interface LyingStub extends AsyncDisposable {
  readonly port: number;
  readonly layer: Descriptor;
  /** Method and Range of every request for the layer's bytes since the last `lieAgain`. */
  requests(): readonly string[];
  lieAgain(how: { readonly framing: 'length' | 'chunked'; readonly end: 'reset' | 'close' }): void;
}

const layerBytes = 12 * 1024 * 1024;
const lieBytes = 6 * 1024 * 1024;

/** Serves `library/lie:1`, other content for each seed. `folder` is for its files. */
export async function startLyingStub(folder: string, seed: string): Promise<LyingStub> {
  const directory = join(folder, seed);
  const layout = createLayout(directory);
  const layer = packLayer(Uint8Array.from(writeTar([{ name: 'app/data.bin', data: randomBytesOf(seed, layerBytes) }])), 'stored');
  const manifest = layout.image({ layers: [layer] });
  layout.tag(manifest, '1');
  layout.close();
  const read = (digest: string): Buffer => readFileSync(join(directory, 'blobs', ...digest.split(':')));
  const layerDescriptor = layout.blob(layer.bytes, layer.mediaType);
  let lie: { readonly framing: 'length' | 'chunked'; readonly end: 'reset' | 'close' } | undefined;
  let seen: string[] = [];

  const answer = async (socket: Socket, head: string): Promise<void> => {
    const [method = '', path = ''] = head.split(' ');
    const range = /^range: (.*)$/im.exec(head)?.[1]?.trim();
    const found = /\/v2\/(?:library\/lie\/(manifests|blobs)\/(\S+?))?(?:\?\S*)?$/.exec(path);
    const kind = found?.[1];
    if (kind === undefined) return void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
    const digest = found?.[2] === '1' ? manifest.digest : (found?.[2] ?? '');
    const bytes = read(digest);
    const type = kind === 'manifests' ? manifest.mediaType : 'application/octet-stream';
    const fixed = `Content-Type: ${type}\r\nDocker-Content-Digest: ${digest}\r\nAccept-Ranges: bytes\r\n`;
    if (method === 'HEAD') return void socket.write(`HTTP/1.1 200 OK\r\n${fixed}Content-Length: ${bytes.length}\r\n\r\n`);
    if (digest !== layerDescriptor.digest) {
      socket.write(`HTTP/1.1 200 OK\r\n${fixed}Content-Length: ${bytes.length}\r\n\r\n`);
      return void socket.write(bytes);
    }
    seen.push(`${method}${range === undefined ? '' : ` ${range}`}`);
    const from = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    const isLie = lie !== undefined;
    const { framing, end } = lie ?? { framing: 'length', end: 'close' };
    lie = undefined;
    const body = Buffer.from(bytes.subarray(from));
    if (isLie) body[1024 * 1024] = (body[1024 * 1024] ?? 0) ^ 0xff;
    const status =
      from === 0
        ? 'HTTP/1.1 200 OK\r\n'
        : `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${from}-${bytes.length - 1}/${bytes.length}\r\n`;
    socket.write(`${status}${fixed}${framing === 'length' ? `Content-Length: ${body.length}` : 'Transfer-Encoding: chunked'}\r\n\r\n`);
    const sent = isLie ? body.subarray(0, lieBytes) : body;
    for (let at = 0; at < sent.length; at += 65_536) {
      const piece = sent.subarray(at, at + 65_536);
      if (framing === 'chunked') socket.write(`${piece.length.toString(16)}\r\n`);
      await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
      if (framing === 'chunked') socket.write('\r\n');
    }
    if (!isLie) return void (framing === 'chunked' && socket.write('0\r\n\r\n'));
    await Bun.sleep(300);
    if (end === 'reset') socket.resetAndDestroy();
    else socket.end();
  };

  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes: Uint8Array) => {
      // A client that tries TLS first learns at once that this is none.
      if (bytes[0] === 0x16) return void socket.destroy();
      text += Buffer.from(bytes).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = text.slice(0, end);
      text = text.slice(end + 4);
      void answer(socket, head).catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    layer: layerDescriptor,
    requests: () => seen,
    lieAgain: (how) => {
      lie = how;
      seen = [];
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
