// Projects: listing, creating, deleting. Rights were decided by the caller (the API's policy table).

import { projectAdminRoleId } from '../auth/roles.ts';
import type { Database } from '../db/database.ts';
import type { ListWish } from '../db/listing.ts';
import { listProjectPage, type ProjectField, type ProjectScope } from '../db/project-lists.ts';
import { countMembers, type ProjectChange, type ProjectDetails, readOwnRoles, readProjectDetails } from '../db/project-words.ts';
import { findContent, findProject, listProjects, type Project } from '../db/projects.ts';
import type { ProjectKind } from '../db/schema.ts';
import { OciError } from '../oci/errors.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import { canonicalRegistry, type NameRules } from './names.ts';
import type { ProjectCache } from './project-cache.ts';

export interface ProjectWish {
  readonly name: string;
  readonly kind: ProjectKind;
  readonly isPublic: boolean;
  /** Needed for mirror and overlay. */
  readonly registry?: string;
  readonly allowsSparse?: boolean;
  /** The account that makes it: becomes its project admin. */
  readonly ownerId?: number;
  /** Harbor's words, without `public`. */
  readonly metadata?: readonly MetadataWord[];
  /** JSON. */
  readonly cveAllowlist?: string;
}
export interface MetadataWord {
  readonly name: string;
  readonly value: string;
}
export interface CreatedProject {
  readonly project: Project;
  /** What the administrator should know, e.g. that the name shadows upstream images. */
  readonly warnings: readonly string[];
}

export interface Projects {
  list(): Promise<Project[]>;
  /** One page of those that may be seen, and how many there are. */
  page(scope: ProjectScope, wish: ListWish<ProjectField>): Promise<{ projects: Project[]; count: number }>;
  /** By its id when it is all digits (unless `isName`), else by its name. */
  find(nameOrId: string, options: { readonly isName: boolean }): Promise<Project | undefined>;
  /** BAD_REQUEST for a wish that makes no sense, NAME_INVALID, CONFLICT when the name is taken. */
  create(wish: ProjectWish): Promise<CreatedProject>;
  /** NAME_UNKNOWN when it is gone. The visibility of a registry's own mirror is that registry's, and is changed there. */
  change(project: Project, change: Omit<ProjectChange, 'id'>): Promise<Project>;
  /** By id, of one page. */
  details(ids: readonly number[]): Promise<ReadonlyMap<number, ProjectDetails>>;
  /** The roles that an account has in each, by the project's id. */
  rolesOf(accountId: number, ids: readonly number[]): Promise<ReadonlyMap<number, readonly number[]>>;
  /** How many members of each role it has, by the role's id. */
  memberCounts(project: Project): Promise<ReadonlyMap<number, number>>;
  /** A repository that keeps it from being deleted. */
  contentOf(project: Project): Promise<string | undefined>;
  /** NAME_UNKNOWN, CONFLICT while it holds content. */
  delete(name: string): Promise<void>;
}

const nameMaxLength = 128;

export function createProjects(options: {
  database: Database;
  names: NameRules;
  cache: ProjectCache;
  /** Says who may pull through the mirror of a registry. */
  changeRegistry: (name: string, isPublic: boolean) => Promise<unknown>;
}): Projects {
  const { database, names, cache } = options;
  return {
    list: () => listProjects(database.read),
    page: (scope, wish) => listProjectPage(database, { scope, wish }),
    find: async (text, { isName }) => (!isName && /^\d{1,15}$/.test(text) ? findProject(database.read, Number(text)) : cache.byName(text)),
    create: async (wish) => {
      if (wish.name.includes('/') || wish.name.length > nameMaxLength || parseRepositoryName(wish.name) === undefined) {
        throw new OciError('NAME_INVALID', 'a project name has lower-case letters, digits and single separators (. _ -), and no slash');
      }
      const registry = wish.registry === undefined ? undefined : canonicalRegistry(wish.registry);
      if (wish.kind === 'local' && registry !== undefined)
        throw new OciError('BAD_REQUEST', 'a local project has no registry; use --kind mirror or overlay');
      if (wish.kind !== 'local') {
        const known = [...names.registries].join(', ');
        if (registry === undefined) throw new OciError('BAD_REQUEST', `a ${wish.kind} project needs a registry, one of: ${known}`);
        if (!names.registries.has(registry))
          throw new OciError('BAD_REQUEST', `${registry} has no sources here; configure it first. Known: ${known}`);
      }
      const project = await database.run('createProject', {
        name: wish.name,
        kind: wish.kind,
        isPublic: wish.isPublic,
        ...(registry === undefined ? {} : { registry }),
        ...(wish.allowsSparse === undefined ? {} : { allowsSparse: wish.allowsSparse }),
        ...(wish.metadata === undefined ? {} : { metadata: wish.metadata }),
        ...(wish.cveAllowlist === undefined ? {} : { cveAllowlist: wish.cveAllowlist }),
        ...(wish.ownerId === undefined ? {} : { owner: { accountId: wish.ownerId, roleId: projectAdminRoleId } }),
      });
      cache.forget();
      return { project, warnings: await shadowWarnings(wish.name) };
    },
    change: async (project, { isPublic, ...change }) => {
      const isOfRegistry = project.kind === 'mirror' && project.registry === project.name && names.registries.has(project.name);
      if (isOfRegistry && isPublic !== undefined && isPublic !== project.isPublic) await options.changeRegistry(project.name, isPublic);
      const changed = await database.run('changeProject', {
        id: project.id,
        ...change,
        ...(isOfRegistry || isPublic === undefined ? {} : { isPublic }),
      });
      cache.forget();
      return changed;
    },
    details: (ids) => readProjectDetails(database.read, ids),
    rolesOf: (accountId, ids) => readOwnRoles(database.read, { accountId, ids }),
    memberCounts: (project) => countMembers(database.read, project.id),
    contentOf: (project) => findContent(database.read, project.id),
    delete: async (name) => {
      await database.run('deleteProject', { name });
      cache.forget();
    },
  };

  /** A project hides what the root registry has under its name: say so when such content was pulled before. */
  async function shadowWarnings(name: string): Promise<string[]> {
    const { rootRegistry } = names;
    if (rootRegistry === undefined) return [];
    const mirror = await names.projects.mirrorOf(rootRegistry);
    if (mirror === undefined) return [];
    const prefix = `${mirror.name}/${name}/`;
    const cached = await database.read
      .selectFrom('repository')
      .select('name')
      .where('name', '>=', prefix)
      .where('name', '<', `${prefix}~`)
      .limit(1)
      .executeTakeFirst();
    if (cached === undefined) return [];
    return [
      `${name}/... of ${rootRegistry} was pulled through this server before; from now on these names mean this project. They stay reachable as ${prefix}...`,
    ];
  }
}
