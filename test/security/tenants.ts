// Two tenants on one server: each with a private project, its administrator, its robot and an image. For the tests of this folder.

import { type Image, type Login, type Registry, startRegistry } from '../http/registry.ts';

export interface Tenant {
  readonly project: string;
  readonly projectId: number;
  readonly admin: Login;
  readonly adminId: number;
  readonly memberId: number;
  readonly robot: Login;
  readonly robotId: number;
  readonly labelId: number;
  readonly image: Image;
}
export interface Tenants {
  readonly registry: Registry;
  readonly one: Tenant;
  readonly other: Tenant;
  /** A call of the admin API with a JSON body. */
  api(as: Login | 'admin' | 'anonymous', method: string, path: string, body?: unknown): Promise<Response>;
  stop(): Promise<void>;
}

const password = 'Correct-horse-7-battery';
const projectAdmin = 1;

export async function startTenants(): Promise<Tenants> {
  const registry = await startRegistry();
  const api: Tenants['api'] = (as, method, path, body) =>
    registry.call(`/api/v2.0${path}`, {
      method,
      as,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  const made = async (as: Login | 'admin', path: string, body: unknown): Promise<{ id: number; json: Record<string, unknown> }> => {
    const response = await api(as, 'POST', path, body);
    const text = await response.text();
    if (response.status !== 201) throw new Error(`POST ${path}: ${response.status} ${text}`);
    const json = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    return { id: Number(json['id'] ?? /\/(\d+)$/.exec(response.headers.get('location') ?? '')?.[1]), json };
  };
  const tenant = async (name: string): Promise<Tenant> => {
    await registry.createProject(name);
    const admin: Login = { name: `${name}-admin`, password };
    const user = await made('admin', '/users', { username: admin.name, email: `${name}@example.com`, realname: name, password });
    const member = await made('admin', `/projects/${name}/members`, { role_id: projectAdmin, member_user: { username: admin.name } });
    const permissions = [
      {
        kind: 'project',
        namespace: name,
        access: [
          { resource: 'repository', action: 'pull' },
          { resource: 'repository', action: 'push' },
        ],
      },
    ];
    const robot = await made(admin, '/robots', { name: 'ci', level: 'project', duration: 30, permissions });
    const projectId = ((await (await api('admin', 'GET', `/projects/${name}`)).json()) as { project_id: number }).project_id;
    const label = await made(admin, '/labels', { name: `${name}-label`, color: '#FF0000', scope: 'p', project_id: projectId });
    return {
      project: name,
      projectId,
      admin,
      adminId: user.id,
      memberId: member.id,
      robot: { name: String(robot.json['name']), password: String(robot.json['secret']) },
      robotId: robot.id,
      labelId: label.id,
      image: await registry.pushImage(`${name}/app`, 'v1'),
    };
  };
  return {
    registry,
    one: await tenant('one'),
    other: await tenant('other'),
    api,
    stop: async () => {
      await registry.stop();
    },
  };
}
