// A registry as clients of Harbor's API mean it: one address, one login, a name of their choice. The address is its authority here: the source whose
// word on tags counts.

import type { z } from 'zod';
import { parseSourceUrl } from '../config/addresses.ts';
import { type SourceChange, type SourceEntry, sourceChange, sourceEntry } from '../config/source-entry.ts';
import { OciError } from '../oci/errors.ts';
import { canonicalRegistry } from './names.ts';
import type { RegistryView, SourceView } from './sources.ts';

/** The authority asked first, or the first source of all; undefined where there is none. */
export function mainSource({ sources }: Pick<RegistryView, 'sources'>): SourceView | undefined {
  return sources.find(({ record }) => record.trust === 'authority') ?? sources[0];
}

/** Docker Hub's web page, which Harbor's clients give as its address, is no registry. */
const hubHosts: ReadonlySet<string> = new Set([
  'hub.docker.com',
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
]);
const hubUrl = 'https://registry-1.docker.io';
const hubRealm = 'https://auth.docker.io';

export interface Address {
  /** The registry it stands for: its host, and the port where there is one. */
  readonly registry: string;
  readonly url: string;
}

/** BAD_REQUEST when it is no address of a registry. */
export function readAddress(text: string): Address {
  const url = parseSourceUrl(/^https?:\/\//.test(text) ? text : `https://${text}`);
  if (url === undefined)
    throw new OciError(
      'BAD_REQUEST',
      'body: url: is an http:// or https:// address without user, query and fragment, such as https://ghcr.io',
    );
  const { hostname, port } = new URL(url);
  if (hubHosts.has(hostname)) return { registry: 'docker.io', url: hubUrl };
  const name = `${hostname}${port === '' ? '' : `-${port}`}`.replace(/[^a-z0-9.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '');
  return { registry: canonicalRegistry(name), url };
}

export interface SentLogin {
  readonly username: string;
  readonly password: string;
}

/** Undefined: none was sent. BAD_REQUEST for another kind than Basic, or half a login. */
export function readLogin(sent: {
  readonly type?: string | null | undefined;
  readonly key?: string | null | undefined;
  readonly secret?: string | null | undefined;
}): SentLogin | undefined {
  const { type, key, secret } = sent;
  const isHidden = secret === undefined || secret === null || /^\**$/.test(secret);
  if (isHidden && !key) return undefined;
  if (type && type !== 'basic')
    throw new OciError('BAD_REQUEST', 'body: the type of a credential is basic; other kinds are settings of a source');
  if (!key) throw new OciError('BAD_REQUEST', 'body: access_key: is missing beside access_secret');
  if (isHidden) return undefined;
  return { username: key, password: secret };
}

/** What a source is told to become; BAD_REQUEST when it cannot. */
export function readChange(wish: z.input<typeof sourceChange>): SourceChange {
  return readWith(sourceChange, wish);
}

/** The authority that an address and a login make. */
export function authorityEntry(address: Address, more: { readonly login: SentLogin | undefined; readonly insecure: boolean }): SourceEntry {
  return readWith(sourceEntry, {
    url: address.url,
    trust: 'authority',
    ...(address.registry === 'docker.io' && address.url === hubUrl ? { realms: [hubRealm] } : {}),
    ...(more.login === undefined ? {} : { credentials: more.login }),
    ...(more.insecure ? { tls: { insecure: true } } : {}),
  });
}

function readWith<T>(schema: z.ZodType<T>, wish: unknown): T {
  const read = schema.safeParse(wish);
  if (read.success) return read.data;
  const words = read.error.issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`);
  throw new OciError('BAD_REQUEST', `body: ${words.join('; ')}`);
}
