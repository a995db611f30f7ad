// What is found in the configuration files of container clients, before anybody decides what becomes of it. Each kind of file has a parser of
// its own beside this one; all of them are pure, and give their complaints as remarks instead of failing where the rest can be read.

import { Secret } from '../../lib/secret.ts';
import { parseSourceUrl } from '../addresses.ts';

export interface FoundEndpoint {
  /** The registry whose content it serves, as the file names it (`docker.io`); `*` for "any". */
  readonly registry: string;
  /** As a source of this server is written: http or https, no user, no slash at the end; a path as `source.ts` understands it. */
  readonly url: string;
  /** Where it stands: the file and the key. */
  readonly place: string;
  /** `mirror`, or the endpoint that the client takes for the registry itself. */
  readonly role: 'mirror' | 'server';
  /** The client believed it about tags. */
  readonly resolvesTags: boolean;
  /** The client does not check its certificate. */
  readonly skipsVerification: boolean;
  readonly caFile?: string;
  /** It is reached with a client certificate, which a source of this server cannot have. */
  readonly hasClientCertificate?: boolean;
  readonly credentials?: { readonly username: string; readonly password: Secret };
  /** `http://HOST:PORT` or `socks5://HOST:PORT`. */
  readonly proxy?: string;
  /** Patterns of the repositories it is for; absent: all. */
  readonly repositories?: readonly string[];
  /** What a person should know about how it was read. */
  readonly notes: readonly string[];
}

export interface Remark {
  readonly place: string;
  readonly text: string;
}

/** `skipped` is what was meant as a source and cannot become one; `remarks` are about everything else in the file. */
export interface Found {
  readonly endpoints: readonly FoundEndpoint[];
  readonly skipped: readonly (Remark & { readonly registry?: string; readonly url?: string })[];
  readonly remarks: readonly Remark[];
}

/** A file that is too broken to be read, in one line. */
export class ClientFileError extends Error {
  override readonly name = 'ClientFileError';
}

export type ReadUrl =
  | { readonly url: string; readonly credentials?: { readonly username: string; readonly password: Secret } }
  | { readonly problem: string };

/** An endpoint's URL as a source has it; `scheme` is put before one that has none. A user in it becomes credentials. */
export function readEndpointUrl(text: string, scheme: 'http' | 'https' = 'https'): ReadUrl {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${scheme}://${text}`;
  const parsed = URL.parse(full);
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) return { problem: 'it is no http or https URL' };
  const { username, password } = parsed;
  parsed.username = '';
  parsed.password = '';
  const url = parseSourceUrl(parsed.href);
  if (url === undefined) return { problem: 'it is no URL of a source: a query or fragment makes no sense there' };
  if (username === '') return { url };
  return { url, credentials: { username: decodeURIComponent(username), password: new Secret(decodeURIComponent(password)) } };
}

/**
 * A URL whose path the client uses as it is (containerd's `override_path`, k3s), as a source has it; undefined when a source cannot say it:
 * `/v2/name` is put before the repository, `/name/v2` before the API, and there is nothing else.
 */
export function fromWholePath(url: string): string | undefined {
  const { origin, pathname } = new URL(url);
  const path = pathname.replace(/\/+$/, '');
  if (path === '' || path === '/v2') return origin;
  if (path.startsWith('/v2/')) return `${origin}${path}`;
  return path.endsWith('/v2') ? `${origin}${path.slice(0, -'/v2'.length)}` : undefined;
}

/** A host and an optional path before the repository's name (`m.example/hub`, as podman and BuildKit write it) as a source's URL. */
export function fromLocation(location: string, scheme: 'http' | 'https'): string | undefined {
  const [host = '', ...path] = location.replace(/\/+$/, '').split('/');
  if (host === '' || path.some((part) => !/^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(part))) return undefined;
  return parseSourceUrl(`${scheme}://${host}${path.length === 0 ? '' : `/v2/${path.join('/')}`}`);
}

/**
 * The scheme of an endpoint that a client reaches "insecurely", which means TLS without checking or none at all: what has a port and a local
 * name or address is taken for plain HTTP.
 */
export function guessInsecureScheme(location: string): 'http' | 'https' {
  const host = location.split('/')[0] ?? '';
  const hasPort = /:\d+$/.test(host) && !host.endsWith(':443');
  return hasPort && !isPublicHost(host.replace(/:\d+$/, '')) ? 'http' : 'https';
}

/** Whether a host is neither a private, loopback or link-local address nor a local name. */
export function isPublicHost(host: string): boolean {
  const name = host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name))
    return !/^(10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(name);
  if (name.includes(':')) return !/^(::1$|f[cd]|fe[89ab])/.test(name);
  return name.includes('.') && !/\.(lan|local|localhost|internal|intranet|home|corp|private|svc|test|home\.arpa)$/.test(name);
}

/** `user:password` in base64, as an `auth` entry or a Basic header has it. */
export function readBasic(text: string): FoundEndpoint['credentials'] {
  const plain = Buffer.from(text, 'base64').toString('utf8');
  const colon = plain.indexOf(':');
  return colon < 1 || colon === plain.length - 1
    ? undefined
    : { username: plain.slice(0, colon), password: new Secret(plain.slice(colon + 1)) };
}

/** A mapping, or undefined. For what TOML, YAML and JSON give. */
export function asTable(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

/** The texts of a list; nothing for anything else. */
export function asTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string' && one !== '') : [];
}

export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
