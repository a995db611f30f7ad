// Roles that come with the server: Harbor's five project roles under its ids, the administrator and the auditor. Custom ones are rows with actions.
// One difference to Harbor is meant: its developer may edit retention rules, and so delete what it may not delete; ours may not.

import { type Action, type ProjectAction, projectActions, systemActions } from './actions.ts';

export interface Role {
  /** Harbor's `role_id`; custom roles begin at `customRoleIdMin`. */
  readonly id: number;
  /** Harbor's name of it. */
  readonly name: string;
  readonly actions: ReadonlySet<Action>;
}

const reading: readonly ProjectAction[] = [
  'project:read',
  'quota:read',
  'configuration:read',
  'repository:list',
  'repository:read',
  'repository:pull',
  'scan:read',
  'sbom:read',
  'scanner:read',
  'artifact:read',
  'artifact:list',
  'artifact-addition:read',
  'tag:list',
  'accessory:list',
];
const guest: readonly ProjectAction[] = [...reading, 'member:read', 'member:list', 'label:read', 'label:list', 'robot:read', 'robot:list'];
const developer: readonly ProjectAction[] = [
  ...guest,
  'repository:update',
  'repository:push',
  'artifact:create',
  'tag:create',
  'artifact-label:create',
  'artifact-label:delete',
  'export-cve:create',
  'export-cve:read',
  'export-cve:list',
  'tag-retention:read',
  'tag-retention:list',
];
const maintainer: readonly ProjectAction[] = [
  ...developer,
  'metadata:read',
  'metadata:list',
  'label:create',
  'label:update',
  'label:delete',
  'repository:delete',
  'artifact:delete',
  'tag:delete',
  'tag-retention:create',
  'tag-retention:update',
  'tag-retention:delete',
  'tag-retention:operate',
  'immutable-tag:create',
  'immutable-tag:update',
  'immutable-tag:delete',
  'immutable-tag:list',
  'notification-policy:read',
  'notification-policy:list',
  'scan:create',
  'scan:stop',
  'sbom:create',
  'sbom:stop',
];

export const projectAdminRoleId = 1;

/** By id, in the order of their power. */
export const builtinRoles: readonly Role[] = [
  { id: projectAdminRoleId, name: 'projectAdmin', actions: new Set(projectActions) },
  { id: 4, name: 'maintainer', actions: new Set(maintainer) },
  { id: 2, name: 'developer', actions: new Set(developer) },
  { id: 3, name: 'guest', actions: new Set(guest) },
  { id: 5, name: 'limitedGuest', actions: new Set(reading) },
];

/** What everybody may do in a public project, by the anonymous policy also without a login. */
export const publicActions: ReadonlySet<Action> = new Set<Action>([
  ...reading.filter((action) => action !== 'quota:read'),
  'label:read',
  'label:list',
]);

/** Everything. */
export const systemAdminActions: ReadonlySet<Action> = new Set<Action>([...projectActions, ...systemActions]);

/** The auditor reads everything but the content of images, and changes nothing. */
export const auditorActions: ReadonlySet<Action> = new Set([...systemAdminActions].filter((action) => /:(?:read|list)$/.test(action)));
