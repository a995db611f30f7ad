// Whether a proxy lets a large layer pass, and as it comes: a request that announces a layer and sends only its beginning. The server refuses it
// at once, because it has no login; a proxy with a limit answers 413, one that keeps whole bodies says nothing. No byte of it is ever stored.

import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';

const announcedBytes = 10 * 1024 ** 3;
const sentBytes = 64 * 1024;
export type BodyProblem = { readonly problem: 'body-limit' | 'body-buffered'; readonly detail?: string };

/** Sends a POST of 10 GiB, less all but 64 KiB; silence for `patienceMs` tells a proxy that keeps bodies. Never throws: what cannot be told passes. */
export async function probeBody(
  url: URL,
  options: { readonly patienceMs: number; readonly ca: string | undefined; readonly insecure: boolean },
): Promise<'passes' | BodyProblem> {
  const status = await firstStatus(url, options);
  if (status === 413) return { problem: 'body-limit', detail: '10 GiB' };
  // A proxy whose disk does not take the body fails with 500; 502 comes of an answer that was given before the body had passed, and is well.
  return status === 'silent' || status === 500 || status === 507 ? { problem: 'body-buffered' } : 'passes';
}

function firstStatus(
  url: URL,
  { patienceMs, ca, insecure }: { readonly patienceMs: number; readonly ca: string | undefined; readonly insecure: boolean },
): Promise<number | 'silent' | 'failed'> {
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isTls = url.protocol === 'https:';
    const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port);
    const servername = /^[\d.]+$|:/.test(host) ? undefined : host;
    const tls = { rejectUnauthorized: !insecure, ...(ca === undefined ? {} : { ca }), ...(servername === undefined ? {} : { servername }) };
    const socket = isTls ? connectTls({ host, port, ...tls }) : connectPlain({ host, port });
    let text = '';
    const end = (result: number | 'silent' | 'failed'): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end('silent'), patienceMs);
    socket.on(isTls ? 'secureConnect' : 'connect', () => {
      socket.write(
        `POST ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nUser-Agent: breakwater-login-check\r\n` +
          `Content-Type: application/octet-stream\r\nContent-Length: ${announcedBytes}\r\nConnection: close\r\n\r\n`,
      );
      socket.write(Buffer.alloc(sentBytes));
    });
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const status = /^HTTP\/1\.[01] (\d{3}) /.exec(text)?.[1];
      if (status !== undefined) end(Number(status));
      else if (text.length > 1024) end('failed');
    });
    socket.on('error', () => end('failed'));
    socket.on('close', () => end('failed'));
  });
}
