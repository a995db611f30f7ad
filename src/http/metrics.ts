// `GET /metrics`: the exposition for Prometheus, for administrators, for the bearer of the configured token, or for everybody where that is
// wished; and a listener of its own for a private network. It must never tell more than numbers, kinds and the URLs of sources.

import { createHash, timingSafeEqual } from 'node:crypto';
import { decideSystem } from '../auth/access.ts';
import type { Config } from '../config/config.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { type Authentication, splitAuthorization } from './authentication.ts';

export interface MetricsEndpoint {
  /** UNAUTHORIZED or DENIED for who may not read them, METHOD_NOT_ALLOWED. */
  answer(request: Request): Promise<Response>;
}

export function createMetricsEndpoint(options: {
  metrics: Metrics;
  config: Config['metrics'];
  authentication: Pick<Authentication, 'identify'>;
}): MetricsEndpoint {
  const { metrics, config, authentication } = options;
  return {
    answer: async (request) => {
      requireGet(request);
      const authorization = request.headers.get('authorization');
      if (!config.isPublic && !isBearerOf(config.token, authorization)) {
        const { principal, claims } = await authentication.identify(authorization);
        if (principal.kind === 'anonymous' || claims !== undefined)
          throw new OciError('UNAUTHORIZED', 'log in as an administrator, or send the token of `metrics.token`');
        if (!decideSystem(principal, 'metrics:read')) throw new OciError('DENIED', 'only administrators may read the metrics');
      }
      return expose(metrics, request);
    },
  };
}

/** Serves nothing but `/metrics`, without a login. */
export function startMetricsServer(
  metrics: Metrics,
  listen: { readonly hostname: string; readonly port: number },
): { readonly port: number; stop(): Promise<void> } {
  const server = listenOn(listen, {
    fetch: async (request) => {
      if (new URL(request.url).pathname !== '/metrics') return new Response('only /metrics is here\n', { status: 404 });
      if (request.method !== 'GET' && request.method !== 'HEAD')
        return new Response(null, { status: 405, headers: { allow: 'GET, HEAD' } });
      return expose(metrics, request);
    },
    error: () => new Response('internal error\n', { status: 500 }),
  });
  return { port: server.port ?? listen.port, stop: () => server.stop(true) };
}

function listenOn(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  handlers: { fetch: (request: Request) => Promise<Response>; error: () => Response },
): Bun.Server<undefined> {
  try {
    return Bun.serve({ hostname, port, development: false, maxRequestBodySize: 1024, ...handlers });
  } catch (cause) {
    // Without the code: it is not the server's main address.
    throw new Error(`metrics.listen ${hostname}:${port} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** METHOD_NOT_ALLOWED for what is neither GET nor HEAD. */
export function requireGet(request: Request): void {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    throw new OciError('METHOD_NOT_ALLOWED', 'this path allows GET, HEAD', { detail: { allowed: ['GET', 'HEAD'] } });
}

async function expose(metrics: Metrics, request: Request): Promise<Response> {
  const { text, contentType } = await metrics.expose(request.headers.get('accept'));
  const headers = { 'content-type': contentType, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  return new Response(request.method === 'HEAD' ? null : text, { headers });
}

/** Compared by digest, so that neither length nor content shows in the time. */
function isBearerOf(token: Secret | undefined, authorization: string | null): boolean {
  if (token === undefined || authorization === null) return false;
  const { scheme, rest } = splitAuthorization(authorization);
  if (scheme !== 'bearer') return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(rest), digest(token.reveal()));
}
