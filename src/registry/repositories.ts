// The ids of repositories, which come into being at their first write.

import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { RepositoryName } from '../oci/reference.ts';

export interface Repositories {
  /** The id, made when it is new. NAME_UNKNOWN when the project is gone or the name is another project's. */
  ensure(projectId: number, name: RepositoryName): Promise<number>;
}

export function createRepositories({ database, content }: { database: Database; content: ContentQueries }): Repositories {
  return {
    ensure: async (projectId, name) => {
      const found = await content.repositoryId(name);
      // A repository goes with its project, so a name that is there belongs to the project that was resolved from it.
      return found ?? database.run('ensureRepository', { projectId, name });
    },
  };
}
