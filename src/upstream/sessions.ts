// The connection pools. One pool per scheme, host name, port, TLS policy and proxy, so two hosts on one address, or one host with and
// without certificate checks, can never share a connection (Bun keeps the connections of two FetchSessions apart). It must never read
// proxy settings from the environment: an egress proxy is the operator's choice per source.

import { rootCertificates } from 'node:tls';
import { createLru } from '../lib/lru.ts';
import { classifyAddress } from './address.ts';
import { isSocks, type SocksBridge } from './socks-bridge.ts';
import { bareHost, type Source } from './source.ts';
import { UpstreamError } from './verdict.ts';

export interface SessionPool {
  /** Throws UpstreamError `unreachable` where a SOCKS5 proxy cannot be used: it carries TLS only. */
  sessionFor(source: Source, url: URL): Promise<Bun.FetchSession>;
  close(): void;
}

const poolsMax = 256;
const idleTimeoutSeconds = 60;

export function createSessionPool(options: { socks: SocksBridge }): SessionPool {
  const sessions = createLru<string, Bun.FetchSession>({ maxEntries: poolsMax, onEvict: (session) => session.close() });
  const caIds = createLru<string, string>({ maxEntries: poolsMax });

  const idOfCa = (ca: string): string => {
    const known = caIds.get(ca);
    if (known !== undefined) return known;
    const id = Bun.CryptoHasher.hash('sha256', ca, 'hex');
    caIds.set(ca, id);
    return id;
  };

  const throughSocks = (proxy: string, url: URL): Promise<string> => {
    if (url.protocol !== 'https:')
      throw new UpstreamError('unreachable', { detail: 'a SOCKS5 proxy is used for https only', origin: url.origin });
    return options.socks.proxyFor(proxy);
  };

  return {
    sessionFor: async (source, url) => {
      const tls = url.protocol === 'https:' ? tlsFor(source, url) : undefined;
      const tlsId = tls === undefined ? 'plain' : `${tls.rejectUnauthorized}:${source.tls?.ca === undefined ? '' : idOfCa(source.tls.ca)}`;
      const key = `${url.origin} ${tlsId} ${source.proxy ?? ''}`;
      const proxy = source.proxy !== undefined && isSocks(source.proxy) ? await throughSocks(source.proxy, url) : source.proxy;
      const found = sessions.get(key);
      if (found !== undefined) return found;
      const session = new Bun.FetchSession({
        proxy: proxy === undefined ? false : { url: proxy, respectNoProxy: false },
        keepAlive: { idleTimeout: idleTimeoutSeconds },
        ...(tls === undefined ? {} : { tls }),
      });
      sessions.set(key, session);
      return session;
    },
    close: () => {
      for (const session of sessions.values()) session.close();
      options.socks.close();
    },
  };
}

function tlsFor(source: Source, url: URL): { serverName?: string; ca?: string[]; rejectUnauthorized: boolean } {
  const host = bareHost(url);
  // `insecure` is about the source's own host; what it redirects to is checked as usual.
  const isInsecure = source.tls?.insecure === true && host === bareHost(new URL(source.url));
  return {
    rejectUnauthorized: !isInsecure,
    ...(classifyAddress(host) === undefined ? { serverName: host } : {}),
    // Given a list the runtime trusts that list alone; public CDNs behind a private registry still have to verify.
    ...(source.tls?.ca === undefined ? {} : { ca: [source.tls.ca, ...rootCertificates] }),
  };
}
