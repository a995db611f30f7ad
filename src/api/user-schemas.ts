// Users, groups, members, roles and rules as they go over the admin API: Harbor's shapes where Harbor has the resource, with what ours has besides.
// Members that Harbor's own clients send are known; those that change nothing here say so. It must never import the server: the command line loads it.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });
const id = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const ignored = (schema: z.ZodType) => schema.optional().meta({ description: 'taken, and without effect here' });
const password = z.string().max(1024);
/** Text that may be given to a database: PostgreSQL has no NUL, and half a surrogate is no UTF-8. */
export const keptText = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => !value.includes('\0') && value.isWellFormed(), 'has characters that cannot be kept');
const text = keptText(1024);

/** An id in a path. */
export const idText = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a number')
  .transform(Number);

export const userSchema = z
  .object({
    user_id: z.number().int(),
    username: z.string(),
    email: z.string(),
    realname: z.string(),
    comment: z.string(),
    sysadmin_flag: z.boolean(),
    admin_role_in_auth: z.boolean().meta({ description: 'always false: what a provider says becomes sysadmin_flag at the login' }),
    creation_time: time,
    update_time: time,
    auditor_flag: z.boolean().meta({ description: 'may read everything and change nothing' }),
    disabled: z.boolean(),
    provider: z.string().meta({ description: 'local, or the identity provider that lets this user in' }),
    must_change_password: z.boolean(),
    last_login_time: time.optional(),
  })
  .meta({ id: 'User' });
export type UserBody = z.infer<typeof userSchema>;

export const newUserSchema = z
  .strictObject({
    username: z.string().min(1).max(255).meta({ example: 'anna' }),
    password: password.meta({ description: 'at least 8 characters, not a widely known one, at most 1 KiB' }),
    email: keptText(255).optional(),
    realname: text.optional(),
    comment: text.optional(),
    sysadmin_flag: z.boolean().optional().meta({ description: 'only an administrator may set it' }),
    auditor_flag: z.boolean().optional().meta({ description: 'only an administrator may set it' }),
    must_change_password: z.boolean().optional().meta({ description: 'the user must choose another password before anything else' }),
    new_password: ignored(password),
  })
  .meta({ id: 'NewUser' });

export const userProfileSchema = z
  .strictObject({
    email: keptText(255).optional(),
    realname: text.optional(),
    comment: text.optional(),
    user_id: ignored(z.number()),
    username: ignored(z.string()),
    password: ignored(password),
    new_password: ignored(password),
    sysadmin_flag: ignored(z.boolean()),
  })
  .meta({ id: 'UserProfile' });

/** Harbor's Terraform provider sends the whole user with each change; a flag that is left out is false, as in Harbor. */
export const sysadminSchema = z
  .strictObject({
    sysadmin_flag: z.boolean().default(false),
    user_id: ignored(z.number()),
    username: ignored(z.string()),
    email: ignored(z.string()),
    realname: ignored(z.string()),
    comment: ignored(z.string()),
    password: ignored(password),
    new_password: ignored(password),
  })
  .meta({ id: 'SysadminFlag' });

export const newPasswordSchema = z
  .strictObject({
    old_password: password.optional().meta({ description: 'of oneself, needed unless the request itself carries the password' }),
    new_password: password,
    must_change_password: z.boolean().optional().meta({ description: 'of somebody else: another one must be chosen at once' }),
    user_id: ignored(z.number()),
    username: ignored(z.string()),
    email: ignored(z.string()),
    realname: ignored(z.string()),
    comment: ignored(z.string()),
    password: ignored(password),
    sysadmin_flag: ignored(z.boolean()),
  })
  .meta({ id: 'NewPassword' });

export const auditorSchema = z.strictObject({ auditor_flag: z.boolean() }).meta({ id: 'AuditorFlag' });
export const disabledSchema = z.strictObject({ disabled: z.boolean() }).meta({ id: 'DisabledFlag' });

export const foundUserSchema = z.object({ user_id: z.number().int(), username: z.string() }).meta({ id: 'FoundUser' });

export const permissionSchema = z.object({ resource: z.string(), action: z.string() }).meta({ id: 'Permission' });
export const permissionsSchema = z
  .object({ system: z.array(permissionSchema).readonly(), project: z.array(permissionSchema).readonly() })
  .meta({ id: 'Permissions', description: 'everything that can be allowed, on the server and in a project' });

