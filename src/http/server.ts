// The listening server: hands each request to the API it belongs to, answers for failures nobody foresaw, reloads certificates, drains
// at the end. It knows paths and nothing of what is behind them.

import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Caller } from '../auth/principal.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { Arrival } from '../upstream/login-problems.ts';
import type { ApiDoor } from './api-door.ts';
import type { Arrivals } from './arrivals.ts';
import { type Console, isConsolePath } from './console.ts';
import type { Distribution } from './distribution.ts';
import { errorResponse, internalError } from './errors.ts';
import type { MonitoringServer } from './monitoring.ts';
import { addBase, type Clients, isHost } from './origin.ts';
import { addSecurityHeaders } from './security-headers.ts';
import type { TokenExchange } from './token-exchange.ts';
import type { TokenService } from './token-service.ts';

const idleTimeoutS = 120;
/** Under the 30 s that service managers give a program to end, so that what comes after it has its time, too. */
const drainTimeoutMs = 25_000;
const certificateCheckMs = 2_000;

export interface AdminApi {
  handle(request: Request, caller: Caller, arrival: () => Arrival): Promise<Response>;
}
export interface ServerParts {
  readonly distribution: Distribution;
  readonly tokenService: TokenService;
  readonly tokenExchange?: TokenExchange;
  readonly clients: Clients;
  readonly arrivals: Arrivals;
  readonly api: AdminApi;
  readonly door: ApiDoor;
  readonly console: Console;
  readonly isReady: () => Promise<boolean>;
  readonly log: Log;
  readonly monitoring?: Pick<MonitoringServer, 'measure' | 'answer'>;
}
export interface ListenOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls?: { readonly certificateFile: string; readonly privateKeyFile: string };
  readonly drainTimeoutMs?: number;
  readonly certificateCheckMs?: number;
}
export interface RunningServer {
  readonly port: number;
  /** No new requests; idle connections are closed, requests under way may end, for `drainTimeoutMs` (25 s). */
  stop(): Promise<void>;
}

export function startServer(parts: ServerParts, listen: ListenOptions): RunningServer {
  const handler = createHandler(parts);
  const serve = (port: number): Bun.Server<undefined> =>
    Bun.serve({
      hostname: listen.hostname,
      // In development mode Bun prints source frames to stderr when a response is cut off, which is no JSON line.
      development: false,
      port,
      idleTimeout: idleTimeoutS,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      ...(listen.tls === undefined ? {} : { tls: readCertificate(listen.tls), reusePort: true }),
      fetch: handler,
      error: (error) => failure(parts.log, error, false),
    });
  let server = serve(listen.port);
  const port = server.port ?? listen.port;
  // The one that listens, and those whose certificate is outdated and whose last requests are under way.
  const serving = new Set([server]);
  const drain = async (ended: Bun.Server<undefined>): Promise<void> => {
    await ended.stop(false);
    serving.delete(ended);
  };
  const watch =
    listen.tls === undefined
      ? undefined
      : watchCertificate({ files: listen.tls, log: parts.log, everyMs: listen.certificateCheckMs ?? certificateCheckMs }, () => {
          // Bun cannot change the certificate of a listening socket: a second server takes the port over, the first one drains.
          const before = server;
          server = serve(port);
          serving.add(server);
          void drain(before);
        });
  return {
    port,
    stop: async () => {
      watch?.stop();
      const timer = setTimeout(() => {
        parts.log.warn('server.drain-timeout', { requests: [...serving].reduce((sum, item) => sum + item.pendingRequests, 0) });
        for (const item of serving) void item.stop(true);
      }, listen.drainTimeoutMs ?? drainTimeoutMs);
      await Promise.all([...serving].map(drain));
      clearTimeout(timer);
    },
  };
}

