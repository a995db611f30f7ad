// How each registry and source is, in one word and since when, for a page or a badge. It asks nobody: it reads health, the last probe and the
// history. The public view must never hold a secret, a proxy, evidence, or the address of anything private.

import type { Clock } from '../lib/clock.ts';
import { classifyAddress } from '../upstream/address.ts';
import { isLocalName } from '../upstream/domain.ts';
import type { SourceSnapshot } from '../upstream/health.ts';
import { bareHost, type Source } from '../upstream/source.ts';
import type { Availability, History } from './history.ts';
import type { Prober } from './prober.ts';
import type { ProbeDepth, ProbeReport, ProbeStep } from './probes.ts';
import type { SourcePool } from './source-pool.ts';

/** `whitelist`: it has some images and refuses others; `unknown`: neither asked nor probed since the start. */
export type SourceWord = 'up' | 'whitelist' | 'limited' | 'down' | 'unknown';
/** `degraded`: content can be had, and not all sources are well. */
export type RegistryWord = 'up' | 'degraded' | 'down' | 'unknown';

export interface SourceStatus {
  /** Its URL; in the public view of a private source a name in its place. */
  readonly source: string;
  readonly trust: Source['trust'];
  readonly state: SourceWord;
  readonly since: string;
  readonly lastCheck?: string;
  /** To the first byte; recent answers count more. */
  readonly latencyMs?: number;
  readonly availability: Availability;
  readonly quota?: { readonly limit: number; readonly remaining: number };
  /** Whether it has the authority's digest of a tag that moves: as the last deep probes saw it. */
  readonly freshness: 'fresh' | 'stale' | 'unknown';
  /** Not in the public view, as the last probe. */
  readonly why?: string;
  readonly probe?: { readonly at: string; readonly depth: ProbeDepth; readonly ms: number; readonly steps: readonly ProbeStep[] };
}
export interface RegistryStatus {
  readonly registry: string;
  readonly state: RegistryWord;
  readonly sources: readonly SourceStatus[];
}
export interface StatusReport {
  /** For monitors that look for a word. */
  readonly summary: 'all registries are up' | 'some registries are degraded' | 'some registries are down' | 'nothing is known yet';
  /** `"docker.io":"up"`: the same, by registry. */
  readonly states: Readonly<Record<string, RegistryWord>>;
  readonly at: string;
  readonly registries: readonly RegistryStatus[];
}

export interface Status {
  read(view: 'full' | 'public'): Promise<StatusReport>;
  /** The word of one registry, and of how many sources it holds; undefined for a registry that is not there. */
  wordOf(
    registry: string,
    view: 'full' | 'public',
  ): { readonly state: RegistryWord; readonly up: number; readonly all: number } | undefined;
  /** Notes since when each source is in its state. Called every few seconds. */
  observe(): void;
}

