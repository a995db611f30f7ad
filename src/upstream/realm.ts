// Decides what may be sent to a token realm. Pure. The realm is named by the upstream, so an attacker can name it: a stored secret leaves
// only to the source's own origin and to pinned ones (CVE-2026-33540, CVE-2020-15157). security.md SEC-C01, SEC-C02; wire.md 2.2 "Realm rule".

import { isSameOwner } from './domain.ts';
import { effectivePort, isAllowedPort } from './guard.ts';
import { bareHost, type Source } from './source.ts';

export type RealmJudgement =
  | { readonly kind: 'credentials'; readonly url: URL }
  | { readonly kind: 'anonymous'; readonly url: URL }
  | { readonly kind: 'refused'; readonly reason: string };

// Registries whose token service is known to live on another host.
const knownRealms: Readonly<Record<string, readonly string[]>> = {
  'https://registry-1.docker.io': ['https://auth.docker.io'],
  'https://index.docker.io': ['https://auth.docker.io'],
  'https://docker.elastic.co': ['https://docker-auth.elastic.co'],
  'https://registry.gitlab.com': ['https://gitlab.com'],
};

/** `credentials`: pinned, so the source's login may go there; `anonymous`: only a request without one; `refused`: nothing. */
export function judgeRealm(source: Source, realm: string): RealmJudgement {
  const url = realm.length > 2_048 ? null : URL.parse(realm);
  if (url === null) return refused('the realm is no URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refused('the realm is no http URL');
  if (url.username !== '' || url.password !== '') return refused('the realm has a login in its URL');
  url.hash = '';
  const own = new URL(source.url);
  if (url.origin === own.origin) return { kind: 'credentials', url };
  if (isPinned(source, url.origin)) return { kind: 'credentials', url };
  if (own.protocol === 'https:' && url.protocol === 'http:') return refused(`the realm ${url.origin} leaves https`);
  const hasPlainPort = effectivePort(url) === effectivePort(own) || url.port === '';
  if (hasPlainPort && isAllowedPort(source, url) && isSameOwner(bareHost(own), bareHost(url))) return { kind: 'anonymous', url };
  return refused(`the realm is at ${url.origin}, which is neither this source's own host nor a configured realm`);
}

function isPinned(source: Source, origin: string): boolean {
  const known = knownRealms[new URL(source.url).origin] ?? [];
  return [...known, ...source.realms].some((realm) => URL.parse(realm)?.origin === origin);
}

function refused(reason: string): RealmJudgement {
  return { kind: 'refused', reason };
}
