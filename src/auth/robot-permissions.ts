// A robot's rights in Harbor's words (`kind`, `namespace`, `access`) and as grants. Names of projects become ids here, at the time of writing: a
// project made anew under an old name is not opened. Beyond Harbor, a namespace may be a glob: `team-*` for projects, `team-a/ci/**` for
// repositories. It must never decide who may give a right away: `findExcess` only says what somebody does not hold.

import type { Project } from '../db/projects.ts';
import type { StoredGrant } from '../db/robots.ts';
import { createGlob } from '../lib/glob.ts';
import { OciError } from '../oci/errors.ts';
import { type Action, isProjectAction, isSystemAction, projectActions, systemActions } from './actions.ts';
import { compileGrants, type Grant, type GrantSet } from './grants.ts';
import type { Principal } from './principal.ts';

export interface AccessWord {
  readonly resource: string;
  readonly action: string;
  /** Only `allow`, which is also what is meant without it. */
  readonly effect?: string | undefined;
}
export interface PermissionWords {
  readonly kind: string;
  /** `/`: the server; `*`: all projects; a project's name; or a glob. */
  readonly namespace: string;
  readonly access: readonly AccessWord[];
}

const permissionsMax = 500;
const systemNamespace = '/';
const everyProject = '*';

/**
 * Permissions as grants. BAD_REQUEST, saying what is wrong, for what is not understood; NAME_UNKNOWN for a project that `findProject` does not
 * give (it gives only what the caller may know of).
 */
export async function resolvePermissions(
  permissions: readonly PermissionWords[],
  findProject: (name: string) => Promise<Project | undefined>,
): Promise<StoredGrant[]> {
  if (permissions.length === 0) throw new OciError('BAD_REQUEST', 'permissions: at least one is needed');
  if (permissions.length > permissionsMax) throw new OciError('BAD_REQUEST', `permissions: at most ${permissionsMax} are possible`);
  const grants: StoredGrant[] = [];
  for (const permission of permissions) {
    grants.push({ where: await resolveScope(permission, findProject), actions: readActions(permission) });
  }
  return grants;
}

/** Grants in Harbor's words; what names a project that is gone is left out. */
export function describeGrants(grants: readonly StoredGrant[], projectNames: ReadonlyMap<number, string>): PermissionWords[] {
  return grants.flatMap(({ where, actions }) => {
    const kind = where.kind === 'system' ? 'system' : 'project';
    const namespace = namespaceOf(where, projectNames);
    if (namespace === undefined) return [];
    return [{ kind, namespace, access: actions.map(splitAction) }];
  });
}

/** Ids of the projects that grants name. */
export function projectIdsOf(grants: readonly StoredGrant[]): number[] {
  return grants.flatMap(({ where }) => (where.kind === 'project' ? [where.projectId] : []));
}

/** What is stored, as what is asked; actions that this program does not know give nothing. */
export function toGrantSet(stored: readonly StoredGrant[]): GrantSet {
  return compileGrants(stored.map(toGrant));
}

/**
 * The first right among `wanted` that the holder does not have, in words; undefined when it has them all. A glob is held by who holds the
 * right in all projects, or by the same glob.
 */
export function findExcess(
  holder: Principal,
  wanted: readonly StoredGrant[],
  projectNames: ReadonlyMap<number, string>,
): string | undefined {
  if (holder.kind === 'system' || (holder.kind === 'user' && holder.isAdmin)) return undefined;
  for (const { where, actions } of wanted) {
    const lacking = actions.find((action) => holder.kind === 'anonymous' || !holds(holder.grants, where, action as Action, projectNames));
    if (lacking !== undefined) return `${lacking} in ${namespaceOf(where, projectNames) ?? 'a project that is gone'}`;
  }
  return undefined;
}

