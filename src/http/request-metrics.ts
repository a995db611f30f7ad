// How many requests of which kind there were and how long their answers took, as metrics. Labels are classes of paths, never the paths.

import type { Counter, Histogram, Metrics } from '../lib/metrics.ts';

/** Counts one request. `elapsedMs`: until the answer's headers; a body that is streamed after them takes its own time. */
export type MeasureRequest = (request: { method: string; path: string; status: number; elapsedMs: number }) => void;

/** From an answer out of memory to a blob that is verified before its first byte. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createRequestMetrics(metrics: Metrics): MeasureRequest {
  const requests = metrics.counter({
    name: 'breakwater_http_requests_total',
    help: 'Answered requests by class of path, method and status.',
    labels: ['route', 'method', 'status'],
  });
  const duration = metrics.histogram({
    name: 'breakwater_http_request_duration_seconds',
    help: 'Time from a request to the headers of its answer, by class of path and method.',
    labels: ['route', 'method'],
    bounds,
  });
  // Every request comes here: its children are found with one key.
  const children = new Map<string, { readonly counter: Counter; readonly histogram: Histogram }>();
  return ({ method, path, status, elapsedMs }) => {
    const route = classOfPath(path);
    const key = `${route} ${method} ${status}`;
    let child = children.get(key);
    if (child === undefined) {
      const known = knownMethods.has(method) ? method : 'other';
      child = { counter: requests.at(route, known, String(status)), histogram: duration.at(route, known) };
      if (children.size < childrenMax) children.set(key, child);
    }
    child.counter.add();
    child.histogram.observe(elapsedMs / 1000);
  };
}

const childrenMax = 2_000;
const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** `manifests`, `blobs`, `uploads`, `tags`, `referrers`, `catalog`, `version`, `token`, `api`, `monitoring` or `other`. */
function classOfPath(path: string): string {
  if (path.includes('/v2/')) {
    if (path.includes('/manifests/')) return 'manifests';
    if (path.includes('/blobs/')) return path.includes('/blobs/uploads') ? 'uploads' : 'blobs';
    if (path.endsWith('/tags/list')) return 'tags';
    if (path.includes('/referrers/')) return 'referrers';
    if (path.endsWith('/_catalog')) return 'catalog';
    if (path.endsWith('/v2/')) return 'version';
  }
  if (path.startsWith('/api/')) return 'api';
  if (path === '/service/token') return 'token';
  return path === '/v2' ? 'version' : isMonitoringPath(path) ? 'monitoring' : 'other';
}

function isMonitoringPath(path: string): boolean {
  return path === '/healthz' || path === '/readyz' || path === '/metrics' || path === '/status.json' || path.startsWith('/status/');
}
