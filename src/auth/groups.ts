// Groups: made by hand with members put in by hand, or known by an identity provider, which says at each login who is in. A group holds roles as a
// user does; who puts somebody into one gives all of them, and must hold them.

import { readAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { type GroupQuery, type GroupRecord, listGroupMembers, listGroups, listProjectRoles, readGroup } from '../db/group-commands.ts';
import { foldName, localProvider } from '../db/identity.ts';
import { listGrantRules, rulesPerHolderMax } from '../db/role-commands.ts';
import { OciError } from '../oci/errors.ts';
import { requirePlainName } from './account-names.ts';
import { covers } from './coverage.ts';
import { type CustomRoles, ruleScope } from './custom-roles.ts';
import type { Grant } from './grants.ts';
import { normalizeDn } from './ldap-dn.ts';
import type { Principal } from './principal.ts';
import type { Principals } from './principals.ts';

export type GroupKind = 'ldap' | 'oidc' | 'local';
export interface Group extends GroupRecord {
  readonly kind: GroupKind;
}
/** A provider that has groups. */
export interface GroupProvider {
  readonly name: string;
  readonly kind: 'ldap' | 'oidc';
}
/** A group by its id, or as its provider names it: it is made when it is not known yet. */
export type GroupReference = { readonly id: number } | GroupWish;
export interface GroupWish {
  readonly kind: GroupKind;
  readonly name?: string;
  /** Needed where several providers of the kind exist. */
  readonly provider?: string;
  /** The DN of an LDAP group. */
  readonly dn?: string;
}

export interface Groups {
  /** `dn`: exactly this one, however it is written. */
  list(query: Omit<GroupQuery, 'externalName'> & { dn?: string }): Promise<{ groups: Group[]; count: number }>;
  read(id: number): Promise<Group | undefined>;
  /** BAD_REQUEST for a name or DN that is none and a provider that is not clear, CONFLICT when it is known already. */
  create(wish: GroupWish): Promise<Group>;
  /** NOT_FOUND, CONFLICT, BAD_REQUEST. */
  rename(id: number, name: string): Promise<Group>;
  /** DENIED when it holds rights the actor lacks; NOT_FOUND. */
  remove(actor: Principal, id: number): Promise<void>;
  members(query: { groupId: number; limit: number; offset: number }): Promise<{ accounts: { id: number; name: string }[]; count: number }>;
  /** DENIED when the group holds rights the actor lacks; NOT_FOUND; CONFLICT for a provider's group, and when the user is in already. */
  addMember(actor: Principal, groupId: number, accountId: number): Promise<void>;
  removeMember(actor: Principal, groupId: number, accountId: number): Promise<void>;
  /** The id of a group, made when a provider's one is not known yet. NOT_FOUND, BAD_REQUEST. */
  resolve(reference: GroupReference): Promise<number>;
}

const dnMaxLength = 1024;

export function createGroups(options: {
  database: Database;
  principals: Principals;
  roles: CustomRoles;
  providers: () => Promise<readonly GroupProvider[]>;
}): Groups {
  const { database, principals, roles } = options;

  const withKind = async (groups: readonly GroupRecord[]): Promise<Group[]> => {
    const kinds = new Map((await options.providers()).map((provider) => [provider.name, provider.kind]));
    return groups.map((group) => ({ ...group, kind: kinds.get(group.provider) ?? kindBefore(group) }));
  };
  const read = async (id: number): Promise<Group | undefined> => {
    const group = await readGroup(database.read, id);
    return group === undefined ? undefined : (await withKind([group]))[0];
  };
  const need = async (id: number): Promise<Group> => {
    const group = await read(id);
    if (group === undefined) throw new OciError('NOT_FOUND', 'there is no such group');
    return group;
  };
  const providerOf = async (kind: 'ldap' | 'oidc', name: string | undefined): Promise<string> => {
    const known = (await options.providers()).filter((provider) => provider.kind === kind);
    const [first, ...more] = name === undefined ? known : known.filter((provider) => provider.name === name);
    const names = known.map((provider) => provider.name).join(', ');
    if (first === undefined)
      throw new OciError('BAD_REQUEST', `there is no identity provider for ${kind} groups${name === undefined ? '' : ` named ${name}`}`);
    if (more.length > 0) throw new OciError('BAD_REQUEST', `provider: say which one this group is of: ${names}`);
    return first.name;
  };
  const toRow = async (wish: GroupWish): Promise<{ name: string; provider: string; externalName?: string }> => {
    if (wish.kind === 'local') {
      if (wish.dn !== undefined) throw new OciError('BAD_REQUEST', 'ldap_group_dn: only an LDAP group (group_type 1) has one');
      return { name: requirePlainName(wish.name ?? '', 'group_name'), provider: localProvider };
    }
    const provider = await providerOf(wish.kind, wish.provider);
    if (wish.kind === 'oidc') {
      const name = requirePlainName(wish.name ?? '', 'group_name');
      return { name, provider, externalName: name };
    }
    if (wish.dn === undefined || wish.dn.length > dnMaxLength)
      throw new OciError('BAD_REQUEST', 'ldap_group_dn is needed: the DN of the group');
    const externalName = normalizeDn(wish.dn);
    if (externalName === undefined || externalName === '')
      throw new OciError('BAD_REQUEST', 'ldap_group_dn is no DN; expected such as cn=team,ou=groups,dc=example,dc=org');
    return { name: requirePlainName(wish.name ?? wish.dn.slice(0, 255), 'group_name'), provider, externalName };
  };
  const requirePower = async (actor: Principal, id: number): Promise<void> => {
    if (!covers(actor, await grantsOf(id)))
      throw new OciError('DENIED', 'this group has rights that you do not have; an administrator must do this');
  };
  /** What its members get. */
  const grantsOf = async (id: number): Promise<Grant[]> => {
    const { rules } = await listGrantRules(database.read, { holder: { kind: 'group', id }, limit: rulesPerHolderMax, offset: 0 });
    const known = new Map((await roles.list()).map((role) => [role.id, role.actions]));
    const actionsOf = (roleId: number) => known.get(roleId) ?? new Set<never>();
    return [
      ...rules.map((rule) => ({ where: ruleScope(rule), actions: actionsOf(rule.roleId) })),
      ...(await listProjectRoles(database.read, id)).map(({ projectId, roleId }) => ({
        where: { kind: 'project' as const, projectId },
        actions: actionsOf(roleId),
      })),
    ];
  };

  return {
    read,
    list: async ({ dn, ...query }) => {
      const externalName = dn === undefined ? undefined : normalizeDn(dn);
      if (dn !== undefined && externalName === undefined) return { groups: [], count: 0 };
      const { groups, count } = await listGroups(database, { ...query, ...(externalName === undefined ? {} : { externalName }) });
      return { groups: await withKind(groups), count };
    },
    create: async (wish) => need(await database.run('addGroup', await toRow(wish))),
    rename: async (id, name) => {
      await database.run('renameGroup', { id, name: requirePlainName(name, 'group_name') });
      return need(id);
    },
    remove: async (actor, id) => {
      await need(id);
      await requirePower(actor, id);
      await database.run('deleteGroup', { id });
      principals.forget();
    },
    members: (query) => listGroupMembers(database.read, query),
    addMember: async (actor, groupId, accountId) => {
      await need(groupId);
      await requirePower(actor, groupId);
      if ((await readAccount(database.read, accountId)) === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
      await database.run('addToGroup', { groupId, accountId });
      principals.forget();
    },
    removeMember: async (actor, groupId, accountId) => {
      await need(groupId);
      await requirePower(actor, groupId);
      await database.run('removeFromGroup', { groupId, accountId });
      principals.forget();
    },
    resolve: async (reference) => {
      if ('id' in reference) return (await need(reference.id)).id;
      const row = await toRow(reference);
      if (row.provider !== localProvider) return database.run('addGroup', { ...row, ifAbsent: true });
      const { groups } = await listGroups(database, { externalName: foldName(row.name), provider: localProvider, limit: 1, offset: 0 });
      const [found] = groups;
      if (found === undefined) throw new OciError('NOT_FOUND', 'there is no such group');
      return found.id;
    },
  };
}

/** A group of a provider that is gone: a DN looks like one. */
function kindBefore(group: GroupRecord): GroupKind {
  if (group.provider === localProvider) return 'local';
  return /^[a-z][\w-]*=/i.test(group.externalName) ? 'ldap' : 'oidc';
}
