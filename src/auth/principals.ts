// From a key (`user:3`, `robot:7`) to the principal with what it holds now. Every request of a token or a session asks: what was found is
// remembered for a second, so a right that was taken away is gone a second later, on every server of the database.

import type { Database } from '../db/database.ts';
import { type Account, type HeldRole, listCustomRoles, listHeldRoles, prepareAccountQuery } from '../db/identity.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { type Action, isProjectAction, isSystemAction } from './actions.ts';
import { compileGrants, type Grant, type GrantScope } from './grants.ts';
import { adminGrants, anonymous, type Principal, type UserPrincipal } from './principal.ts';
import { auditorActions, builtinRoles } from './roles.ts';

const rememberMs = 1000;
const principalsMax = 10_000;

export interface Principals {
  /** Undefined when there is no such principal, or when it is switched off or has expired. */
  byKey(key: string): Promise<Principal | undefined>;
  /** The principal of an account that was just read. */
  ofAccount(account: Account): Promise<UserPrincipal>;
  /** Rights or accounts were changed here: everything is read anew. */
  forget(): void;
}

/** Finds principals of one more kind: those whose keys begin with `prefix` and a colon. */
export interface PrincipalSource {
  readonly prefix: string;
  find(key: string): Promise<Principal | undefined>;
}

export function createPrincipals(options: { database: Database; clock: Clock; sources?: readonly PrincipalSource[] }): Principals {
  const { database, clock, sources = [] } = options;
  const account = prepareAccountQuery(database);
  const remembered = createLru<string, { readonly principal: Principal; readonly untilMs: number }>({ maxEntries: principalsMax });
  let customRoles: { readonly byId: ReadonlyMap<number, ReadonlySet<Action>>; readonly untilMs: number } | undefined;
  let changes = 0;

  const actionsOf = async (): Promise<(roleId: number) => ReadonlySet<Action>> => {
    if (customRoles === undefined || customRoles.untilMs <= clock.monotonicMs()) {
      const before = changes;
      const byId = new Map<number, ReadonlySet<Action>>(builtinRoles.map((role) => [role.id, role.actions]));
      for (const role of await listCustomRoles(database.read)) byId.set(role.id, new Set(role.actions.filter(isAction)));
      const read = { byId, untilMs: clock.monotonicMs() + rememberMs };
      if (before === changes) customRoles = read;
      return (roleId) => byId.get(roleId) ?? noActions;
    }
    const { byId } = customRoles;
    return (roleId) => byId.get(roleId) ?? noActions;
  };

  const ofAccount = async (found: Account): Promise<UserPrincipal> => ({
    kind: 'user',
    id: found.id,
    name: found.name,
    isAdmin: found.isAdmin,
    grants: found.isAdmin
      ? adminGrants
      : compileGrants([
          ...(found.isAuditor ? [{ where: { kind: 'everywhere' } as const, actions: auditorActions }] : []),
          ...grantsOf(await listHeldRoles(database.read, found.id), await actionsOf()),
        ]),
    epoch: found.epoch,
    ...(found.mustChangePassword ? { mustChangePassword: true } : {}),
  });

  const find = async (key: string): Promise<Principal | undefined> => {
    if (key === 'anonymous') return anonymous;
    if (key.startsWith('user:')) {
      const found = await account(Number(key.slice(5)));
      return found === undefined || found.isDisabled ? undefined : ofAccount(found);
    }
    return sources.find((source) => key.startsWith(`${source.prefix}:`))?.find(key);
  };

  return {
    ofAccount,
    byKey: async (key) => {
      const known = remembered.get(key);
      const nowMs = clock.monotonicMs();
      if (known !== undefined && known.untilMs > nowMs) return known.principal;
      const before = changes;
      const principal = await find(key);
      if (principal === undefined) remembered.delete(key);
      // What was read before a change may be what the change replaced.
      else if (before === changes) remembered.set(key, { principal, untilMs: nowMs + rememberMs });
      return principal;
    },
    forget: () => {
      changes++;
      customRoles = undefined;
      remembered.clear();
    },
  };
}

const noActions: ReadonlySet<Action> = new Set();

function isAction(text: string): text is Action {
  return isProjectAction(text) || isSystemAction(text);
}

function grantsOf(held: readonly HeldRole[], actionsOf: (roleId: number) => ReadonlySet<Action>): Grant[] {
  return held.map((role) => ({ where: scopeOf(role), actions: actionsOf(role.roleId) }));
}

function scopeOf(role: HeldRole): GrantScope {
  switch (role.kind) {
    case 'project':
      return { kind: 'project', projectId: role.projectId ?? -1 };
    case 'projects':
    case 'repositories':
      return { kind: role.kind, glob: role.pattern };
    case 'system':
    case 'everywhere':
    case 'all-projects':
      return { kind: role.kind };
  }
}
