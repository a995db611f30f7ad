// The listening server: hands each request to the API it belongs to, answers for failures nobody foresaw, reloads certificates, drains
// at the end. It knows paths and nothing of what is behind them.

import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Principal } from '../auth/principal.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { Authentication } from './authentication.ts';
import type { Distribution } from './distribution.ts';
import { errorResponse, internalError } from './errors.ts';
import type { OriginOf } from './origin.ts';
import type { TokenService } from './token-service.ts';

const idleTimeoutS = 120;
const drainTimeoutMs = 30_000;
const certificateCheckMs = 2_000;

export interface AdminApi {
  handle(request: Request, principal: Principal): Promise<Response>;
}
export interface ServerParts {
  readonly distribution: Distribution;
  readonly tokenService: TokenService;
  readonly authentication: Authentication;
  readonly originOf: OriginOf;
  readonly api: AdminApi;
  readonly isReady: () => Promise<boolean>;
  readonly log: Log;
}
export interface ListenOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls?: { readonly certificateFile: string; readonly privateKeyFile: string };
}
export interface RunningServer {
  readonly port: number;
  /** No new requests; those under way may end, for 30 s. */
  stop(): Promise<void>;
}

export function startServer(parts: ServerParts, listen: ListenOptions): RunningServer {
  const handler = createHandler(parts);
  const serve = (port: number): Bun.Server<undefined> =>
    Bun.serve({
      hostname: listen.hostname,
      port,
      idleTimeout: idleTimeoutS,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      ...(listen.tls === undefined ? {} : { tls: readCertificate(listen.tls), reusePort: true }),
      fetch: handler,
      error: (error) => failure(parts.log, error, false),
    });
  let server = serve(listen.port);
  const port = server.port ?? listen.port;
  const watch =
    listen.tls === undefined
      ? undefined
      : watchCertificate(listen.tls, parts.log, () => {
          // Bun cannot change the certificate of a listening socket: a second server takes the port over, the first one drains.
          const before = server;
          server = serve(port);
          void before.stop(false);
        });
  return {
    port,
    stop: async () => {
      watch?.stop();
      const drained = server.stop(false);
      const timer = setTimeout(() => void server.stop(true), drainTimeoutMs);
      await drained;
      clearTimeout(timer);
    },
  };
}

function createHandler(parts: ServerParts): (request: Request, server: Bun.Server<undefined>) => Promise<Response> {
  const { log } = parts;
  return async (request, server) => {
    const isHead = request.method === 'HEAD';
    try {
      const target = splitUrl(request.url);
      // A pull may wait long for its first byte (a blob that is verified before it is passed on): no idle timeout until there is an answer.
      server.timeout(request, 0);
      const response = await route(parts, request, target, () => server.requestIP(request)?.address);
      server.timeout(request, idleTimeoutS);
      return response;
    } catch (error) {
      if (error instanceof OciError) {
        // A 401 without a challenge is none (RFC 9110 15.5.2); the registry API answers with its own before it gets here.
        return errorResponse(error, {
          head: isHead,
          headers: error.code === 'UNAUTHORIZED' ? { 'www-authenticate': 'Basic realm="breakwater"' } : {},
        });
      }
      return failure(log, error, isHead);
    }
  };
}

async function route(
  parts: ServerParts,
  request: Request,
  { path, query }: { path: string; query: string },
  peer: () => string | undefined,
): Promise<Response> {
  if (path === '/healthz') return new Response('ok\n');
  if (path === '/readyz') return (await parts.isReady()) ? new Response('ready\n') : new Response('not ready\n', { status: 503 });
  if (path === '/service/token') return parts.tokenService.answer(request, query);
  if (path.startsWith('/api/')) {
    const { principal } = await parts.authentication.identify(request.headers.get('authorization'));
    return parts.api.handle(request, principal);
  }
  const response = await parts.distribution.handle({ request, path, query, origin: () => parts.originOf(request.headers, peer()) });
  if (response !== undefined) return response;
  throw new OciError('NOT_FOUND', 'nothing is here; the registry API is below /v2/, the admin API below /api/v2.0/');
}

/** Path and query as they stand in the request; Bun gives an absolute URL. */
function splitUrl(url: string): { path: string; query: string } {
  const start = url.indexOf('/', url.indexOf('//') + 2);
  const end = url.indexOf('?', start);
  return end === -1 ? { path: url.slice(start), query: '' } : { path: url.slice(start, end), query: url.slice(end + 1) };
}

/** A client that left is no failure; anything else gets an id that the log has too. */
function failure(log: Log, error: unknown, head: boolean): Response {
  if (error instanceof DOMException && error.name === 'AbortError') return new Response(null, { status: 499 });
  const errorId = randomBytes(6).toString('hex');
  log.error('request.failed', { errorId, error, stack: error instanceof Error ? error.stack : undefined });
  return errorResponse(internalError(errorId), { head });
}

type TlsFiles = NonNullable<ListenOptions['tls']>;

function readCertificate(files: TlsFiles): { cert: string; key: string } {
  return { cert: readFileSync(files.certificateFile, 'utf8'), key: readFileSync(files.privateKeyFile, 'utf8') };
}

/** Calls `onChange` when the files have changed and have been still for one check, so that a half-written pair is not taken. */
function watchCertificate(files: TlsFiles, log: Log, onChange: () => void): { stop(): void } {
  const stamp = (): string =>
    [files.certificateFile, files.privateKeyFile].map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0).join(' ');
  let served = stamp();
  let seen = served;
  const timer = setInterval(() => {
    const now = stamp();
    const isStill = now === seen;
    seen = now;
    if (!isStill || now === served) return;
    served = now;
    try {
      onChange();
      log.info('tls.reloaded', { certificate: files.certificateFile });
    } catch (error) {
      log.error('tls.reload-failed', { error, hint: 'the old certificate stays in use' });
    }
  }, certificateCheckMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