function createHandler(parts: ServerParts): (request: Request, server: Bun.Server<undefined>) => Promise<Response> {
  const { log, monitoring } = parts;
  let knownHost: string | null = null;
  return async (request, server) => {
    const startMs = performance.now();
    const { method } = request;
    let path = '';
    let response: Response;
    try {
      const host = request.headers.get('host');
      if (host !== knownHost) {
        // Only HTTP/1.0 may come without (Bun sees to it).
        if (host !== null && !isHost(host)) throw new OciError('BAD_REQUEST', 'the Host header is not one host');
        knownHost = host;
      }
      const target = splitUrl(request.url);
      const place = parts.clients.place(target.path, request.headers, () => server.requestIP(request)?.address);
      path = place.path;
      if (parts.arrivals.isWaiting) parts.arrivals.note(request.headers, server.requestIP(request)?.address);
      // A pull may wait long for its first byte (a blob that is verified before it is passed on): no idle timeout until there is an answer.
      server.timeout(request, 0);
      // Routers of the other APIs read the path from the request itself.
      const inner = path === target.path || path.startsWith('/v2/') ? request : withPath(request, path, target.query);
      response = await route(parts, inner, { path, query: target.query }, () => server.requestIP(request)?.address);
      if (place.base !== '') response = addBase(response, place.base);
      server.timeout(request, idleTimeoutS);
    } catch (error) {
      response = failedAnswer(log, error, method === 'HEAD');
    }
    if (path.startsWith('/api/') || isConsolePath(path))
      addSecurityHeaders(response, parts.clients.originOf(request.headers, server.requestIP(request)?.address).startsWith('https:'));
    monitoring?.measure({ method, path, status: response.status, elapsedMs: performance.now() - startMs });
    return response;
  };
}

async function route(
  parts: ServerParts,
  request: Request,
  { path, query }: { path: string; query: string },
  peer: () => string | undefined,
): Promise<Response> {
  const address = (): string | undefined => parts.clients.addressOf(request.headers, peer());
  if (path === '/healthz') return plain(200, 'ok\n');
  if (path === '/readyz') return (await parts.isReady()) ? plain(200, 'ready\n') : plain(503, 'not ready\n');
  if (path === '/service/token') return parts.tokenService.answer(request, query, address());
  if (path === '/service/exchange' && parts.tokenExchange !== undefined) return parts.tokenExchange.answer(request, address());
  if (path === '/devcenter-api-2.0') return new Response(null, { status: 302, headers: { location: '/api/docs' } });
  if (path.startsWith('/api/')) {
    const { caller, leave } = await parts.door.enter(request, peer);
    return leave(await parts.api.handle(request, caller, () => parts.arrivals.describe(request.headers, peer())));
  }
  const page = parts.console.answer(request, path, query, peer);
  if (page !== undefined) return page;
  const monitored = parts.monitoring?.answer(request, path, query);
  if (monitored !== undefined) return monitored;
  const response = await parts.distribution.handle({
    request,
    path,
    query,
    address,
    origin: () => parts.clients.originOf(request.headers, peer()),
  });
  if (response !== undefined) return response;
  throw new OciError('NOT_FOUND', 'nothing is here; the registry API is below /v2/, the admin API below /api/v2.0/');
}

function withPath(request: Request, path: string, query: string): Request {
  const url = new URL(request.url, 'http://localhost');
  return new Request(`${url.origin}${path}${query === '' ? '' : `?${query}`}`, request);
}

function plain(status: number, text: string): Response {
  return new Response(text, { status, headers: { 'content-type': 'text/plain; charset=utf-8' } });
}

/** Path and query of a URL as Bun gives it: absolute, or without an origin when there was no Host. BAD_REQUEST for what has no path. */
function splitUrl(url: string): { path: string; query: string } {
  const start = url.startsWith('/') ? 0 : url.indexOf('/', url.indexOf('//') + 2);
  if (start === -1 || (start > 0 && !url.startsWith('http'))) throw new OciError('BAD_REQUEST', 'the request target is no path');
  const end = url.indexOf('?', start);
  return end === -1 ? { path: url.slice(start), query: '' } : { path: url.slice(start, end), query: url.slice(end + 1) };
}

function failedAnswer(log: Log, error: unknown, head: boolean): Response {
  if (!(error instanceof OciError)) return failure(log, error, head);
  // A 401 without a challenge is none (RFC 9110 15.5.2); the registry API answers with its own before it gets here.
  const headers: Record<string, string> = error.code === 'UNAUTHORIZED' ? { 'www-authenticate': 'Basic realm="breakwater"' } : {};
  return errorResponse(error, { head, headers });
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
function watchCertificate({ files, log, everyMs }: { files: TlsFiles; log: Log; everyMs: number }, onChange: () => void): { stop(): void } {
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
  }, everyMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
