// What there is, as numbers and by search, as far as somebody may see it; and how much room it takes.

import type { Database } from '../db/database.ts';
import { type Counts, countOverview, type FoundRepository, searchNames } from '../db/overview.ts';
import type { ProjectScope } from '../db/project-lists.ts';
import type { Project } from '../db/projects.ts';
import type { Clock } from '../lib/clock.ts';
import { createUsage, type UsageCount } from './usage.ts';

export interface Overview {
  count(scope: ProjectScope): Promise<Counts>;
  /** Names with the text in them, whatever its case; at most `searchMax` projects and as many repositories. */
  search(scope: ProjectScope, text: string): Promise<{ projects: Project[]; repositories: FoundRepository[] }>;
  /** Bytes of blobs, as counted lately. */
  usage(): Promise<UsageCount>;
  /** Of the disk that blobs are kept on. */
  volume(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;
}

const searchMax = 100;

export function createOverview(options: {
  database: Database;
  clock: Clock;
  space: () => Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;
}): Overview {
  const { database, clock, space } = options;
  const usage = createUsage({ database, clock });
  return {
    count: (scope) => countOverview(database, scope),
    search: (scope, text) => searchNames(database, { scope, text, limit: searchMax }),
    usage: usage.read,
    volume: space,
  };
}
