// Roles as data, beside those that come with the server, and rules that give a role elsewhere than in one project. Who makes a role or a rule must
// hold what it gives, everywhere it gives it.

import type { Database } from '../db/database.ts';
import type { Holder } from '../db/member-commands.ts';
import { listGrantRules, listRoles, type RoleRecord, type RuleKind, type RuleRecord, readGrantRule } from '../db/role-commands.ts';
import { createGlob } from '../lib/glob.ts';
import { OciError } from '../oci/errors.ts';
import { requirePlainName } from './account-names.ts';
import { type Action, isProjectAction, isSystemAction } from './actions.ts';
import { covers } from './coverage.ts';
import type { Grant, GrantScope } from './grants.ts';
import type { Principal } from './principal.ts';
import type { Principals } from './principals.ts';
import { builtinRoles, type Role } from './roles.ts';

export interface DescribedRole extends Role {
  readonly description: string;
  readonly isBuiltin: boolean;
}
export interface RoleWish {
  readonly name: string;
  readonly description?: string;
  readonly actions: readonly string[];
}
export interface RuleWish {
  readonly holder: Holder;
  readonly kind: RuleKind;
  readonly pattern?: string;
  readonly roleId: number;
}
export interface Rule extends RuleRecord {
  readonly roleName: string;
}

export interface CustomRoles {
  /** Those that come with the server first. */
  list(): Promise<DescribedRole[]>;
  read(id: number): Promise<DescribedRole | undefined>;
  /** BAD_REQUEST for a name or an action that is none, CONFLICT, DENIED for rights the actor lacks. */
  create(actor: Principal, wish: RoleWish): Promise<DescribedRole>;
  /** As `create`; NOT_FOUND; CONFLICT for one that comes with the server. Who holds it has the new rights within a second. */
  change(actor: Principal, id: number, wish: RoleWish): Promise<DescribedRole>;
  /** NOT_FOUND; CONFLICT while somebody holds it, and for one that comes with the server. */
  remove(id: number): Promise<void>;
  rules(query: { holder?: Holder; limit: number; offset: number }): Promise<{ rules: Rule[]; count: number }>;
  readRule(id: number): Promise<Rule | undefined>;
  /** BAD_REQUEST for a pattern that is none, NOT_FOUND, CONFLICT for a rule that is there, DENIED for rights the actor lacks. */
  addRule(actor: Principal, wish: RuleWish): Promise<Rule>;
  /** NOT_FOUND, DENIED. */
  removeRule(actor: Principal, id: number): Promise<void>;
}

export function createCustomRoles({ database, principals }: { database: Database; principals: Principals }): CustomRoles {
  const list = async (): Promise<DescribedRole[]> => [...builtin, ...(await listRoles(database.read)).map(toRole)];
  const read = async (id: number): Promise<DescribedRole | undefined> =>
    builtin.find((role) => role.id === id) ?? (await list()).find((role) => role.id === id);
  const need = async (id: number): Promise<DescribedRole> => {
    const role = await read(id);
    if (role === undefined) throw new OciError('NOT_FOUND', `there is no role ${id}`);
    return role;
  };
  const needCustom = async (id: number): Promise<DescribedRole> => {
    const role = await need(id);
    if (role.isBuiltin) throw new OciError('CONFLICT', `${role.name} comes with the server and stays as it is; make a role of your own`);
    return role;
  };
  const checked = (actor: Principal, wish: RoleWish): Omit<RoleRecord, 'id'> => {
    const name = requirePlainName(wish.name, 'name');
    if (builtin.some((role) => role.name.toLowerCase() === name.toLowerCase()))
      throw new OciError('CONFLICT', `${name} is the name of a role that comes with the server`);
    const actions = [...new Set(wish.actions)].map(requireAction).sort();
    if (actions.length === 0) throw new OciError('BAD_REQUEST', 'actions: name at least one');
    requireCover(actor, [{ where: { kind: 'everywhere' }, actions: new Set(actions) }]);
    return { name, description: wish.description ?? '', actions };
  };
  const withRole = async (rule: RuleRecord): Promise<Rule> => ({ ...rule, roleName: (await read(rule.roleId))?.name ?? '' });
  const needRule = async (id: number): Promise<Rule> => {
    const rule = await readGrantRule(database.read, id);
    if (rule === undefined) throw new OciError('NOT_FOUND', 'there is no such rule');
    return withRole(rule);
  };

  return {
    list,
    read,
    create: async (actor, wish) => {
      const id = await database.run('addRole', checked(actor, wish));
      principals.forget();
      return need(id);
    },
    change: async (actor, id, wish) => {
      const before = await needCustom(id);
      requireCover(actor, [{ where: { kind: 'everywhere' }, actions: before.actions }]);
      await database.run('changeRole', { id, ...checked(actor, wish) });
      principals.forget();
      return need(id);
    },
    remove: async (id) => {
      await needCustom(id);
      await database.run('deleteRole', { id });
      principals.forget();
    },
    rules: async (query) => {
      const { rules, count } = await listGrantRules(database.read, query);
      const names = new Map((await list()).map((role) => [role.id, role.name]));
      return { rules: rules.map((rule) => ({ ...rule, roleName: names.get(rule.roleId) ?? '' })), count };
    },
    readRule: async (id) => {
      const rule = await readGrantRule(database.read, id);
      return rule === undefined ? undefined : withRole(rule);
    },
    addRule: async (actor, wish) => {
      const role = await need(wish.roleId);
      const where = ruleScope(wish);
      requireCover(actor, [{ where, actions: role.actions }]);
      const pattern = 'glob' in where ? where.glob : '';
      const id = await database.run('addGrantRule', { holder: wish.holder, kind: wish.kind, pattern, roleId: wish.roleId });
      principals.forget();
      return needRule(id);
    },
    removeRule: async (actor, id) => {
      const rule = await needRule(id);
      const role = await read(rule.roleId);
      requireCover(actor, [{ where: ruleScope(rule), actions: role?.actions ?? new Set() }]);
      await database.run('removeGrantRule', { id });
      principals.forget();
    },
  };
}

const builtin: readonly DescribedRole[] = builtinRoles.map((role) => ({ ...role, description: '', isBuiltin: true }));

function toRole(row: RoleRecord): DescribedRole {
  return { ...row, actions: new Set(row.actions.filter(isAction)), isBuiltin: false };
}

function isAction(text: string): text is Action {
  return isProjectAction(text) || isSystemAction(text);
}

function requireAction(text: string): Action {
  if (!isAction(text))
    throw new OciError('BAD_REQUEST', `actions: ${JSON.stringify(text.slice(0, 60))} is not an action; /permissions lists them`);
  return text;
}

function requireCover(actor: Principal, grants: readonly Grant[]): void {
  if (!covers(actor, grants)) throw new OciError('DENIED', 'this gives rights that you do not have');
}

/** Where a rule holds. BAD_REQUEST for a pattern that is none, or is given where none belongs. */
export function ruleScope({ kind, pattern = '' }: { kind: RuleKind; pattern?: string }): GrantScope {
  switch (kind) {
    case 'projects':
    case 'repositories':
      if (createGlob(pattern) === undefined)
        throw new OciError('BAD_REQUEST', 'pattern: names with *, ?, ** and {a,b} are expected, such as team-* or team-a/ci/**');
      return { kind, glob: pattern };
    default:
      if (pattern !== '') throw new OciError('BAD_REQUEST', `pattern: ${kind} takes none`);
      return { kind };
  }
}
