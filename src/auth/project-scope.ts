// Which projects somebody may see in a list: rights as a condition that the database applies before it counts. It must agree with `decide`, which
// says the same about one project; a test compares the two.

import type { ProjectScope } from '../db/project-lists.ts';
import type { Project } from '../db/projects.ts';
import { type AccessPolicy, decide } from './access.ts';
import type { Action } from './actions.ts';
import type { Principal } from './principal.ts';
import { publicActions } from './roles.ts';

/** The projects in which the principal may do this. `listAll` gives every project, and is asked only when a right is given by a glob. */
export async function projectScope(
  policy: AccessPolicy,
  principal: Principal,
  action: Action,
  listAll: () => Promise<readonly Project[]>,
): Promise<ProjectScope> {
  if (principal.kind === 'system' || (principal.kind === 'user' && principal.isAdmin)) return 'all';
  const isPublicAction = publicActions.has(action);
  const mayIn = (project: Project): boolean => decide(policy, principal, action, { kind: 'project', project });
  if (principal.kind === 'anonymous') {
    if (!isPublicAction || !policy.anonymousPull) return { publicToo: false, ids: [] };
    if (policy.allowsAnonymous === undefined) return { publicToo: true, ids: [] };
    return { publicToo: false, ids: (await listAll()).filter(mayIn).map((project) => project.id) };
  }
  const holding = principal.grants.grants.filter((grant) => grant.actions.has(action));
  if (holding.some(({ where }) => where.kind === 'everywhere' || where.kind === 'all-projects')) return 'all';
  if (holding.some(({ where }) => where.kind === 'projects'))
    return { publicToo: isPublicAction, ids: (await listAll()).filter(mayIn).map((project) => project.id) };
  return { publicToo: isPublicAction, ids: holding.flatMap(({ where }) => (where.kind === 'project' ? [where.projectId] : [])) };
}
