// One connection to a server of a directory: name resolved here, every address checked, the checked address dialled (DNS rebinding), TLS with
// the name in the URL. A private address is normal for a directory and needs no permission; link-local (cloud metadata) and unspecified ones are
// never dialled. RFC 4511; RFC 4513 section 3 (StartTLS is the library's, with the options made here).

import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { LdapSettings } from '../config/ldap-settings.ts';
import { LimitError, withDeadline } from '../lib/limits.ts';
import { classifyAddress } from '../upstream/address.ts';
import { LdapFailure } from './ldap-failure.ts';

/** The operator's word on this host: the reason of a refusal. Asked before a name is resolved and again with its addresses. */
export type LdapEgress = (url: URL, resolved?: { readonly addresses: readonly string[] }) => string | undefined;

const addressesMax = 4;

/** An open connection, speaking TLS already for ldaps://. LdapFailure `dns`, `denied`, `unreachable`, `timeout`, `tls`. */
export async function dialLdap(text: string, settings: LdapSettings, egress: LdapEgress): Promise<Socket> {
  const url = new URL(text);
  const host = hostOf(url);
  const denied = egress(url);
  if (denied !== undefined) throw new LdapFailure('denied', denied);
  const addresses = isIP(host) === 0 ? await resolve(host, settings.timeout) : [host];
  for (const address of addresses) {
    if ((classifyAddress(address) ?? 'forbidden') === 'forbidden')
      throw new LdapFailure('denied', `${host} (${address}) is an address no directory is at; it is never dialled`);
  }
  const refusal = egress(url, { addresses });
  if (refusal !== undefined) throw new LdapFailure('denied', refusal);
  const port = url.port === '' ? (url.protocol === 'ldaps:' ? 636 : 389) : Number(url.port);
  let last: LdapFailure | undefined;
  for (const address of addresses.slice(0, addressesMax)) {
    try {
      const socket = await open(() => connect({ host: address, port }), 'connect', settings.timeout);
      if (url.protocol !== 'ldaps:') return socket;
      return await open(() => connectTls({ ...tlsOptionsFor(url, settings), socket }), 'secureConnect', settings.timeout);
    } catch (error) {
      last = toDialFailure(error, `${host}:${port}`);
    }
  }
  throw last ?? new LdapFailure('dns', `${host} has no address`);
}

/** How TLS is spoken with this server, directly or after StartTLS. */
export function tlsOptionsFor(url: URL, settings: LdapSettings): ConnectionOptions {
  const host = hostOf(url);
  return {
    host,
    rejectUnauthorized: settings.verify_certificate,
    minVersion: 'TLSv1.2',
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(settings.ca === undefined ? {} : { ca: settings.ca }),
  };
}

async function resolve(host: string, timeoutMs: number): Promise<readonly string[]> {
  try {
    return (await withDeadline(timeoutMs, () => lookup(host, { all: true }))).map((entry) => entry.address);
  } catch (cause) {
    throw new LdapFailure('dns', `${host} does not resolve`, { cause });
  }
}

/** Waits for the socket's event; destroys it when that does not come in time. */
function open<T extends Socket>(make: () => T, event: 'connect' | 'secureConnect', timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = make();
    const timer = setTimeout(() => fail(new LimitError('deadline', `no ${event} within ${timeoutMs} ms`)), timeoutMs);
    const stop = (): void => {
      clearTimeout(timer);
      socket.removeListener('error', fail);
      socket.removeListener('close', onClose);
    };
    const fail = (error: Error): void => {
      stop();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(event === 'secureConnect' && !(error instanceof LimitError) ? new LdapFailure('tls', error.message, { cause: error }) : error);
    };
    const onClose = (): void => fail(new Error('the connection was closed'));
    socket.once('error', fail);
    socket.once('close', onClose);
    socket.once(event, () => {
      stop();
      resolve(socket);
    });
  });
}

function toDialFailure(error: unknown, where: string): LdapFailure {
  if (error instanceof LdapFailure) return new LdapFailure(error.kind, `${where}: ${error.message}`, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new LdapFailure(error instanceof LimitError ? 'timeout' : 'unreachable', `${where}: ${message}`, { cause: error });
}

function hostOf(url: URL): string {
  const host = url.hostname.toLowerCase();
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
