// What people name by its name and the API by its id: users, groups, roles.

import { z } from 'zod';
import { foundGroupSchema, type RoleBody, roleSchema, type UserBody, userSchema } from '../api/user-schemas.ts';
import type { ApiClient, ApiRequest } from './client.ts';
import { CommandFailure } from './failure.ts';

const pageSize = 100;
const pagesMax = 1000;

/** A user by its name, in any case. CommandFailure when there is none. */
export async function findUser(client: ApiClient, name: string): Promise<UserBody> {
  const { value } = await client.read(z.array(userSchema), { method: 'GET', path: '/users', query: { q: `username=\\${name}` } });
  const [user] = value;
  if (user === undefined) throw new CommandFailure(`there is no user ${name}`, { hint: '`breakwater user list` shows them' });
  return user;
}

/** A group by its name, in any case, or by its number. CommandFailure when there is none, or several of that name. */
export async function findGroup(client: ApiClient, name: string): Promise<z.infer<typeof foundGroupSchema>> {
  const all = await readPages(client, foundGroupSchema, {
    path: '/usergroups/search',
    query: { groupname: /^\d+$/.test(name) ? '' : name },
  });
  const found = all.value.filter((group) => String(group.id) === name || group.group_name.toLowerCase() === name.toLowerCase());
  const [group, ...more] = found;
  if (group === undefined) throw new CommandFailure(`there is no group ${name}`, { hint: '`breakwater group list` shows them' });
  if (more.length > 0)
    throw new CommandFailure(`several groups are named ${name}`, {
      hint: `name one by its number: ${found.map(({ id }) => id).join(', ')}`,
    });
  return group;
}

/** A role by its name or number. CommandFailure when there is none. */
export async function findRole(client: ApiClient, name: string): Promise<RoleBody> {
  const { value } = await client.read(z.array(roleSchema), { method: 'GET', path: '/roles' });
  const role = value.find((one) => String(one.role_id) === name || one.role_name.toLowerCase() === name.toLowerCase());
  if (role === undefined) {
    const names = value.map((one) => one.role_name).join(', ');
    throw new CommandFailure(`there is no role ${name}`, { hint: `one of ${names}` });
  }
  return role;
}

/** All pages of a list; `raw` is what the server sent. */
export async function readPages<T>(
  client: ApiClient,
  schema: z.ZodType<T>,
  request: Pick<ApiRequest, 'path' | 'query'>,
): Promise<{ readonly value: readonly T[]; readonly raw: readonly unknown[] }> {
  const value: T[] = [];
  const raw: unknown[] = [];
  for (let page = 1; page <= pagesMax; page++) {
    const query = { ...request.query, page: String(page), page_size: String(pageSize) };
    const answer = await client.read(z.array(schema), { method: 'GET', path: request.path, query });
    value.push(...answer.value);
    raw.push(...(answer.raw as unknown[]));
    if (answer.value.length < pageSize) break;
  }
  return { value, raw };
}
