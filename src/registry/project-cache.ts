// Projects are asked for by every request and change rarely: they are remembered for a second (other servers on the same database may change them)
// and forgotten at once when this server changes one. That there is none is remembered as long: a private project must not answer sooner than
// an absent one. Absences have a memory of their own, so that made-up names push no project out.

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
  interface Entry {
    readonly project: Project | undefined;
    readonly untilMs: number;
  }
  const entries = createLru<string, Entry>({ maxEntries: entriesMax });
  const absences = createLru<string, Entry>({ maxEntries: entriesMax });
  let changes = 0;
  const remembered = async (key: string, ask: () => Promise<Project | undefined>): Promise<Project | undefined> => {
    const known = entries.get(key) ?? absences.get(key);
    const nowMs = clock.monotonicMs();
    if (known !== undefined && known.untilMs > nowMs) return known.project;
    const before = changes;
    const project = await ask();
    entries.delete(key);
    absences.delete(key);
    // What was read before a change may be what the change replaced.
    if (before === changes) (project === undefined ? absences : entries).set(key, { project, untilMs: nowMs + rememberMs });
    return project;
  };
  return {
    byName: (name) => remembered(`name ${name}`, () => queries.byName(name)),
    mirrorOf: (registry) => remembered(`mirror ${registry}`, () => queries.mirrorOf(registry)),
    forget: () => {
      changes++;
      entries.clear();
      absences.clear();
    },
  };
}
