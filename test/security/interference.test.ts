// SEC-A22: what one tenant does is not to be seen by the other. The other repeats the same questions on two servers: on one the first tenant does nothing, on the
// other it does random things in between. The answers, with ids and times taken out, are the same.

import { afterAll, expect, test } from 'bun:test';
import fc from 'fast-check';
import { bytesOf, type Login, sha256 } from '../http/registry.ts';
import { count } from '../support/requirements.ts';
import { startTenants, type Tenant, type Tenants } from './tenants.ts';

const runs = count({ quick: 12, full: 300, env: 'BREAKWATER_INTERFERENCE_RUNS' });
const servers: Tenants[] = [];
afterAll(async () => {
  for (const server of servers) await server.stop();
});

interface Step {
  readonly what: (typeof deeds)[number];
  readonly number: number;
}
const deeds = ['push', 'tag', 'delete', 'robot', 'label', 'visibility', 'member', 'token', 'wrong login', 'mount', 'foreign'] as const;
const steps = fc.array(fc.record({ what: fc.constantFrom(...deeds), number: fc.nat(5) }), { minLength: 3, maxLength: 12 });

/** Something the first tenant does, allowed or not. */
async function act({ api, registry }: Tenants, { admin, robot }: Tenant, { what, number }: Step): Promise<void> {
  const by: Login = number % 2 === 0 ? admin : robot;
  switch (what) {
    case 'push':
      await registry.call(`/v2/one/app${number}/blobs/uploads/?digest=${sha256(bytesOf(`${number}`))}`, {
        method: 'POST',
        as: by,
        body: bytesOf(`${number}`),
      });
      return;
    case 'tag':
      await api(by, 'POST', '/projects/one/repositories/app/artifacts/v1/tags', { name: `t${number}` });
      return;
    case 'delete':
      await registry.call(`/v2/one/app/manifests/t${number}`, { method: 'DELETE', as: by });
      return;
    case 'robot':
      await api(by, 'POST', '/robots', { name: `r${number}`, level: 'project', duration: 1, permissions: [] });
      return;
    case 'label':
      await api(by, 'POST', '/labels', { name: `l${number}`, color: '#000000', scope: 'p', project_id: 1 });
      return;
    case 'visibility':
      await api(by, 'PUT', '/projects/one', { metadata: { public: number % 2 === 0 ? 'true' : 'false' } });
      return;
    case 'member':
      await api(by, 'POST', '/projects/one/members', { role_id: 3, member_user: { username: `nobody-${number}` } });
      return;
    case 'token':
      await registry.call('/service/token?service=breakwater&scope=repository:one/app:pull,push&scope=repository:other/app:pull', {
        as: by,
      });
      return;
    case 'wrong login':
      await registry.call('/service/token?service=breakwater', { as: { name: 'one-admin', password: `wrong-${number}` } });
      return;
    case 'mount':
      await registry.call(`/v2/one/app/blobs/uploads/?mount=${sha256(bytesOf(`${number}`))}&from=other/app`, { method: 'POST', as: by });
      return;
    case 'foreign':
      await registry.call(`/v2/other/app/manifests/v1`, { method: number % 2 === 0 ? 'DELETE' : 'PUT', as: by, body: bytesOf('{}') });
      return;
  }
}

/** Everything the other tenant can see. Ids are numbers that a server gives as they come; they and times are left out. */
async function observe({ api, registry }: Tenants, { admin, robot, robotId }: Tenant): Promise<unknown> {
  const seen: unknown[] = [];
  for (const as of [admin, robot]) {
    for (const path of [
      '/projects/other',
      '/projects/other/repositories',
      '/projects/other/repositories/app/artifacts?with_tag=true',
      '/projects/other/members',
      '/projects/other/logs?q=operation=create',
      `/robots/${robotId}`,
      '/search?q=app',
      '/projects/one',
      '/projects/absent',
    ]) {
      const response = await api(as, 'GET', path);
      const text = (await response.text()).replaceAll(/"[a-z_]*(time|at)":("[^"]*"|\d+)/g, '""').replaceAll(/\b\d+\b/g, 'N');
      // A public project may be seen by everybody, which is what its owner wants.
      if (path !== '/projects/one' && !path.startsWith('/search'))
        seen.push([as.name, path, response.status, response.headers.get('x-total-count'), text]);
    }
    for (const path of [
      '/v2/other/app/tags/list',
      '/v2/other/app/manifests/v1',
      '/v2/other/app/manifests/t1',
      '/v2/other/absent/tags/list',
    ]) {
      const response = await registry.call(path, { as });
      seen.push([as.name, path, response.status, await response.text()]);
    }
  }
  return seen;
}

test('the answers to one tenant do not tell what the other did', async () => {
  const [quiet, busy] = [await startTenants(), await startTenants()];
  servers.push(quiet, busy);
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const expected = await observe(quiet, quiet.other);
      for (const step of script) await act(busy, busy.one, step);
      expect(await observe(busy, busy.other)).toEqual(expected);
    }),
    { numRuns: runs },
  );
});