export const groupTypes = { ldap: 1, local: 2, oidc: 3 } as const;
const groupType = z
  .number()
  .int()
  .meta({ description: '1: of an LDAP directory, 2: local, with members put in by hand, 3: of an OIDC provider', example: 2 });
export const groupSchema = z
  .object({
    id: z.number().int(),
    group_name: z.string(),
    group_type: groupType,
    ldap_group_dn: z.string().optional(),
    provider: z.string().meta({ description: 'local, or the identity provider' }),
  })
  .meta({ id: 'UserGroup' });
export type GroupBody = z.infer<typeof groupSchema>;
export const foundGroupSchema = z
  .object({ id: z.number().int(), group_name: z.string(), group_type: groupType })
  .meta({ id: 'FoundUserGroup' });

const sentGroup = {
  id: z.number().int().min(0).optional(),
  group_name: keptText(255).optional(),
  group_type: z.number().int().min(0).max(3).optional().meta({ description: 'without it: 1 where a DN is given, else 2' }),
  ldap_group_dn: keptText(1024).optional(),
  provider: keptText(255).optional().meta({ description: 'which one, where there are several of the type' }),
};
export const newGroupSchema = z.strictObject(sentGroup).meta({ id: 'NewUserGroup' });
export const newGroupMemberSchema = z
  .strictObject({ user_id: id.optional(), username: keptText(255).min(1).optional() })
  .refine((value) => (value.user_id === undefined) !== (value.username === undefined), 'exactly one of user_id and username is needed')
  .meta({ id: 'NewUserGroupMember' });

export const memberSchema = z
  .object({
    id: z.number().int(),
    project_id: z.number().int(),
    entity_name: z.string(),
    role_name: z.string(),
    role_id: z.number().int(),
    entity_id: z.number().int(),
    entity_type: z.enum(['u', 'g']),
  })
  .meta({ id: 'ProjectMember' });
export type MemberBody = z.infer<typeof memberSchema>;

const memberUser = z.strictObject({ user_id: z.number().int().min(0).optional(), username: keptText(255).optional() });
const memberGroup = z.strictObject(sentGroup);
/** Harbor's clients send an empty `member_group` beside a user and the other way round. */
export const newMemberSchema = z
  .strictObject({
    id: ignored(z.number()),
    role_id: id.meta({ description: '1 projectAdmin, 2 developer, 3 guest, 4 maintainer, 5 limitedGuest, or a custom role', example: 2 }),
    member_user: memberUser.optional(),
    member_group: memberGroup.optional(),
  })
  .meta({ id: 'NewProjectMember' });
export const memberRoleSchema = z
  .strictObject({ role_id: id, id: ignored(z.number()), member_user: ignored(memberUser), member_group: ignored(memberGroup) })
  .meta({ id: 'ProjectMemberRole' });

export const roleSchema = z
  .object({
    role_id: z.number().int(),
    role_name: z.string(),
    description: z.string(),
    builtin: z.boolean(),
    actions: z
      .array(z.string())
      .readonly()
      .meta({ example: ['repository:pull', 'repository:push'] }),
  })
  .meta({ id: 'Role' });
export type RoleBody = z.infer<typeof roleSchema>;
export const newRoleSchema = z
  .strictObject({
    role_name: z.string().min(1).max(255),
    description: text.optional(),
    actions: z.array(z.string().max(100)).min(1).max(500),
  })
  .meta({ id: 'NewRole' });

const ruleKind = z.enum(['system', 'everywhere', 'all-projects', 'projects', 'repositories']).meta({
  description:
    'where the role holds: system: on the server; all-projects: in each; everywhere: both; projects: those whose name matches the pattern; repositories: those whose full name does',
});
export const grantSchema = z
  .object({
    id: z.number().int(),
    holder_type: z.enum(['user', 'group']),
    holder_id: z.number().int(),
    holder_name: z.string(),
    kind: ruleKind,
    pattern: z.string(),
    role_id: z.number().int(),
    role_name: z.string(),
    creation_time: time,
  })
  .meta({ id: 'Grant' });
export type GrantBody = z.infer<typeof grantSchema>;
export const newGrantSchema = z
  .strictObject({
    user_id: id.optional(),
    group_id: id.optional(),
    kind: ruleKind,
    pattern: keptText(512).optional().meta({ example: 'team-*' }),
    role_id: id,
  })
  .refine((value) => (value.user_id === undefined) !== (value.group_id === undefined), 'exactly one of user_id and group_id is needed')
  .meta({ id: 'NewGrant' });
