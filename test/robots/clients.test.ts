// A real client logs in, pushes and pulls with what programs have: a robot, a token of a user, the token of a CI job, and what that was exchanged for.
// Needs Debian's skopeo.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandResult, runCommand } from '../clients/command.ts';
import { writeLayout } from '../support/oci-layout.ts';
import { requireTools } from '../support/requirements.ts';
import { type Issuer, type Login, openSite, type Site, startIssuer } from './site.ts';

const ready = requireTools('skopeo');

describe.skipIf(!ready)('skopeo', () => {
  let site: Site;
  let issuer: Issuer;
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-robot-clients-'));
  const permissions = [
    { kind: 'project', namespace: 'team-a', access: ['pull', 'push'].map((action) => ({ resource: 'repository', action })) },
  ];

  beforeAll(async () => {
    issuer = await startIssuer();
    site = await openSite();
    writeLayout(join(folder, 'layout'));
    await site.api(site.admin, 'POST', '/workload-rules', {
      ...{ name: 'ci', issuer: issuer.url, audience: 'registry.test', allow_private: true, permissions },
      claims: [{ claim: 'repository', equals: 'team/app' }],
    });
  }, 60_000);
  afterAll(async () => {
    await site?.stop();
    issuer?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const skopeo = (words: readonly string[], input?: string): Promise<CommandResult> =>
    runCommand(['skopeo', '--insecure-policy', '--tmpdir', folder, ...words], {
      env: { REGISTRY_AUTH_FILE: join(folder, 'auth.json') },
      ...(input === undefined ? {} : { input }),
    });
  const logIn = ({ name, password }: Login): Promise<CommandResult> =>
    skopeo(['login', '--tls-verify=false', '--username', name, '--password-stdin', `127.0.0.1:${site.server.port}`], password);
  const push = (repository: string): Promise<CommandResult> => {
    const to = `docker://127.0.0.1:${site.server.port}/${repository}:1`;
    return skopeo(['copy', '--quiet', '--dest-tls-verify=false', `oci:${join(folder, 'layout')}:1`, to]);
  };

  const ways: readonly (readonly [string, () => Promise<Login>])[] = [
    [
      'a robot of a project',
      async () => {
        const { body } = await site.api(site.anna, 'POST', '/robots', { name: 'skopeo', level: 'project', permissions });
        return { name: body.name, password: body.secret };
      },
    ],
    [
      "a user's token",
      async () => {
        const { body } = await site.api(site.anna, 'POST', '/users/current/tokens', { name: 'skopeo' });
        return { name: 'anna', password: body.secret };
      },
    ],
    ['the token of a CI job', async () => ({ name: 'workload', password: await issuer.sign() })],
    [
      'what such a token was exchanged for',
      async () => {
        const form = { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: await issuer.sign() };
        const response = await fetch(`${site.server.url}/service/exchange`, { method: 'POST', body: new URLSearchParams(form) });
        const answer = (await response.json()) as { username: string; access_token: string };
        return { name: answer.username, password: answer.access_token };
      },
    ],
  ];
  test.each(ways)(
    'logs in with %s, pushes and pulls in its project, and is refused in another',
    async (_what, make) => {
      const login = await make();
      expect(await logIn({ ...login, password: `${login.password}x` })).toMatchObject({ code: 1 });
      expect(await logIn(login)).toMatchObject({ code: 0, stdout: 'Login Succeeded!\n' });
      expect(await push('team-a/app')).toMatchObject({ code: 0 });
      const from = `docker://127.0.0.1:${site.server.port}/team-a/app:1`;
      expect(await skopeo(['inspect', '--raw', '--tls-verify=false', from])).toMatchObject({ code: 0 });
      const refused = await push('team-b/app');
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/denied|unauthorized|may not/i)]);
    },
    120_000,
  );
});
