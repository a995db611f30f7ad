// Reads what a registry says of its pull quota. Pure. Docker Hub: "Docker Hub usage and limits" (`ratelimit-limit: 100;w=21600`,
// `ratelimit-remaining: 76;w=21600`, `docker-ratelimit-source`); a plan without a limit sends no such header. wire.md 2.3.

/** A pull quota: `remaining` of `limit` manifest GETs in any window of `windowSeconds`. */
export interface Quota {
  readonly limit: number;
  readonly remaining: number;
  readonly windowSeconds: number;
  /** What the registry counts by: an address, or the id of a login. At most 64 characters of visible ASCII. */
  readonly countedBy?: string;
}

const windowDefaultSeconds = 21_600;
const windowMaxSeconds = 7 * 86_400;

/** The quota of an answer, or undefined when its headers name none (no `ratelimit-remaining` with a number). */
export function readQuota(headers: Headers): Quota | undefined {
  const remaining = readCount(headers.get('ratelimit-remaining'));
  if (remaining === undefined) return undefined;
  const limit = readCount(headers.get('ratelimit-limit'));
  const seconds = limit?.windowSeconds ?? remaining.windowSeconds ?? windowDefaultSeconds;
  const countedBy = headers.get('docker-ratelimit-source')?.trim();
  return {
    limit: Math.max(limit?.count ?? remaining.count, remaining.count),
    remaining: remaining.count,
    windowSeconds: Math.min(Math.max(seconds, 1), windowMaxSeconds),
    ...(countedBy !== undefined && /^[\x21-\x7e]{1,64}$/.test(countedBy) ? { countedBy } : {}),
  };
}

/** So little is left that another source is better asked first: a twentieth of the limit, five at most. */
export function isSpent(quota: Quota): boolean {
  return quota.remaining <= Math.min(5, Math.floor(quota.limit / 20));
}

function readCount(text: string | null): { readonly count: number; readonly windowSeconds?: number } | undefined {
  const match = /^ {0,4}(\d{1,9}) {0,4}(?:;.{0,100}?\bw=(\d{1,9}).{0,100})?(?:[;,].{0,200})?$/.exec(text ?? '');
  if (match === null) return undefined;
  return { count: Number(match[1]), ...(match[2] === undefined ? {} : { windowSeconds: Number(match[2]) }) };
}