function holds(held: GrantSet, where: StoredGrant['where'], action: Action, projectNames: ReadonlyMap<number, string>): boolean {
  switch (where.kind) {
    case 'system':
      return held.allowsOnSystem(action);
    case 'project': {
      const projectName = projectNames.get(where.projectId);
      return projectName !== undefined && held.allowsIn({ projectId: where.projectId, projectName }, action);
    }
    default: {
      const inAllProjects = held.grants.some(
        (grant) => (grant.where.kind === 'everywhere' || grant.where.kind === 'all-projects') && grant.actions.has(action),
      );
      if (inAllProjects || where.kind === 'all-projects') return inAllProjects;
      const project = literalProject(where);
      if (project !== undefined) {
        const known = [...projectNames].find(([, name]) => name === project);
        if (known !== undefined && held.allowsIn({ projectId: known[0], projectName: project }, action)) return true;
      }
      return held.grants.some(
        (grant) => 'glob' in grant.where && grant.where.kind === where.kind && grant.where.glob === where.glob && grant.actions.has(action),
      );
    }
  }
}

/** The project that all repositories of a glob are in, when its first segment has no wildcard. */
export function literalProject(where: StoredGrant['where']): string | undefined {
  if (where.kind !== 'repositories') return undefined;
  const [first = ''] = where.glob.split('/', 1);
  return first === '' || isGlob(first) ? undefined : first;
}

async function resolveScope(
  { kind, namespace }: PermissionWords,
  findProject: (name: string) => Promise<Project | undefined>,
): Promise<StoredGrant['where']> {
  if (kind === 'system') {
    if (namespace === systemNamespace) return { kind: 'system' };
    throw new OciError('BAD_REQUEST', `permissions: the namespace of kind system is "/", not "${namespace}"`);
  }
  if (kind !== 'project') throw new OciError('BAD_REQUEST', `permissions: the kind is system or project, not "${kind}"`);
  if (namespace === everyProject) return { kind: 'all-projects' };
  if (isGlob(namespace)) {
    if (createGlob(namespace) === undefined) throw new OciError('BAD_REQUEST', `permissions: "${namespace}" is no pattern`);
    return { kind: namespace.includes('/') || namespace.includes('**') ? 'repositories' : 'projects', glob: namespace };
  }
  const project = await findProject(namespace);
  if (project === undefined) throw new OciError('NAME_UNKNOWN', `there is no project named ${namespace}`);
  return { kind: 'project', projectId: project.id };
}

function readActions({ kind, namespace, access }: PermissionWords): string[] {
  if (access.length === 0) throw new OciError('BAD_REQUEST', `permissions: "${namespace}" has no access; name at least one`);
  const isKnown = kind === 'system' ? isSystemAction : isProjectAction;
  const actions = access.map(({ resource, action, effect }) => {
    if (effect !== undefined && effect !== '' && effect !== 'allow')
      throw new OciError('BAD_REQUEST', `permissions: the effect "${effect}" is not possible; rights are only given`);
    const word = `${resource}:${action}`;
    if (isKnown(word)) return word;
    const all: readonly string[] = kind === 'system' ? systemActions : projectActions;
    const ofResource = all.filter((known) => known.startsWith(`${resource}:`)).map((known) => known.slice(resource.length + 1));
    const hint =
      ofResource.length > 0
        ? `of "${resource}" there are: ${ofResource.join(', ')}`
        : `resources of kind ${kind} are: ${[...new Set(all.map((known) => known.split(':')[0]))].join(', ')}`;
    throw new OciError('BAD_REQUEST', `permissions: there is no right "${word}" of kind ${kind}; ${hint}`);
  });
  return [...new Set(actions)];
}

function toGrant({ where, actions }: StoredGrant): Grant {
  const isKnown = where.kind === 'system' ? isSystemAction : isProjectAction;
  return { where, actions: new Set<Action>(actions.filter((action): action is Action => isKnown(action))) };
}

function namespaceOf(where: StoredGrant['where'], projectNames: ReadonlyMap<number, string>): string | undefined {
  switch (where.kind) {
    case 'system':
      return systemNamespace;
    case 'all-projects':
      return everyProject;
    case 'project':
      return projectNames.get(where.projectId);
    default:
      return where.glob;
  }
}

function splitAction(word: string): AccessWord {
  const [resource = '', action = ''] = word.split(':');
  return { resource, action, effect: 'allow' };
}

function isGlob(text: string): boolean {
  return /[*?{}]/.test(text);
}
