// Projects as the admin API shows them: Harbor's shape and what a project of ours has besides.

import { decide } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { builtinRoles, projectAdminRoleId } from '../auth/roles.ts';
import type { ProjectDetails } from '../db/project-words.ts';
import type { Project } from '../db/projects.ts';
import type { ApiParts } from './environment.ts';
import type { ProjectBody } from './schemas.ts';

type Parts = Pick<ApiParts, 'projects' | 'sources' | 'access'>;

/** `isDetailed`: with the number of repositories and the accepted vulnerabilities. */
export async function presentProjects(
  parts: Parts,
  principal: Principal,
  { projects, isDetailed }: { projects: readonly Project[]; isDetailed: boolean },
): Promise<ProjectBody[]> {
  const ids = projects.map((project) => project.id);
  const details = await parts.projects.details(ids);
  const roles = principal.kind === 'user' ? await parts.projects.rolesOf(principal.id, ids) : new Map<number, readonly number[]>();
  const registryIds = new Map(parts.sources.list().map((registry) => [registry.name, registry.id]));
  return projects.map((project) => {
    const isAdmin = principal.kind === 'user' && principal.isAdmin;
    const own = byPower([...(isAdmin ? [projectAdminRoleId] : []), ...(roles.get(project.id) ?? [])]);
    const registryId = project.kind === 'mirror' && project.registry !== undefined ? registryIds.get(project.registry) : undefined;
    const detail = details.get(project.id);
    return {
      project_id: project.id,
      name: project.name,
      ...(project.ownerId === undefined ? {} : { owner_id: project.ownerId }),
      owner_name: detail?.ownerName ?? '',
      metadata: presentMetadata(project, detail),
      creation_time: new Date(project.createdAtMs).toISOString(),
      update_time: new Date(project.updatedAtMs).toISOString(),
      deleted: false,
      togglable: decide(parts.access, principal, 'project:update', { kind: 'project', project }),
      ...(own[0] === undefined ? {} : { current_user_role_id: own[0] }),
      current_user_role_ids: own,
      ...(isDetailed ? { repo_count: detail?.repositoryCount ?? 0, cve_allowlist: presentAllowlist(project, detail) } : {}),
      ...(registryId === undefined ? {} : { registry_id: registryId }),
      kind: project.kind,
      ...(project.registry === undefined ? {} : { registry: project.registry }),
      allows_sparse: project.allowsSparse,
    };
  });
}

/** Harbor's words about a project, `public` first. */
export function presentMetadata(project: Project, details: ProjectDetails | undefined): ProjectBody['metadata'] {
  return { public: project.isPublic ? 'true' : 'false', ...Object.fromEntries(details?.metadata ?? []) };
}

function presentAllowlist(project: Project, details: ProjectDetails | undefined): NonNullable<ProjectBody['cve_allowlist']> {
  const kept = details?.cveAllowlist === undefined ? {} : (JSON.parse(details.cveAllowlist) as StoredAllowlist);
  return {
    id: project.id,
    project_id: project.id,
    items: kept.items ?? [],
    ...(kept.expires_at === undefined ? {} : { expires_at: kept.expires_at }),
    creation_time: new Date(project.createdAtMs).toISOString(),
    update_time: new Date(project.updatedAtMs).toISOString(),
  };
}

interface StoredAllowlist {
  readonly items?: readonly { cve_id: string }[];
  readonly expires_at?: number;
}

/** Each once, Harbor's five in the order of their power, custom ones behind them. */
function byPower(ids: readonly number[]): number[] {
  const rank = (id: number): number => {
    const index = builtinRoles.findIndex((role) => role.id === id);
    return index === -1 ? builtinRoles.length : index;
  };
  return [...new Set(ids)].sort((one, other) => rank(one) - rank(other) || one - other);
}
