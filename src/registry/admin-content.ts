// The admin API's view of content, made from its parts.

import type { AccessPolicy } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import { type Artifacts, createArtifacts } from './artifacts.ts';
import { createImageConfigs } from './image-config.ts';
import type { Repositories } from './repositories.ts';
import { createRepositoryCatalog, type RepositoryCatalog } from './repository-catalog.ts';

export function createAdminContent(options: {
  database: Database;
  content: ContentQueries;
  store: BlobStore;
  repositories: Repositories;
  policy: AccessPolicy;
}): { readonly repositories: RepositoryCatalog; readonly artifacts: Artifacts } {
  const { database, repositories } = options;
  const catalog = createRepositoryCatalog(options);
  return { repositories: catalog, artifacts: createArtifacts({ database, repositories, catalog, configs: createImageConfigs(options) }) };
}
