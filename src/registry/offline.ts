// What a site needs to live without a network, joined: warm-up runs, pinned sets, whether everything is here, and archives.

import type { AccessPolicy } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createExporter, type Exporter } from './archive-export.ts';
import { createImporter, type Importer, type ImportLimits } from './archive-import.ts';
import type { Ingest } from './ingest.ts';
import type { NameRules } from './names.ts';
import { createPins, type Pins } from './pins.ts';
import type { Pull } from './pull.ts';
import type { Repositories } from './repositories.ts';
import type { TagRules } from './tag-policies.ts';
import { createVerifier, type Verifier } from './verify.ts';
import { createWarmups, type Warmups } from './warmups.ts';

export interface Offline {
  readonly warmups: Warmups;
  readonly pins: Pins;
  readonly verifier: Verifier;
  readonly exporter: Exporter;
  readonly importer: Importer;
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
  readonly store: BlobStore;
  readonly rules: TagRules;
  readonly ingest: Ingest;
  readonly repositories: Repositories;
  readonly limits: ImportLimits;
}

export function createOffline(parts: OfflineParts): Offline {
  const warmups = createWarmups(parts);
  return {
    warmups,
    pins: createPins(parts),
    verifier: createVerifier(parts),
    exporter: createExporter(parts),
    importer: createImporter(parts),
    start: warmups.resume,
    close: warmups.close,
  };
}
