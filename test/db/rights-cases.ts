// The contract on members, groups, custom roles and rules.

import { describe, expect, test } from 'bun:test';
import { listGroupMembers, listGroups, listProjectRoles, readGroup } from '../../src/db/group-commands.ts';
import { listHeldRoles } from '../../src/db/identity.ts';
import { listMembers, readMember } from '../../src/db/member-commands.ts';
import { listGrantRules, listRoles, readGrantRule } from '../../src/db/role-commands.ts';
import { account } from './account-cases.ts';
import { type Fixture, outcome } from './fixture.ts';

const absentId = 987_654;

export function rightsCases(now: () => Fixture): void {
  describe('members', () => {
    test('a user and a group are members once each, with one role, in the order they came', async () => {
      const { database } = now();
      const { id: projectId } = await database.run('createProject', { name: 'team', kind: 'local', isPublic: false });
      const userId = await database.run('addAccount', account('Member'));
      const groupId = await database.run('addGroup', { name: 'Members', provider: 'local' });
      const first = await database.run('addMember', { projectId, holder: { kind: 'user', id: userId }, roleId: 2 });
      const second = await database.run('addMember', { projectId, holder: { kind: 'group', id: groupId }, roleId: 3 });
      expect(await outcome(database.run('addMember', { projectId, holder: { kind: 'user', id: userId }, roleId: 3 }))).toBe('CONFLICT');
      expect(await outcome(database.run('addMember', { projectId, holder: { kind: 'group', id: groupId }, roleId: 3 }))).toBe('CONFLICT');
      const { members, count } = await listMembers(database, { projectId, limit: 10, offset: 0 });
      expect([count, members]).toEqual([
        2,
        [
          { id: first, projectId, holder: { kind: 'user', id: userId }, name: 'Member', roleId: 2 },
          { id: second, projectId, holder: { kind: 'group', id: groupId }, name: 'Members', roleId: 3 },
        ],
      ]);
      expect((await listMembers(database, { projectId, namePart: 'MEMBERS', limit: 10, offset: 0 })).members).toHaveLength(1);
      expect((await listMembers(database, { projectId, limit: 1, offset: 1 })).members.map(({ id }) => id)).toEqual([second]);
      await database.run('changeMember', { projectId, memberId: first, roleId: 4 });
      expect((await readMember(database.read, { projectId, memberId: first }))?.roleId).toBe(4);
      await database.run('removeMember', { projectId, memberId: first });
      expect(await readMember(database.read, { projectId, memberId: first })).toBeUndefined();
    });

    test('another project has no part in it, and what is absent is NOT_FOUND', async () => {
      const { database, projectId } = now();
      const { id: other } = await database.run('createProject', { name: 'other-team', kind: 'local', isPublic: false });
      const id = await database.run('addAccount', account('member-of-one'));
      const memberId = await database.run('addMember', { projectId, holder: { kind: 'user', id }, roleId: 2 });
      expect(await readMember(database.read, { projectId: other, memberId })).toBeUndefined();
      expect(await outcome(database.run('changeMember', { projectId: other, memberId, roleId: 1 }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('removeMember', { projectId: other, memberId }))).toBe('NOT_FOUND');
      expect((await readMember(database.read, { projectId, memberId }))?.roleId).toBe(2);
      const holder = { kind: 'user', id } as const;
      expect(await outcome(database.run('addMember', { projectId: absentId, holder, roleId: 2 }))).toBe('NAME_UNKNOWN');
      expect(await outcome(database.run('addMember', { projectId: other, holder: { kind: 'user', id: absentId }, roleId: 2 }))).toBe(
        'NOT_FOUND',
      );
      expect(await outcome(database.run('addMember', { projectId: other, holder: { kind: 'group', id: absentId }, roleId: 2 }))).toBe(
        'NOT_FOUND',
      );
      expect(await outcome(database.run('addMember', { projectId: other, holder, roleId: absentId }))).toBe('NOT_FOUND');
    });
  });

  describe('groups', () => {
    test('a local group is one whatever its case; a provider names its own as it likes', async () => {
      const { database } = now();
      const id = await database.run('addGroup', { name: 'Devs', provider: 'local' });
      expect(await outcome(database.run('addGroup', { name: 'devs', provider: 'local' }))).toBe('CONFLICT');
      const dn = 'cn=devs,dc=example,dc=org';
      const external = await database.run('addGroup', { name: 'devs', provider: 'corp', externalName: dn });
      expect(await database.run('addGroup', { name: 'x', provider: 'corp', externalName: dn, ifAbsent: true })).toBe(external);
      expect(await readGroup(database.read, external)).toMatchObject({ name: 'devs', provider: 'corp', externalName: dn });
      expect((await listGroups(database, { externalName: dn, limit: 10, offset: 0 })).groups.map((group) => group.id)).toEqual([external]);
      expect((await listGroups(database, { namePart: 'DEV', limit: 10, offset: 0 })).count).toBe(2);
      await database.run('renameGroup', { id, name: 'Developers' });
      expect(await readGroup(database.read, id)).toMatchObject({ name: 'Developers', externalName: 'developers' });
      await database.run('addGroup', { name: 'Devs', provider: 'local' });
      expect(await outcome(database.run('renameGroup', { id, name: 'DEVS' }))).toBe('CONFLICT');
      await database.run('renameGroup', { id: external, name: 'Corp devs' });
      expect(await readGroup(database.read, external)).toMatchObject({ name: 'Corp devs', externalName: dn });
      await database.run('deleteGroup', { id });
      expect(await outcome(database.run('deleteGroup', { id }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('renameGroup', { id, name: 'x' }))).toBe('NOT_FOUND');
    });

    test('users are put into local groups by hand, into those of a provider never', async () => {
      const { database } = now();
      const groupId = await database.run('addGroup', { name: 'by-hand', provider: 'local' });
      const external = await database.run('addGroup', { name: 'not-by-hand', provider: 'corp' });
      const accountId = await database.run('addAccount', account('grouped'));
      await database.run('addToGroup', { groupId, accountId });
      expect(await outcome(database.run('addToGroup', { groupId, accountId }))).toBe('CONFLICT');
      expect(await outcome(database.run('addToGroup', { groupId: external, accountId }))).toBe('CONFLICT');
      expect(await outcome(database.run('addToGroup', { groupId, accountId: absentId }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('addToGroup', { groupId: absentId, accountId }))).toBe('NOT_FOUND');
      expect(await listGroupMembers(database.read, { groupId, limit: 10, offset: 0 })).toEqual({
        accounts: [{ id: accountId, name: 'grouped' }],
        count: 1,
      });
      await database.run('removeFromGroup', { groupId, accountId });
      expect(await outcome(database.run('removeFromGroup', { groupId, accountId }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('removeFromGroup', { groupId: external, accountId }))).toBe('CONFLICT');
    });

    test('what a group holds, its members hold', async () => {
      const { database, projectId } = now();
      const groupId = await database.run('addGroup', { name: 'holders', provider: 'local' });
      const accountId = await database.run('addAccount', account('holder'));
      await database.run('addToGroup', { groupId, accountId });
      await database.run('addMember', { projectId, holder: { kind: 'group', id: groupId }, roleId: 3 });
      await database.run('addGrantRule', { holder: { kind: 'group', id: groupId }, kind: 'projects', pattern: 'team-*', roleId: 2 });
      expect(await listProjectRoles(database.read, groupId)).toEqual([{ projectId, roleId: 3 }]);
      expect(await listHeldRoles(database.read, accountId)).toEqual([
        { kind: 'project', projectId, pattern: '', roleId: 3 },
        { kind: 'projects', projectId: null, pattern: 'team-*', roleId: 2 },
      ]);
      await database.run('removeFromGroup', { groupId, accountId });
      expect(await listHeldRoles(database.read, accountId)).toEqual([]);
    });
  });

  describe('roles and rules', () => {
    test('a custom role has an id from 100, never one that was there before, and goes when nobody holds it', async () => {
      const { database, projectId } = now();
      const id = await database.run('addRole', { name: 'puller', description: 'd', actions: ['repository:pull'] });
      expect(id).toBeGreaterThanOrEqual(100);
      expect(await outcome(database.run('addRole', { name: 'puller', description: '', actions: [] }))).toBe('CONFLICT');
      await database.run('changeRole', { id, name: 'puller 2', description: '', actions: ['repository:pull', 'tag:list'] });
      expect((await listRoles(database.read)).find((role) => role.id === id)).toEqual({
        id,
        name: 'puller 2',
        description: '',
        actions: ['repository:pull', 'tag:list'],
      });
      const accountId = await database.run('addAccount', account('puller'));
      const memberId = await database.run('addMember', { projectId, holder: { kind: 'user', id: accountId }, roleId: id });
      expect(await outcome(database.run('deleteRole', { id }))).toBe('CONFLICT');
      await database.run('removeMember', { projectId, memberId });
      await database.run('deleteRole', { id });
      expect(await outcome(database.run('deleteRole', { id }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('changeRole', { id, name: 'x', description: '', actions: [] }))).toBe('NOT_FOUND');
      expect(await database.run('addRole', { name: 'puller', description: '', actions: [] })).toBeGreaterThan(id);
    });

    test('a rule is there once, is found by who holds it, and holds its role', async () => {
      const { database } = now();
      const id = await database.run('addAccount', account('ruled'));
      const holder = { kind: 'user', id } as const;
      const roleId = await database.run('addRole', { name: 'ruler', description: '', actions: ['repository:pull'] });
      const rule = { holder, kind: 'repositories', pattern: 'team-a/ci/**', roleId } as const;
      const ruleId = await database.run('addGrantRule', rule);
      expect(await outcome(database.run('addGrantRule', rule))).toBe('CONFLICT');
      expect(await readGrantRule(database.read, ruleId)).toMatchObject({ id: ruleId, holderName: 'ruled', ...rule });
      const listed = await listGrantRules(database.read, { holder, limit: 10, offset: 0 });
      expect([listed.count, listed.rules.map((found) => found.id)]).toEqual([1, [ruleId]]);
      expect((await listGrantRules(database.read, { limit: 10, offset: 0 })).count).toBeGreaterThanOrEqual(1);
      expect(await outcome(database.run('deleteRole', { id: roleId }))).toBe('CONFLICT');
      expect(await outcome(database.run('addGrantRule', { ...rule, holder: { kind: 'user', id: absentId } }))).toBe('NOT_FOUND');
      expect(await outcome(database.run('addGrantRule', { ...rule, roleId: absentId }))).toBe('NOT_FOUND');
      await database.run('removeGrantRule', { id: ruleId });
      expect(await outcome(database.run('removeGrantRule', { id: ruleId }))).toBe('NOT_FOUND');
    });

    test('the same rule sent twenty times at once is there once', async () => {
      const { database } = now();
      const id = await database.run('addAccount', account('raced-rules'));
      const rule = { holder: { kind: 'user', id }, kind: 'all-projects', pattern: '', roleId: 3 } as const;
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcome(database.run('addGrantRule', rule))));
      expect(outcomes.filter((word) => word === 'done')).toHaveLength(1);
    });
  });
}
