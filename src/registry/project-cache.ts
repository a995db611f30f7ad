// Projects are asked for by every request and change rarely: those found are remembered for a second (other servers on the same database may
// change them) and forgotten at once when this server changes one. What was not found is asked again each time.

import type { Project, ProjectQueries } from '../db/projects.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';

export interface ProjectCache extends ProjectQueries {
  /** A project was changed here. */
  forget(): void;
}

const rememberMs = 1000;
const entriesMax = 10_000;

export function createProjectCache(queries: ProjectQueries, clock: Clock): ProjectCache {
  const entries = createLru<string, { readonly project: Project; readonly untilMs: number }>({ maxEntries: entriesMax });
  let changes = 0;
  const remembered = async (key: string, ask: () => Promise<Project | undefined>): Promise<Project | undefined> => {
    const known = entries.get(key);
    const nowMs = clock.monotonicMs();
    if (known !== undefined && known.untilMs > nowMs) return known.project;
    const before = changes;
    const project = await ask();
    if (project === undefined) entries.delete(key);
    // What was read before a change may be what the change replaced.
    else if (before === changes) entries.set(key, { project, untilMs: nowMs + rememberMs });
    return project;
  };
  return {
    byName: (name) => remembered(`name ${name}`, () => queries.byName(name)),
    mirrorOf: (registry) => remembered(`mirror ${registry}`, () => queries.mirrorOf(registry)),
    forget: () => {
      changes++;
      entries.clear();
    },
  };
}