export function createStatus(parts: {
  pool: SourcePool;
  prober: Pick<Prober, 'latest'>;
  history: Pick<History, 'availability'>;
  clock: Clock;
}): Status {
  const { pool, prober, history, clock } = parts;
  const known = new Map<string, { readonly word: SourceWord; readonly sinceMs: number }>();

  const wordFor = (source: Source): SourceWord => wordOfSource(pool.snapshot(source), prober.latest(source.id)?.report.state);
  const observe = (): void => {
    const live = new Set<string>();
    for (const source of pool.registries().flatMap((registry) => pool.sourcesOf(registry))) {
      live.add(source.id);
      const word = wordFor(source);
      if (known.get(source.id)?.word !== word) known.set(source.id, { word, sinceMs: clock.nowMs() });
    }
    for (const id of known.keys()) if (!live.has(id)) known.delete(id);
  };

  const describe = async (source: Source, view: 'full' | 'public', place: number): Promise<SourceStatus> => {
    const snapshot = pool.snapshot(source);
    const latest = prober.latest(source.id);
    const checkedMs = Math.max(snapshot.lastAtMs ?? 0, latest?.report.atMs ?? 0);
    const why = latest?.report.state === 'up' ? snapshot.evidence : (latest?.report.summary ?? snapshot.evidence);
    return {
      source: view === 'public' && !isPublicSource(source) ? `private source ${place + 1}` : source.url,
      trust: source.trust,
      state: known.get(source.id)?.word ?? 'unknown',
      since: new Date(known.get(source.id)?.sinceMs ?? clock.nowMs()).toISOString(),
      ...(checkedMs === 0 ? {} : { lastCheck: new Date(checkedMs).toISOString() }),
      ...(snapshot.averageMs === undefined ? {} : { latencyMs: Math.round(snapshot.averageMs) }),
      availability: await history.availability(source.id),
      ...(snapshot.quota === undefined ? {} : { quota: { limit: snapshot.quota.limit, remaining: snapshot.quota.remaining } }),
      freshness: freshnessOf(source),
      ...(view === 'public' || why === undefined ? {} : { why }),
      ...(view === 'public' || latest === undefined ? {} : { probe: describeProbe(latest.report) }),
    };
  };

  /** Compared with the authority's answer to the same probe. */
  function freshnessOf(source: Source): SourceStatus['freshness'] {
    const digest = prober.latest(source.id)?.report.tagDigest;
    if (digest === undefined) return 'unknown';
    if (source.trust === 'authority') return 'fresh';
    const truths = pool
      .sourcesOf(source.registry)
      .filter((other) => other.trust === 'authority')
      .flatMap((other) => prober.latest(other.id)?.report.tagDigest ?? []);
    return truths.length === 0 ? 'unknown' : truths.includes(digest) ? 'fresh' : 'stale';
  }

  const wordOf: Status['wordOf'] = (registry, view) => {
    if (!pool.registries().includes(registry) || (view === 'public' && !isPublicName(registry))) return undefined;
    const words = pool.sourcesOf(registry).map(wordFor);
    const up = words.filter((word) => word === 'up' || word === 'whitelist').length;
    return { state: registryWord(words), up, all: words.length };
  };

  return {
    observe,
    wordOf,
    read: async (view) => {
      observe();
      const registries: RegistryStatus[] = [];
      for (const registry of pool.registries()) {
        if (view === 'public' && !isPublicName(registry)) continue;
        const sources = pool.health.rank(pool.sourcesOf(registry));
        const described: SourceStatus[] = [];
        for (const [place, source] of sources.entries()) described.push(await describe(source, view, place));
        registries.push({ registry, state: wordOf(registry, view)?.state ?? 'unknown', sources: described });
      }
      const words = registries.map(({ state }) => state);
      return {
        summary: words.includes('down')
          ? 'some registries are down'
          : words.includes('degraded')
            ? 'some registries are degraded'
            : words.includes('up')
              ? 'all registries are up'
              : 'nothing is known yet',
        states: Object.fromEntries(registries.map(({ registry, state }) => [registry, state])),
        at: new Date(clock.nowMs()).toISOString(),
        registries,
      };
    },
  };
}

function describeProbe({ atMs, depth, ms, steps }: ProbeReport): NonNullable<SourceStatus['probe']> {
  return { at: new Date(atMs).toISOString(), depth, ms, steps };
}

/** What pulls show outranks what probes found; only a whitelist does not show in pulls. */
function wordOfSource(snapshot: SourceSnapshot, probed: SourceWord | undefined): SourceWord {
  switch (snapshot.state) {
    case 'open':
    case 'quarantined':
      return 'down';
    case 'limited':
      return 'limited';
    case 'half-open':
    case 'failing':
    case 'up':
      if (probed === 'down' || probed === 'whitelist') return probed;
      return snapshot.state !== 'half-open' && (snapshot.succeeded > 0 || probed === 'up')
        ? 'up'
        : snapshot.lastAtMs === undefined
          ? 'unknown'
          : 'down';
  }
}

function registryWord(words: readonly SourceWord[]): RegistryWord {
  if (words.every((word) => word === 'unknown')) return 'unknown';
  if (!words.some((word) => word === 'up' || word === 'whitelist')) return words.includes('unknown') ? 'unknown' : 'down';
  return words.every((word) => word === 'up' || word === 'whitelist' || word === 'unknown') ? 'up' : 'degraded';
}

/** A registry named after a host of a private network is nobody's business. */
function isPublicName(registry: string): boolean {
  return !isLocalName(registry) && (classifyAddress(registry) ?? 'public') === 'public';
}

function isPublicSource(source: Source): boolean {
  const host = bareHost(new URL(source.url));
  const address = classifyAddress(host);
  return source.proxy === undefined && source.allowPrivate !== true && (address === undefined ? !isLocalName(host) : address === 'public');
}
