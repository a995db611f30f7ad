// Nobody gives what they do not have: whether a principal holds all of some rights, there where they would hold. Who may set a password, add a
// member, change a role or make a robot asks here first.

import type { Project } from '../db/projects.ts';
import { type Action, isProjectAction, isSystemAction } from './actions.ts';
import type { Grant, GrantScope } from './grants.ts';
import type { Principal } from './principal.ts';

/** Whether the principal may itself do all of that in the project. Words that mean nothing in a project do not count. */
export function coversInProject(principal: Principal, project: Project, actions: Iterable<Action>): boolean {
  return covers(principal, [{ where: { kind: 'project', projectId: project.id }, actions: new Set(actions) }], project.name);
}

/** Whether the principal holds every one of these rights. `projectName` is of the project that a scope of kind `project` names, where it is known. */
export function covers(principal: Principal, wanted: readonly Grant[], projectName?: string): boolean {
  if (principal.kind === 'system' || (principal.kind === 'user' && principal.isAdmin)) return true;
  if (principal.kind === 'anonymous') return false;
  const { grants } = principal;
  const inAllProjects = (action: Action): boolean =>
    grants.grants.some(({ where, actions }) => (where.kind === 'everywhere' || where.kind === 'all-projects') && actions.has(action));
  const holds = (where: GrantScope, action: Action): boolean => {
    switch (where.kind) {
      case 'system':
        return !isSystemAction(action) || grants.allowsOnSystem(action);
      case 'everywhere':
        return (!isSystemAction(action) || grants.allowsOnSystem(action)) && (!isProjectAction(action) || inAllProjects(action));
      case 'all-projects':
        return !isProjectAction(action) || inAllProjects(action);
      case 'project': {
        const { projectId } = where;
        if (!isProjectAction(action) || inAllProjects(action)) return true;
        if (projectName !== undefined) return grants.allowsIn({ projectId, projectName }, action);
        return grants.grants.some(
          (grant) => grant.where.kind === 'project' && grant.where.projectId === projectId && grant.actions.has(action),
        );
      }
      case 'projects':
      case 'repositories':
        // One glob may lie within another; only the same one is taken to.
        return (
          !isProjectAction(action) ||
          inAllProjects(action) ||
          grants.grants.some((grant) => grant.where.kind === where.kind && grant.where.glob === where.glob && grant.actions.has(action))
        );
    }
  };
  return wanted.every(({ where, actions }) => [...actions].every((action) => holds(where, action)));
}
