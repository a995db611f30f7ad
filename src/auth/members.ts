// Who belongs to a project, and as what. Nobody gives, changes or takes a role with rights in the project that they lack themselves.

import { findAccount, readAccount } from '../db/accounts.ts';
import type { Database } from '../db/database.ts';
import { type Holder, listMembers, type MemberRecord, readMember } from '../db/member-commands.ts';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { coversInProject } from './coverage.ts';
import type { CustomRoles } from './custom-roles.ts';
import type { GroupReference, Groups } from './groups.ts';
import type { Principal } from './principal.ts';
import type { Principals } from './principals.ts';
import type { Role } from './roles.ts';

/** A user by id or name, or a group. */
export type MemberReference =
  | { readonly kind: 'user'; readonly id: number }
  | { readonly kind: 'user'; readonly name: string }
  | { readonly kind: 'group'; readonly group: GroupReference };
export interface Member extends MemberRecord {
  readonly roleName: string;
}

export interface Members {
  list(project: Project, query: { namePart?: string; limit: number; offset: number }): Promise<{ members: Member[]; count: number }>;
  read(project: Project, memberId: number): Promise<Member | undefined>;
  /** NOT_FOUND for an unknown user, group or role, CONFLICT when it is a member already, DENIED for a role with more rights than the actor's. */
  add(actor: Principal, project: Project, wish: { who: MemberReference; roleId: number }): Promise<Member>;
  /** NOT_FOUND, DENIED. */
  change(actor: Principal, project: Project, change: { memberId: number; roleId: number }): Promise<{ before: Member; after: Member }>;
  /** NOT_FOUND, DENIED. */
  remove(actor: Principal, project: Project, memberId: number): Promise<Member>;
}

export function createMembers(options: { database: Database; principals: Principals; roles: CustomRoles; groups: Groups }): Members {
  const { database, principals, roles, groups } = options;

  const withRole = async (member: MemberRecord): Promise<Member> => ({
    ...member,
    roleName: (await roles.read(member.roleId))?.name ?? '',
  });
  const need = async (project: Project, memberId: number): Promise<Member> => {
    const member = await readMember(database.read, { projectId: project.id, memberId });
    if (member === undefined) throw new OciError('NOT_FOUND', 'the project has no such member');
    return withRole(member);
  };
  const requirePower = async (actor: Principal, project: Project, roleId: number): Promise<Role> => {
    const role = await roles.read(roleId);
    if (role === undefined) throw new OciError('NOT_FOUND', `there is no role ${roleId}`);
    if (!coversInProject(actor, project, role.actions))
      throw new OciError('DENIED', `the role ${role.name} has rights in this project that you do not have`);
    return role;
  };
  const holderOf = async (who: MemberReference): Promise<Holder> => {
    if (who.kind === 'group') return { kind: 'group', id: await groups.resolve(who.group) };
    const account = 'id' in who ? await readAccount(database.read, who.id) : await findAccount(database.read, who.name);
    if (account === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
    return { kind: 'user', id: account.id };
  };

  return {
    list: async (project, query) => {
      const { members, count } = await listMembers(database, { ...query, projectId: project.id });
      const names = new Map((await roles.list()).map((role) => [role.id, role.name]));
      return { members: members.map((member) => ({ ...member, roleName: names.get(member.roleId) ?? '' })), count };
    },
    read: async (project, memberId) => {
      const member = await readMember(database.read, { projectId: project.id, memberId });
      return member === undefined ? undefined : withRole(member);
    },
    add: async (actor, project, { who, roleId }) => {
      await requirePower(actor, project, roleId);
      const holder = await holderOf(who);
      const memberId = await database.run('addMember', { projectId: project.id, holder, roleId });
      principals.forget();
      return need(project, memberId);
    },
    change: async (actor, project, { memberId, roleId }) => {
      const before = await need(project, memberId);
      await requirePower(actor, project, before.roleId);
      await requirePower(actor, project, roleId);
      await database.run('changeMember', { projectId: project.id, memberId, roleId });
      principals.forget();
      return { before, after: await need(project, memberId) };
    },
    remove: async (actor, project, memberId) => {
      const before = await need(project, memberId);
      await requirePower(actor, project, before.roleId);
      await database.run('removeMember', { projectId: project.id, memberId });
      principals.forget();
      return before;
    },
  };
}
