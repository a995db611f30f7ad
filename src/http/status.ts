// `GET /status.json`, a badge per registry, and what is known of one image: for people, status pages and monitors such as Uptime Kuma. The first
// two may be opened to everybody (`status.public`); what everybody sees then is the public view.

import { decideSystem } from '../auth/access.ts';
import { OciError } from '../oci/errors.ts';
import type { ReadImageStatus } from '../registry/image-status.ts';
import type { Status } from '../registry/status.ts';
import type { Authentication } from './authentication.ts';
import { drawBadge } from './badge.ts';
import { requireGet } from './metrics.ts';

export interface StatusEndpoint {
  /** The answer to one of its paths; undefined for any other. Throws UNAUTHORIZED, DENIED, NOT_FOUND, BAD_REQUEST, METHOD_NOT_ALLOWED. */
  answer(request: Request, path: string, query: string): Promise<Response> | undefined;
}

/** A view is made once in this time, whoever asks. */
const keptMs = 2_000;
const badgePattern = /^\/status\/badge\/([a-z0-9._-]{1,128})\.svg$/;

export function createStatusEndpoint(options: {
  status: Status;
  readImage: ReadImageStatus;
  isPublic: boolean;
  authentication: Pick<Authentication, 'identify'>;
  monotonicMs: () => number;
}): StatusEndpoint {
  const { status, isPublic, authentication, monotonicMs } = options;
  const kept = new Map<'full' | 'public', { readonly text: Promise<string>; readonly untilMs: number }>();

  const textOf = (view: 'full' | 'public'): Promise<string> => {
    const known = kept.get(view);
    if (known !== undefined && known.untilMs > monotonicMs()) return known.text;
    const text = status.read(view).then((report) => `${JSON.stringify(report)}\n`);
    kept.set(view, { text, untilMs: monotonicMs() + keptMs });
    text.catch(() => kept.delete(view));
    return text;
  };

  const requireAdministrator = async (request: Request): Promise<void> => {
    const { principal, claims } = await authentication.identify(request.headers.get('authorization'));
    if (principal.kind === 'anonymous' || claims !== undefined) throw new OciError('UNAUTHORIZED', 'log in as an administrator');
    if (!decideSystem(principal, 'status:read')) throw new OciError('DENIED', 'only administrators may read this');
  };

  /** Who logs in sees everything, also where everybody may see something. */
  const viewFor = async (request: Request): Promise<'full' | 'public'> => {
    if (isPublic && request.headers.get('authorization') === null) return 'public';
    await requireAdministrator(request);
    return 'full';
  };

  const report = async (request: Request): Promise<Response> => {
    requireGet(request);
    return send(request, await textOf(await viewFor(request)), 'application/json');
  };

  const badge = async (request: Request, registry: string): Promise<Response> => {
    requireGet(request);
    const word = status.wordOf(registry, await viewFor(request));
    if (word === undefined) throw new OciError('NOT_FOUND', 'no such registry is mirrored here');
    const message = word.state === 'unknown' ? 'unknown' : `${word.state} ${word.up}/${word.all}`;
    return send(request, drawBadge({ label: registry, message, state: word.state }), 'image/svg+xml');
  };

  const image = async (request: Request, query: string): Promise<Response> => {
    requireGet(request);
    await requireAdministrator(request);
    const parameters = new URLSearchParams(query);
    const name = parameters.get('name') ?? '';
    if (name === '' || name.length > 600) throw new OciError('BAD_REQUEST', 'name the image: /status/image?name=debian:12');
    const found = await options.readImage(name, { isAsking: parameters.get('probe') === '1', signal: request.signal });
    return send(request, `${JSON.stringify(found)}\n`, 'application/json');
  };

  return {
    answer: (request, path, query) => {
      if (path === '/status.json') return report(request);
      if (path === '/status/image') return image(request, query);
      const registry = badgePattern.exec(path)?.[1];
      return registry === undefined ? undefined : badge(request, registry);
    },
  };
}

/** Pages elsewhere may read and show it; a cache may keep it for half a minute. */
function send(request: Request, text: string, contentType: string): Response {
  const isShared = request.headers.get('authorization') === null;
  const headers = {
    'content-type': contentType,
    'cache-control': isShared ? 'public, max-age=30' : 'no-store',
    'access-control-allow-origin': '*',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
  };
  return new Response(request.method === 'HEAD' ? null : text, { headers });
}
