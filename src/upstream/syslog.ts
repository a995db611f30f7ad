// Texts to a syslog server: over TCP and TLS framed by their length, over UDP one a datagram. The server is dialled at an address that the guard has
// checked. UDP tells nothing of loss; TCP tells of a connection that broke, not of what a server throws away.
// RFC 5424 (the texts, made by the caller), RFC 5426 (UDP), RFC 6587 section 3.4.1 (TCP), RFC 5425 (TLS).

import { createSocket } from 'node:dgram';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import { abortable, startDeadline } from './deadline.ts';
import type { Guard } from './guard.ts';
import { type OutboundTarget, requireReach } from './outbound-call.ts';
import { bareHost, type Source } from './source.ts';
import { UpstreamError } from './verdict.ts';

export interface SyslogTarget extends Pick<OutboundTarget, 'id' | 'allowPrivate' | 'tls'> {
  readonly transport: 'udp' | 'tcp' | 'tls';
  readonly host: string;
  readonly port: number;
}

/** Resolves when all were handed over. Throws UpstreamError. */
export type SyslogSend = (
  target: SyslogTarget,
  messages: readonly string[],
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
) => Promise<void>;

const ports = { udp: 514, tcp: 601, tls: 6514 } as const;

/** `udp://HOST[:PORT]`, `tcp://…` or `tls://…`; a bare `HOST:PORT` is TCP, as Harbor means it. Undefined when it is not understood. */
export function parseSyslogUrl(text: string): Pick<SyslogTarget, 'transport' | 'host' | 'port'> | undefined {
  const match = /^(?:(udp|tcp|tls):\/\/)?([^\s/@?#\\]{1,255})\/?$/i.exec(text);
  const transport = (match?.[1]?.toLowerCase() ?? 'tcp') as SyslogTarget['transport'];
  const url = match === null ? null : URL.parse(`http://${match[2]}`);
  if (match === null || url === null || url.hostname === '') return undefined;
  const port = /:(\d{1,5})$/.exec(match[2] ?? '')?.[1];
  if (port === undefined && match[1] === undefined) return undefined;
  const number = port === undefined ? ports[transport] : Number(port);
  return number >= 1 && number <= 65_535 ? { transport, host: bareHost(url), port: number } : undefined;
}

export function createSyslogSend(parts: { clock: Clock; guard: Guard; closing: AbortSignal }): SyslogSend {
  return async (target, messages, { timeoutMs, signal }) => {
    const url = new URL(`http://${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`);
    requireReach(target, url);
    const source: Source = { registry: '', trust: 'digest-only', priority: 0, realms: [], url: url.origin, ...target };
    const deadline = startDeadline({ clock: parts.clock, timeoutMs, parents: [parts.closing, signal] });
    try {
      const [address] = (await parts.guard.check(source, url, deadline.signal)) ?? [];
      if (address === undefined) throw new UpstreamError('dns', { detail: `${target.host} has no address`, origin: url.origin });
      const bytes = messages.map((message) => Buffer.from(message));
      try {
        await (target.transport === 'udp'
          ? sendDatagrams({ address, port: target.port, bytes, signal: deadline.signal })
          : sendStream({ target, address, bytes, signal: deadline.signal }));
      } catch (error) {
        if (error instanceof UpstreamError) throw error;
        throw new UpstreamError('unreachable', {
          detail: error instanceof Error ? error.message : 'failed',
          origin: url.origin,
          cause: error,
        });
      }
    } finally {
      deadline.release();
    }
  };
}

async function sendDatagrams(options: { address: string; port: number; bytes: readonly Buffer[]; signal: AbortSignal }): Promise<void> {
  const socket = createSocket(isIP(options.address) === 6 ? 'udp6' : 'udp4');
  try {
    for (const message of options.bytes) {
      const sent = new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.send(message, options.port, options.address, (error) => (error === null || error === undefined ? resolve() : reject(error)));
      });
      await abortable(sent, options.signal);
    }
  } finally {
    socket.close();
  }
}

/** One connection for all of them: written, then closed, and the close of the other side awaited, so that a reset on the way is seen. */
async function sendStream(options: {
  target: SyslogTarget;
  address: string;
  bytes: readonly Buffer[];
  signal: AbortSignal;
}): Promise<void> {
  const { target, address, bytes, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const place = { host: address, port: target.port };
  const isTls = target.transport === 'tls';
  const socket: Socket = isTls
    ? connectTls({
        ...place,
        ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
        rejectUnauthorized: target.tls?.insecure !== true,
        minVersion: 'TLSv1.2',
        ...(target.tls?.ca === undefined ? {} : { ca: target.tls.ca }),
      })
    : connect(place);
  socket.on('error', reject);
  socket.on('close', () => resolve());
  socket.on('data', () => undefined);
  socket.once(isTls ? 'secureConnect' : 'connect', () => {
    for (const message of bytes) socket.write(Buffer.concat([Buffer.from(`${message.byteLength} `), message]));
    socket.end(() => {
      // A server that keeps its side open has taken everything all the same.
      setTimeout(() => resolve(), 250).unref();
    });
  });
  try {
    await abortable(promise, signal);
  } finally {
    socket.destroy();
  }
}
