// Notes when a robot, a user's token or a workload rule was used and from where. A login adds a note in memory; once a minute the notes go to the
// database. A crash loses the last minute of them, which harms nothing.

import type { CredentialUse } from '../db/credential-use.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

export interface CredentialUses {
  note(kind: CredentialUse['kind'], id: number, from: string | undefined): void;
  /** Writes what is noted. */
  flush(): Promise<void>;
  /** Writes what is noted, a last time. Before the database is closed. */
  close(): Promise<void>;
}

const flushEveryMs = 60_000;
/** Credentials used within a minute; more are left out. */
const notesMax = 20_000;
const notesPerCommand = 200;

export function createCredentialUses({
  database,
  clock,
  log,
}: {
  database: Pick<Database, 'run'>;
  clock: Clock;
  log: Log;
}): CredentialUses {
  let notes = new Map<string, CredentialUse>();
  let flushing: Promise<void> | undefined;
  const write = async (): Promise<void> => {
    const uses = [...notes.values()];
    notes = new Map();
    for (let at = 0; at < uses.length; at += notesPerCommand)
      await database.run('recordCredentialUse', { uses: uses.slice(at, at + notesPerCommand) });
  };
  const flush = (): Promise<void> => {
    flushing ??= write()
      .catch((error) => log.warn('credential-use.not-written', { error }))
      .finally(() => {
        flushing = undefined;
      });
    return flushing;
  };
  const timer = setInterval(() => void flush(), flushEveryMs);
  timer.unref();
  return {
    note: (kind, id, from) => {
      const key = `${kind}:${id}`;
      if (notes.size < notesMax || notes.has(key)) notes.set(key, { kind, id, atMs: clock.nowMs(), from });
    },
    flush,
    close: async () => {
      clearInterval(timer);
      await flushing;
      await flush();
    },
  };
}
