// A registry client of a few calls for what no tool can send: nested indexes, manifests with a `subject`, mounts, tokens of a chosen scope.
// Source: distribution-spec v1.1 (end-2 to end-12), distribution "Token Authentication Specification". It never retries.

import type { Descriptor } from '../images/layout-writer.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface RawClient {
  readonly baseUrl: string;
  /** One request with the given bearer token, if any. `path` starts with /. */
  send(path: string, init?: RequestInit & { readonly token?: string }): Promise<Response>;
  /** A token for the scopes, anonymous without credentials. Throws when the service refuses. */
  token(scopes: readonly string[], credentials?: Credentials): Promise<string>;
}

const requestTimeoutMs = 60_000;

/** A client of the registry at `baseUrl` (no trailing slash). */
export function createRawClient(baseUrl: string): RawClient {
  const send: RawClient['send'] = (path, init = {}) => {
    const { token, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (token !== undefined && token !== '') headers.set('authorization', `Bearer ${token}`);
    return fetch(`${baseUrl}${path}`, {
      ...rest,
      headers,
      redirect: 'manual',
      decompress: false,
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
  };
  return {
    baseUrl,
    send,
    token: async (scopes, credentials) => {
      const challenge = (await send('/v2/')).headers.get('www-authenticate');
      if (challenge === null) return '';
      const realm = parameter(challenge, 'realm');
      const url = new URL(realm);
      url.searchParams.set('service', parameter(challenge, 'service'));
      for (const scope of scopes) url.searchParams.append('scope', scope);
      const headers =
        credentials === undefined ? {} : { authorization: `Basic ${btoa(`${credentials.username}:${credentials.password}`)}` };
      const answer = await fetch(url, { headers, signal: AbortSignal.timeout(requestTimeoutMs) });
      if (!answer.ok) throw new Error(`token service answered ${answer.status}: ${await answer.text()}`);
      const body: { token?: string; access_token?: string } = JSON.parse(await answer.text());
      return body.token ?? body.access_token ?? '';
    },
  };
}

/** Uploads a blob with POST and PUT (end-4a, end-6). Gives the status of the PUT, or of the POST when that was refused. */
export async function pushBlob(
  client: RawClient,
  repository: string,
  blob: { digest: string; bytes: Uint8Array },
  token: string,
): Promise<number> {
  const opened = await client.send(`/v2/${repository}/blobs/uploads/`, { method: 'POST', token });
  if (opened.status !== 202) return opened.status;
  const location = new URL(opened.headers.get('location') ?? '', client.baseUrl);
  location.searchParams.set('digest', blob.digest);
  const closed = await client.send(`${location.pathname}${location.search}`, {
    method: 'PUT',
    token,
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(blob.bytes),
  });
  return closed.status;
}

export interface ManifestPut {
  readonly repository: string;
  readonly reference: string;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly token: string;
}

/** Puts a manifest (end-7) and gives the whole answer. */
export function putManifest(client: RawClient, put: ManifestPut): Promise<Response> {
  return client.send(`/v2/${put.repository}/manifests/${put.reference}`, {
    method: 'PUT',
    token: put.token,
    headers: { 'content-type': put.mediaType },
    body: new Uint8Array(put.bytes),
  });
}

/** Gets a manifest (end-3) as bytes with its status and headers. */
export async function getManifest(
  client: RawClient,
  path: { repository: string; reference: string },
  token = '',
): Promise<FetchedManifest> {
  const accept = [
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.docker.distribution.manifest.v2+json',
  ].join(', ');
  const answer = await client.send(`/v2/${path.repository}/manifests/${path.reference}`, { token, headers: { accept } });
  return { status: answer.status, headers: answer.headers, bytes: new Uint8Array(await answer.arrayBuffer()) };
}

export interface FetchedManifest {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** The referrers of a digest (end-12a), all pages. Throws when an answer is not 200. */
export async function listReferrers(
  client: RawClient,
  path: { repository: string; digest: string },
  token = '',
): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = [];
  let next: string | undefined = `/v2/${path.repository}/referrers/${path.digest}`;
  for (let page = 0; next !== undefined && page < 100; page++) {
    const answer: Response = await client.send(next, { token });
    if (answer.status !== 200) throw new Error(`referrers answered ${answer.status}: ${await answer.text()}`);
    const body: { manifests: Descriptor[] } = JSON.parse(await answer.text());
    found.push(...body.manifests);
    const link = /<([^>]+)>;\s*rel="?next"?/.exec(answer.headers.get('link') ?? '')?.[1];
    next = link === undefined ? undefined : new URL(link, client.baseUrl).href.slice(client.baseUrl.length);
  }
  return found;
}

function parameter(challenge: string, name: string): string {
  const value = new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1];
  if (value === undefined) throw new Error(`the challenge has no ${name}: ${challenge}`);
  return value;
}
