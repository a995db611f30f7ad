// Samples of the commands about accounts, groups, members and roles, and their lists, for the suite of query plans.

import type { Kysely } from 'kysely';
import { listAccounts, searchAccounts } from '../../src/db/accounts.ts';
import { listGroupMembers, listGroups, listProjectRoles } from '../../src/db/group-commands.ts';
import { listHeldRoles } from '../../src/db/identity.ts';
import { listMembers, readMember } from '../../src/db/member-commands.ts';
import { listGrantRules } from '../../src/db/role-commands.ts';
import type { Schema } from '../../src/db/schema.ts';
import { account } from './account-cases.ts';

export const peopleSamples = {
  addAccount: [account('plan'), account('plan')],
  changeAccount: [{ id: 2, change: { comment: 'c' } }],
  setAccountPassword: [{ id: 2, passwordHash: 'i', mustChangePassword: false }],
  setAccountFlags: [{ id: 2, flags: { isAdmin: true, isDisabled: true } }],
  rescueAccount: [
    { name: 'plan', passwordHash: 'j', mustChangePassword: true },
    { name: 'rescue', passwordHash: 'j', mustChangePassword: true },
  ],
  addRole: [{ name: 'r', description: '', actions: [] }],
  changeRole: [{ id: 100, name: 's', description: '', actions: [] }],
  addGroup: [
    { name: 'g', provider: 'local' },
    { name: 'g', provider: 'local', ifAbsent: true },
  ],
  renameGroup: [{ id: 1, name: 'h' }],
  addToGroup: [{ groupId: 1, accountId: 2 }],
  addMember: [
    { projectId: 1, holder: { kind: 'user' as const, id: 2 }, roleId: 100 },
    { projectId: 1, holder: { kind: 'group' as const, id: 1 }, roleId: 2 },
  ],
  changeMember: [{ projectId: 1, memberId: 1, roleId: 3 }],
  removeMember: [{ projectId: 1, memberId: 1 }],
  addGrantRule: [
    { holder: { kind: 'user' as const, id: 2 }, kind: 'projects' as const, pattern: 'a*', roleId: 100 },
    { holder: { kind: 'group' as const, id: 1 }, kind: 'system' as const, pattern: '', roleId: 100 },
  ],
  removeGrantRule: [{ id: 1 }],
  removeFromGroup: [{ groupId: 1, accountId: 2 }],
  deleteGroup: [{ id: 1 }],
  deleteRole: [{ id: 100 }],
  deleteAccount: [{ id: 2 }],
};

/** Lists that read no table from end to end and sort nothing. */
export function peopleLists(read: Kysely<Schema>): readonly (() => Promise<unknown>)[] {
  const reader = { read, dialect: 'sqlite' } as const;
  const page = { limit: 10, offset: 0 };
  return [
    () => listAccounts(reader, { ...page, order: [], conditions: [{ field: 'username', kind: 'exact', value: 'a' }] }),
    () => listMembers(reader, { projectId: 1, ...page }),
    () => listMembers(reader, { projectId: 1, namePart: 'a', ...page }),
    () => readMember(read, { projectId: 1, memberId: 1 }),
    () => listGroups(reader, { externalName: 'g', provider: 'local', ...page }),
    () => listGroupMembers(read, { groupId: 1, ...page }),
    () => listProjectRoles(read, 1),
    () => listHeldRoles(read, 1),
    () => listGrantRules(read, { holder: { kind: 'user', id: 1 }, ...page }),
    () => listGrantRules(read, { holder: { kind: 'group', id: 1 }, ...page }),
  ];
}

/** Lists that look at every account, by the index of names: a part of a name is asked for, or nothing. */
export function accountLists(read: Kysely<Schema>): readonly (() => Promise<unknown>)[] {
  const reader = { read, dialect: 'sqlite' } as const;
  const page = { limit: 10, offset: 0 };
  return [
    () => listAccounts(reader, { ...page, order: [], conditions: [] }),
    () => listAccounts(reader, { ...page, order: [], conditions: [{ field: 'username', kind: 'part', value: 'a' }] }),
    () => searchAccounts(reader, { namePart: 'a', ...page }),
  ];
}
