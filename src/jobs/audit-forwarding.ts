// Forwards the audit log as it grows. The log itself is the outbox: of each target only its place in the log is kept, so nothing piles up in
// memory while one is away. A target that is away too long misses the oldest entries, which is counted and told, and goes on with later ones.
// At least once: what was taken and not confirmed is sent again.

import { readAuditRows, readChainEnds } from '../db/audit.ts';
import type { Database } from '../db/database.ts';
import { getMeta } from '../db/projects.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { AuditTarget } from './audit-targets.ts';

export interface OutboxLimits {
  readonly ageMs: number;
  readonly entries: number;
}

export interface ForwardState {
  readonly target: string;
  /** Entries that wait for it. */
  readonly lag: number;
  readonly sent: number;
  readonly dropped: number;
  /** How long it has taken nothing although something waits; 0 while all is well. */
  readonly failingMs: number;
}

export interface AuditForwarding {
  states(): readonly ForwardState[];
  close(): Promise<void>;
}

interface Place {
  readonly name: string;
  lastId: number;
  lag: number;
  sent: number;
  dropped: number;
  failingSinceMs: number | undefined;
  nextTryMs: number;
  pauseMs: number;
}

const pollMs = 1000;
const batchMax = 100;
const pauseFirstMs = 1000;
const pauseMaxMs = 5 * 60_000;
const metaKey = (name: string): string => `audit-forward-${name}`;

export function startAuditForwarding(options: {
  readonly database: Pick<Database, 'read' | 'run'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Those that hold now. */
  readonly targets: () => Promise<readonly AuditTarget[]>;
  readonly outbox: OutboxLimits;
  /** A target misses entries for good. */
  readonly onDropped: (fields: { readonly target: string; readonly entries: number }) => void;
}): AuditForwarding {
  const { clock, log, targets } = options;
  const places = new Map<string, Place>();
  const stopping = new AbortController();
  const repeat = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const all = await targets();
        for (const name of [...places.keys()]) if (!all.some((target) => target.name === name)) places.delete(name);
        await Promise.all(all.map((target) => forward(target)));
      } catch (error) {
        if (!stopping.signal.aborted) log.error('audit.forwarding-failed', { error });
      }
      await clock.sleep(pollMs, stopping.signal);
    }
  };
  const done = repeat().catch(() => undefined);
  return {
    states: () =>
      [...places.values()].map(({ name, lag, sent, dropped, failingSinceMs }) => ({
        target: name,
        lag,
        sent,
        dropped,
        failingMs: failingSinceMs === undefined ? 0 : clock.monotonicMs() - failingSinceMs,
      })),
    close: async () => {
      stopping.abort();
      await done;
    },
  };

  /** Everything that waits for one target, in batches, until one is not taken. */
  async function forward(target: AuditTarget): Promise<void> {
    const place = places.get(target.name) ?? (await findPlace(target.name));
    while (!stopping.signal.aborted) {
      await leaveOut(place);
      if (place.lag === 0 || clock.monotonicMs() < place.nextTryMs) return;
      const rows = await readAuditRows(options.database.read, { afterId: place.lastId, limit: batchMax });
      const last = rows.at(-1);
      if (last === undefined) return;
      try {
        await target.send(rows, stopping.signal);
      } catch (error) {
        if (!stopping.signal.aborted) fail(place, error);
        return;
      }
      if (place.failingSinceMs !== undefined) log.info('audit.forwarding-again', { target: place.name });
      place.sent += rows.length;
      place.failingSinceMs = undefined;
      place.pauseMs = pauseFirstMs;
      await move(place, last.id);
    }
  }

  function fail(place: Place, error: unknown): void {
    if (place.failingSinceMs === undefined) {
      place.failingSinceMs = clock.monotonicMs();
      log.warn('audit.not-forwarded', { target: place.name, error });
    }
    place.nextTryMs = clock.monotonicMs() + place.pauseMs;
    place.pauseMs = Math.min(place.pauseMs * 2, pauseMaxMs);
  }

  /** Counts what waits, and skips what has waited too long, is too much, or is gone by retention. */
  async function leaveOut(place: Place): Promise<void> {
    const { anchor, head } = await readChainEnds(options.database.read);
    const oldest = Math.max(anchor.id, head.id - options.outbox.entries);
    let skipTo = Math.max(place.lastId, oldest);
    if (place.failingSinceMs !== undefined) {
      const beforeMs = clock.nowMs() - options.outbox.ageMs;
      const rows = await readAuditRows(options.database.read, { afterId: skipTo, limit: batchMax });
      const young = rows.findIndex((row) => row.atMs >= beforeMs);
      skipTo = (young === -1 ? rows.at(-1) : rows[young - 1])?.id ?? skipTo;
    }
    if (skipTo > place.lastId) {
      const entries = skipTo - place.lastId;
      place.dropped += entries;
      log.warn('audit.forward-dropped', { target: place.name, entries });
      options.onDropped({ target: place.name, entries });
      await move(place, skipTo);
    }
    place.lag = Math.max(0, head.id - place.lastId);
  }

  async function move(place: Place, lastId: number): Promise<void> {
    place.lag = Math.max(0, place.lag - (lastId - place.lastId));
    place.lastId = lastId;
    await options.database.run('setMeta', { key: metaKey(place.name), value: String(lastId) });
  }

  /** A new target begins with what comes from now on. */
  async function findPlace(name: string): Promise<Place> {
    const known = await getMeta(options.database.read, metaKey(name));
    const lastId = known === undefined ? (await readChainEnds(options.database.read)).head.id : Number(known);
    const place: Place = { name, lastId, lag: 0, sent: 0, dropped: 0, failingSinceMs: undefined, nextTryMs: 0, pauseMs: pauseFirstMs };
    places.set(name, place);
    if (known === undefined) await move(place, lastId);
    return place;
  }
}
