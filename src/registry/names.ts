// Names and routing (design section 4): which project and repository a requested name means, and where its content may come from.
// An explicit registry means that registry's mirror and never local content; without one the local namespace is asked, then the root
// registry. Registries are looked up among configured ones only: nothing a client writes makes the server dial anywhere else.

import type { RepositoryTarget } from '../auth/access.ts';
import type { Project, ProjectQueries } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { type RepositoryName, requireRepositoryName } from '../oci/reference.ts';

export interface NameRules {
  readonly projects: ProjectQueries;
  /** Names of registries that have sources. */
  readonly registries: ReadonlySet<string>;
  /** The registry behind names whose first segment is no project; undefined switches that off. */
  readonly rootRegistry: string | undefined;
  /** Why the egress policy forbids a registry; undefined when it does not. Absent: it forbids none. */
  readonly egressRefusal?: (registry: string) => string | undefined;
}

const dockerHubNames: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com', 'docker.com']);

/** `docker.io` under its many names; others as they are. */
export function canonicalRegistry(registry: string): string {
  return dockerHubNames.has(registry) ? 'docker.io' : registry;
}

/** A repository as its registry names it: Docker Hub's short names stand for `library/...`. */
function upstreamName(registry: string, repository: string): RepositoryName {
  const full = registry === 'docker.io' && !repository.includes('/') ? `library/${repository}` : repository;
  return requireRepositoryName(full);
}

/**
 * What a requested name means. Gives undefined when it means nothing here: no project of that name and no root registry.
 * Throws DENIED for a registry that is not configured or that the egress policy forbids, NAME_INVALID for a mirror name without a repository.
 */
export async function resolveName(
  rules: NameRules,
  name: RepositoryName,
  registry: string | undefined,
): Promise<RepositoryTarget | undefined> {
  if (registry !== undefined) {
    const asked = canonicalRegistry(registry);
    requireEgress(rules, asked);
    const target = await mirrorTarget(rules, asked, withoutRegistry(name, asked));
    if (target === undefined) throw new OciError('DENIED', `the registry ${registry.slice(0, 100)} is not configured here`);
    return target;
  }
  const slash = name.indexOf('/');
  const project = await rules.projects.byName(slash === -1 ? name : name.slice(0, slash));
  if (project !== undefined && slash !== -1) return projectTarget(rules, project, name, name.slice(slash + 1));
  const alias = slash === -1 ? '' : name.slice(0, slash);
  if (canonicalRegistry(alias) !== alias) return resolveName(rules, requireRepositoryName(name.slice(slash + 1)), alias);
  if (rules.rootRegistry === undefined) return undefined;
  requireEgress(rules, rules.rootRegistry);
  return mirrorTarget(rules, rules.rootRegistry, name);
}

/** An overlay is not asked: what was pushed there stays, and the outbound guard keeps the rest from being fetched. */
function requireEgress(rules: NameRules, registry: string): void {
  const refusal = rules.egressRefusal?.(registry);
  if (refusal !== undefined) throw new OciError('DENIED', `egress policy: ${refusal}`);
}

/** containerd with `override_path` names the registry twice: `/v2/docker.io/library/x?ns=docker.io`. */
function withoutRegistry(name: string, registry: string): string {
  const slash = name.indexOf('/');
  return slash !== -1 && canonicalRegistry(name.slice(0, slash)) === registry ? name.slice(slash + 1) : name;
}

async function projectTarget(rules: NameRules, project: Project, name: RepositoryName, rest: string): Promise<RepositoryTarget> {
  const { registry } = project;
  if (project.kind === 'local' || registry === undefined) return { project, name };
  if (project.kind === 'mirror') {
    requireEgress(rules, registry);
    return mirrorOfProject(project, registry, rest);
  }
  const fallback = await mirrorTarget(rules, registry, name);
  return fallback === undefined ? { project, name } : { project, name, fallback };
}

async function mirrorTarget(rules: NameRules, registry: string, repository: string): Promise<RepositoryTarget | undefined> {
  if (!rules.registries.has(registry)) return undefined;
  const project = await rules.projects.mirrorOf(registry);
  return project === undefined ? undefined : mirrorOfProject(project, registry, repository);
}

function mirrorOfProject(project: Project, registry: string, repository: string): RepositoryTarget {
  const upstream = upstreamName(registry, repository);
  return { project, name: requireRepositoryName(`${project.name}/${upstream}`), upstream: { registry, repository: upstream } };
}
