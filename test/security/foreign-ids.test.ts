// SEC-A14, by generation from the policy table: every route that names something by an id or name, called by the administrator of one project with what
// belongs to the other: everything of the other, or the own project with ids of the other in it. Nothing is found, and the other stays as it
// was. A route with a parameter that is not known here fails the suite.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { policyOf } from '../../src/api/api.ts';
import { apiPrefix, type Requirement } from '../../src/api/policy.ts';
import { failuresIn } from '../http/registry.ts';
import { startTenants, type Tenants } from './tenants.ts';

let tenants: Tenants;
beforeAll(async () => {
  tenants = await startTenants();
});
afterAll(async () => {
  expect(failuresIn(tenants.registry)).toEqual([]);
  await tenants?.stop();
});

type Values = Readonly<Record<string, string>>;

/** What stands for each parameter: of the other tenant, and of nobody. Names are long enough to be told apart in answers. */
function valuesOf(): { readonly other: Values; readonly nobody: Values } {
  const { other } = tenants;
  const same: Values = {
    reference: 'v1',
    tag_name: 'v1',
    addition: 'build_history',
    meta_name: 'public',
    set: 'some-set',
    file: 'absent',
    registry: 'docker.io',
    name: 'docker.io',
    token_id: '987654',
    session_id: '987654',
    group_id: '987654',
    role_id: '987654',
    grant_id: '987654',
    rule_id: '987654',
    workload_rule_id: '987654',
    provider_name: 'absent',
    provider: 'absent',
    key_id: 'absent',
    id: '987654',
  };
  return {
    other: {
      ...same,
      project_name_or_id: other.project,
      project_name: other.project,
      repository_name: 'app',
      mid: String(other.memberId),
      robot_id: String(other.robotId),
      label_id: String(other.labelId),
      user_id: String(other.adminId),
    },
    nobody: {
      ...same,
      project_name_or_id: 'absent',
      project_name: 'absent',
      repository_name: 'absent',
      reference: 'absent',
      mid: '987654',
      robot_id: '987654',
      label_id: '987654',
      user_id: '987654',
    },
  };
}

/** Bodies that pass the schemas, where `{}` does not. */
const bodies: Readonly<Record<string, unknown>> = {
  'PUT /projects/{project_name_or_id}/members/{mid}': { role_id: 3 },
  'POST /projects/{project_name_or_id}/members': { role_id: 3, member_user: { username: 'one-admin' } },
  'PUT /users/{user_id}': { email: 'a@example.com', realname: 'a', comment: 'a' },
  'PUT /users/{user_id}/password': { old_password: 'x', new_password: 'Correct-horse-8-battery' },
  'PUT /users/{user_id}/sysadmin': { sysadmin_flag: true },
  'PUT /users/{user_id}/cli_secret': { secret: 'Cli-secret-0123456789' },
  'PUT /labels/{label_id}': { name: 'taken', color: '#000000', scope: 'p' },
  'POST /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/labels': { id: 1 },
  'POST /projects/{project_name}/repositories/{repository_name}/artifacts/{reference}/tags': { name: 'v9' },
  'PUT /projects/{project_name}/repositories/{repository_name}': { description: 'taken' },
  'PUT /projects/{project_name_or_id}/metadatas/{meta_name}': { public: 'true' },
  'POST /projects/{project_name_or_id}/metadatas/': { severity: 'low' },
  'PATCH /robots/{robot_id}': { secret: 'Robot-secret-0123456789' },
};

const routes = Object.entries(policyOf())
  .map(([key, requirement]) => ({ key: key.replace(apiPrefix, ''), requirement }))
  .filter(({ key }) => key.includes('{'));

function fill(path: string, values: Values): string {
  return path.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${path}: say here what {${name}} stands for`);
    return value;
  });
}

async function ask(key: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const [method = ''] = key.split(' ');
  const body = ['POST', 'PUT', 'PATCH'].includes(method) ? (bodies[key] ?? {}) : undefined;
  const response = await tenants.api(tenants.one.admin, method, path, body);
  return { status: response.status, text: await response.text() };
}

/** Everything of the other tenant that its administrator and the server's see. */
async function stateOfOther(): Promise<unknown> {
  const paths = [
    '/projects/other',
    '/projects/other/members',
    `/robots?q=Level%3Dproject,ProjectID%3D${tenants.other.projectId}`,
    `/labels?scope=p&project_id=${tenants.other.projectId}`,
    `/users/${tenants.other.adminId}`,
    '/projects/other/repositories',
    '/projects/other/repositories/app/artifacts?with_tag=true&with_label=true',
  ];
  return Promise.all(
    paths.map(async (path) => {
      const response = await tenants.api('admin', 'GET', path);
      return [
        path,
        response.status,
        (await response.text()).replaceAll(/"(pull_time|last_used[a-z_]*|update_time|last_login[a-z_]*)":"[^"]*"/g, ''),
      ];
    }),
  );
}

const isInProject = (requirement: Requirement): boolean =>
  typeof requirement === 'object' && ('project' in requirement || 'object' in requirement);

test('nothing of the other project is found or changed by its names and ids', async () => {
  const { other, nobody } = valuesOf();
  const before = await stateOfOther();
  for (const { key, requirement } of routes) {
    const [, path = ''] = key.split(' ');
    const answer = await ask(key, fill(path, other));
    const allowed = isInProject(requirement)
      ? [404]
      : requirement === 'login' || typeof requirement === 'object'
        ? [400, 403, 404]
        : [200, 400, 404];
    expect([key, answer.status, answer.text, allowed.includes(answer.status)]).toEqual([key, answer.status, answer.text, true]);
    if (!isInProject(requirement)) continue;
    // And not told apart from what nobody has.
    const absent = await ask(key, fill(path, nobody));
    const plain = (text: string): string => text.replaceAll(/\b(absent|other|987654|\d+)\b/g, 'X');
    expect([key, answer.status, plain(answer.text)]).toEqual([key, absent.status, plain(absent.text)]);
  }
  expect(await stateOfOther()).toEqual(before);
});

test('ids of the other are not found below the own project', async () => {
  const { other, nobody } = valuesOf();
  const before = await stateOfOther();
  const nested = routes.filter(({ key }) => /\{project_name/.test(key) && /\{(mid|robot_id|label_id|user_id)\}/.test(key));
  expect(nested.length).toBeGreaterThan(2);
  const own = { project_name_or_id: tenants.one.project, project_name: tenants.one.project, repository_name: 'app', reference: 'v1' };
  for (const { key } of nested) {
    const [, path = ''] = key.split(' ');
    const answer = await ask(key, fill(path, { ...other, ...own }));
    const absent = await ask(key, fill(path, { ...nobody, ...own }));
    expect([key, answer.status, answer.text.replaceAll(/\d+/g, 'X')]).toEqual([key, 404, absent.text.replaceAll(/\d+/g, 'X')]);
  }
  // A label of the other cannot be put on an own artifact.
  const answer = await tenants.api(tenants.one.admin, 'POST', '/projects/one/repositories/app/artifacts/v1/labels', {
    id: tenants.other.labelId,
  });
  expect(answer.status).toBe(404);
  expect(await stateOfOther()).toEqual(before);
});
