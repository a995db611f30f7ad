// Repositories for the admin API: lists within the asker's rights, descriptions, deletion. The right on one repository was decided by the
// caller; for lists across projects this file turns rights into what the database may show and count.

import type { AccessPolicy } from '../auth/access.ts';
import type { Action } from '../auth/actions.ts';
import type { Principal } from '../auth/principal.ts';
import { projectScope } from '../auth/project-scope.ts';
import type { Database } from '../db/database.ts';
import type { ListWish } from '../db/listing.ts';
import { listProjects } from '../db/projects.ts';
import {
  findRepository,
  listRepositoryNames,
  listRepositoryPage,
  type RepositoryField,
  type RepositoryRecord,
  type RepositoryScope,
} from '../db/repository-lists.ts';
import { createGlob } from '../lib/glob.ts';
import { OciError } from '../oci/errors.ts';

export interface RepositoryCatalog {
  /** One page of the repositories that the principal may do this in, and how many they are. */
  page(principal: Principal, action: Action, wish: ListWish<RepositoryField>): Promise<RepositoryPage>;
  pageOfProject(projectId: number, wish: ListWish<RepositoryField>): Promise<RepositoryPage>;
  /** NOT_FOUND when there is none, or nothing was ever in it. */
  find(name: string): Promise<RepositoryRecord>;
  /** NOT_FOUND. */
  describe(name: string, description: string): Promise<void>;
  /** With all it holds, in parts; what is left after a crash is removed by asking again. NOT_FOUND; CONFLICT while it is pushed to all the time. */
  remove(name: string): Promise<void>;
}
export interface RepositoryPage {
  readonly repositories: readonly RepositoryRecord[];
  readonly count: number;
}

/** Repositories that rights given by a pattern are looked for among. */
const namesMax = 20_000;
/** Parts after which somebody must be pushing as fast as this removes: far more than a million tags take. */
const partsMax = 20_000;

export function createRepositoryCatalog({ database, policy }: { database: Database; policy: AccessPolicy }): RepositoryCatalog {
  const find = async (name: string): Promise<RepositoryRecord> => {
    const found = await findRepository(database.read, name);
    if (found === undefined) throw new OciError('NOT_FOUND', `there is no repository ${name}`);
    return found;
  };
  return {
    page: async (principal, action, wish) => {
      const projects = await projectScope(policy, principal, action, () => listProjects(database.read));
      const scope: RepositoryScope = projects === 'all' ? 'all' : { projects, ids: await idsByPattern(database, principal, action) };
      return listRepositoryPage(database, { scope, wish });
    },
    pageOfProject: (projectId, wish) => listRepositoryPage(database, { scope: { projectId }, wish }),
    find,
    describe: async (name, description) => {
      const { id } = await find(name);
      await database.run('describeRepository', { repositoryId: id, description });
    },
    remove: async (name) => {
      const { id } = await find(name);
      for (let parts = 0; parts < partsMax; parts++) {
        const isGone = await database.run('removeRepositoryPart', { repositoryId: id }).catch((error: unknown) => {
          // Somebody else has removed the rest.
          if (error instanceof OciError && error.code === 'NAME_UNKNOWN') return true;
          throw error;
        });
        if (isGone) return;
      }
      throw new OciError('CONFLICT', `${name} is being pushed to; try again when that has ended`);
    },
  };
}

/** The repositories that rights by a pattern of names cover. */
async function idsByPattern(database: Database, principal: Principal, action: Action): Promise<number[]> {
  if (!('grants' in principal)) return [];
  const ids = new Set<number>();
  for (const { where, actions } of principal.grants.grants) {
    if (where.kind !== 'repositories' || !actions.has(action)) continue;
    const glob = createGlob(where.glob);
    const prefix = /^[a-z0-9._/-]*/.exec(where.glob)?.[0] ?? '';
    if (glob === undefined) continue;
    for (const { id, name } of await listRepositoryNames(database.read, { prefix, limit: namesMax })) if (glob.test(name)) ids.add(id);
  }
  return [...ids];
}
