// What a site needs to live without a network, joined: warm-up runs and pinned sets.

import type { AccessPolicy } from '../auth/access.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { NameRules } from './names.ts';
import { createPins, type Pins } from './pins.ts';
import type { Pull } from './pull.ts';
import { createWarmups, type Warmups } from './warmups.ts';

export interface Offline {
  readonly warmups: Warmups;
  readonly pins: Pins;
  /** Goes on with what a restart interrupted. */
  start(): Promise<void>;
  /** Ends what runs; it goes on at the next start. Before the mirror is closed. */
  close(): Promise<void>;
}

export interface OfflineParts {
  readonly database: Database;
  readonly content: ContentQueries;
  readonly names: NameRules;
  readonly policy: AccessPolicy;
  readonly pull: Pull;
  readonly clock: Clock;
  readonly log: Log;
}

export function createOffline(parts: OfflineParts): Offline {
  const warmups = createWarmups(parts);
  return { warmups, pins: createPins(parts), start: warmups.resume, close: warmups.close };
}
