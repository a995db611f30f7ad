// Principals for tests.

import type { Action } from './actions.ts';
import { compileGrants, type Grant, noGrants } from './grants.ts';
import { adminGrants, type RobotPrincipal, type UserPrincipal } from './principal.ts';

export function testAdmin(id = 1, name = 'admin'): UserPrincipal {
  return { kind: 'user', id, name, isAdmin: true, grants: adminGrants, epoch: 0 };
}

/** A user without any rights, or with those of the grants. */
export function testUser(id = 2, name = 'somebody', grants: readonly Grant[] = []): UserPrincipal {
  return { kind: 'user', id, name, isAdmin: false, grants: grants.length === 0 ? noGrants : compileGrants(grants), epoch: 0 };
}

export function testRobot(grants: readonly Grant[], id = 5): RobotPrincipal {
  return { kind: 'robot', id, name: 'robot$test', grants: compileGrants(grants), epoch: 0 };
}

export function inProject(projectId: number, ...actions: readonly Action[]): Grant {
  return { where: { kind: 'project', projectId }, actions: new Set(actions) };
}
