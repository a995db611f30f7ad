// One endpoint that can serve a registry's content, and where on it a repository lives. It must never resolve or dial anything.
// docs: containerd "registry hosts" (override_path), moby "registry-mirrors" for the two kinds of path prefix.

import type { CredentialSource } from './credentials.ts';

export interface Source {
  readonly id: string;
  /** The registry whose content it serves, e.g. `docker.io`. */
  readonly registry: string;
  /** http(s) origin, optionally with a path prefix: `/foo` asks `/foo/v2/<name>/...`, `/v2/foo` asks `/v2/foo/<name>/...`. */
  readonly url: string;
  /** `authority`: its word on tags and on absence is believed; `digest-only`: the digest is the proof, nothing else is believed. */
  readonly trust: 'authority' | 'digest-only';
  /** Smaller is asked first. */
  readonly priority: number;
  /** Egress proxy: http or https URL, which may hold its own login, or `socks5://HOST:PORT` for an https source. The host name goes to the proxy, nothing is resolved here. */
  readonly proxy?: string;
  /** At least one, in the order they are used in; the next one serves while the one before rests (quota spent, refused). Absent: anonymous. */
  readonly credentials?: readonly CredentialSource[];
  /** Origins besides its own to which its credentials and token requests may go. */
  readonly realms: readonly string[];
  readonly tls?: { readonly ca?: string; readonly insecure: boolean };
  /** It may be, and lead to, private and loopback addresses although its name looks public. */
  readonly allowPrivate?: boolean;
  /** What this server takes from it at most. Absent: no limit of its own. */
  readonly limits?: SourceLimits;
  /** Glob patterns on the repository's name inside the registry; an empty `allow` means all, `deny` wins. Absent: everything. */
  readonly scope?: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  /** Who runs it. Sources of one operator are not independent of each other. Absent: the registrable domain of its host. */
  readonly operator?: string;
}

export interface SourceLimits {
  /** Requests in flight, bodies being read included. */
  readonly connections?: number;
  readonly requestsPerMinute?: number;
  /** Of all its bodies together. */
  readonly bytesPerSecond?: number;
}

/** A repository on a source: the URL its requests start with (no slash at the end) and the name a token is asked for. */
export interface RepositoryTarget {
  readonly base: string;
  readonly scopeName: string;
}

export function locateRepository(source: Source, repository: string): RepositoryTarget {
  const url = new URL(source.url);
  const prefix = url.pathname.replace(/\/+$/, '');
  if (prefix === '/v2' || prefix.startsWith('/v2/')) {
    const name = `${prefix.slice('/v2/'.length)}${prefix === '/v2' ? '' : '/'}${repository}`;
    return { base: `${url.origin}/v2/${name}`, scopeName: name };
  }
  return { base: `${url.origin}${prefix}/v2/${repository}`, scopeName: repository };
}

/** The host of a URL without brackets and without the root dot, lower case. */
export function bareHost(url: URL): string {
  const host = url.hostname.toLowerCase();
  return (host.startsWith('[') ? host.slice(1, -1) : host).replace(/\.$/, '');
}
