// The login check against a real nginx with each of the usual mistakes: it must name the mistake and what to change, and find nothing where
// nothing is wrong.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '../../src/lib/secret.ts';
import { checkLogin, type LoginCheckOptions, type LoginReport } from '../../src/upstream/login-check.ts';
import { runCli } from '../cli/run.ts';
import { blockFor, blocksOf } from '../docs/blocks.ts';
import { freePort, goodHeaders, type NginxOptions, startNginx } from '../support/nginx.ts';
import { requireTools } from '../support/requirements.ts';
import { type Registry, startRegistry } from './registry.ts';

const asked = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
const isolated = 'presets: false\nmirror: { root: false }\n';
const good = (upstream: string): string => `location / { proxy_pass ${upstream}; ${goodHeaders} }`;

const problemsOf = (report: LoginReport): (string | undefined)[] =>
  report.findings.map((finding) => finding.problem).filter((problem) => problem !== undefined);
const fixOf = (report: LoginReport): string => report.findings.find((finding) => finding.problem !== undefined)?.fix ?? '';

describe.skipIf(!requireTools('nginx', 'openssl'))('the login check', () => {
  let trusting: Registry;
  let plain: Registry;

  beforeAll(async () => {
    trusting = await startRegistry({ config: `${isolated}trusted_proxies: [127.0.0.1]\n` });
    plain = await startRegistry({ config: isolated });
  }, 60_000);
  afterAll(async () => {
    await trusting?.stop();
    await plain?.stop();
  });

  const loginOf = (registry: Registry) => ({ name: 'admin', password: new Secret(registry.adminPassword) });
  const through = async (
    registry: Registry,
    front: Omit<NginxOptions, 'upstreamPort'>,
    options: Partial<LoginCheckOptions> & { readonly path?: string } = {},
  ): Promise<LoginReport> => {
    const nginx = await startNginx({ tls: true, upstreamPort: registry.port, ...front });
    const { path = '', ...rest } = options;
    try {
      return await checkLogin({ url: `${nginx.url}${path}`, tls: { ca: nginx.ca, insecure: false }, login: loginOf(registry), ...rest });
    } finally {
      await nginx.stop();
    }
  };

  test('finds nothing wrong behind a good proxy, with a login, without one, and with a push that leaves nothing', async () => {
    const report = await through(trusting, { server: good }, { repository: 'library/checked' });
    expect(report.findings.filter((finding) => finding.problem !== undefined)).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.findings.map((finding) => finding.step)).toEqual(['reach', 'challenge', 'realm', 'token', 'use', 'body', 'upload']);
    const port = freePort();
    const nginx = await startNginx({ tls: true, port, upstreamPort: trusting.port, server: good });
    const anonymous = await checkLogin({ url: nginx.url, tls: { ca: nginx.ca, insecure: false } });
    await nginx.stop();
    expect(problemsOf(anonymous)).toEqual([]);
    expect(anonymous.findings.map((finding) => finding.step)).toEqual(['reach', 'challenge', 'realm', 'token', 'use', 'body']);
  }, 60_000);

  test('finds nothing wrong behind nginx as docs/proxies.md has it, at the root of a host and below a path', async () => {
    const blocks = blocksOf(readFileSync(join(import.meta.dir, '../../docs/proxies.md'), 'utf8'));
    for (const [what, path] of [
      ['nginx at the root', ''],
      ['nginx below a path', '/registry'],
    ] as const) {
      const port = freePort();
      const config = `${isolated}external_url: https://127.0.0.1:${port}${path}\ntrusted_proxies: [127.0.0.1]\n`;
      const registry = await startRegistry({ config });
      try {
        const server = (upstream: string): string => blockFor(blocks, what).replaceAll('http://127.0.0.1:5000', upstream);
        const report = await through(registry, { server, port }, { path, repository: 'library/checked' });
        expect([what, problemsOf(report)]).toEqual([what, []]);
        expect(report.findings).toHaveLength(7);
      } finally {
        await registry.stop();
      }
    }
  }, 60_000);

  test('finds nothing wrong without a proxy', async () => {
    expect(problemsOf(await checkLogin({ url: plain.url, login: loginOf(plain), repository: 'library/checked' }))).toEqual([]);
  }, 30_000);

  const mistakes: {
    readonly name: string;
    readonly server: (upstream: string) => string;
    readonly problems: string[];
    readonly fix: RegExp;
    readonly tls?: NginxOptions['tls'];
    readonly registry?: 'plain';
    readonly path?: string;
    readonly repository?: string;
    readonly anonymous?: boolean;
  }[] = [
    {
      name: 'the proxy does not say that clients use https',
      server: (upstream) => good(upstream).replace(/proxy_set_header X-Forwarded-Proto \$scheme;/, ''),
      problems: ['realm-scheme'],
      fix: /external_url: https:.*X-Forwarded-Proto/,
    },
    { name: 'the proxy is not trusted', registry: 'plain', server: good, problems: ['realm-scheme'], fix: /trusted_proxies/ },
    {
      name: 'the proxy passes another Host',
      server: (upstream) => good(upstream).replaceAll('$http_host', 'inner.example'),
      problems: ['realm-host'],
      fix: /X-Forwarded-Host/,
    },
    {
      name: 'the proxy passes the Host without its port',
      server: (upstream) => good(upstream).replaceAll('$http_host', '$host'),
      problems: ['realm-port'],
      fix: /\$http_host/,
    },
    {
      name: 'the prefix is not told',
      path: '/registry-a',
      server: (upstream) =>
        `location /v2/ { proxy_pass ${upstream}; ${goodHeaders} } location /registry-a/ { proxy_pass ${upstream}/; ${goodHeaders} }`,
      problems: ['realm-path'],
      fix: /external_url: https:.*\/registry-a/,
    },
    {
      name: 'only the prefix leads to the server',
      path: '/registry-a',
      server: (upstream) => `location /registry-a/ { proxy_pass ${upstream}/; ${goodHeaders} }`,
      problems: ['v2-not-routed'],
      fix: /location \/v2\//,
    },
    {
      name: '/service/token leads elsewhere',
      server: (upstream) => `location /v2/ { proxy_pass ${upstream}; ${goodHeaders} } location / { return 200 '<html></html>'; }`,
      problems: ['token-not-routed'],
      fix: /location \/service\//,
    },
    {
      name: 'the proxy removes the Authorization header',
      server: (upstream) => good(upstream).replace('proxy_http_version', 'proxy_set_header Authorization ""; proxy_http_version'),
      problems: ['authorization-removed'],
      fix: /proxy_set_header Authorization/,
    },
    {
      name: 'the same, seen without a login',
      anonymous: true,
      server: (upstream) => good(upstream).replace('proxy_http_version', 'proxy_set_header Authorization ""; proxy_http_version'),
      problems: ['authorization-removed'],
      fix: /proxy_set_header Authorization/,
    },
    {
      name: 'the Authorization header is removed from /v2/ alone',
      server: (upstream) =>
        `location /service/ { proxy_pass ${upstream}; ${goodHeaders} } location /v2/ { proxy_pass ${upstream}; ${goodHeaders} proxy_set_header Authorization ""; }`,
      problems: ['authorization-removed'],
      fix: /proxy_set_header Authorization/,
    },
    {
      name: 'the proxy limits bodies',
      server: (upstream) => good(upstream).replace('client_max_body_size 0;', 'client_max_body_size 100m;'),
      problems: ['body-limit'],
      fix: /client_max_body_size 0/,
    },
    {
      name: 'the proxy keeps whole bodies',
      server: (upstream) => good(upstream).replace('proxy_request_buffering off;', ''),
      problems: ['body-buffered'],
      fix: /proxy_request_buffering off/,
    },
    {
      name: 'the proxy redirects',
      server: () => 'location / { return 301 https://elsewhere.example$request_uri; }',
      problems: ['redirected'],
      fix: /address it leads to/,
    },
    {
      name: 'the proxy has a login of its own',
      server: (upstream) => `auth_basic "restricted"; auth_basic_user_file /dev/null; ${good(upstream)}`,
      problems: ['proxy-login'],
      fix: /auth_basic off/,
    },
    {
      name: 'the proxy removes the challenge',
      server: (upstream) => good(upstream).replace('proxy_http_version', 'proxy_hide_header WWW-Authenticate; proxy_http_version'),
      problems: ['challenge-removed'],
      fix: /proxy_hide_header/,
    },
    {
      name: 'the server cannot be reached',
      server: () => 'location / { proxy_pass http://127.0.0.1:1; }',
      problems: ['server-unreachable'],
      fix: /running/,
    },
    {
      name: 'an open registry answers',
      server: () =>
        "location / { add_header Docker-Distribution-Api-Version registry/2.0; default_type application/json; return 200 '{}'; }",
      problems: ['no-login-asked'],
      fix: /Breakwater/,
    },
    {
      name: 'the proxy lets only GET and POST pass',
      repository: 'library/checked',
      server: (upstream) => `if ($request_method !~ ^(GET|HEAD|POST)$) { return 405; } ${good(upstream)}`,
      problems: ['method-blocked'],
      fix: /PATCH/,
    },
    {
      name: 'the proxy changes Location',
      repository: 'library/checked',
      server: (upstream) => good(upstream).replace('proxy_http_version', 'proxy_redirect / http://inner.example/; proxy_http_version'),
      problems: ['location-changed'],
      fix: /proxy_redirect off/,
    },
    {
      name: 'the certificate has another name',
      tls: { names: 'DNS:other.example' },
      server: good,
      problems: ['certificate-name'],
      fix: /use a name that is in it/,
    },
  ];
  for (const mistake of mistakes) {
    test(`names it when ${mistake.name}`, async () => {
      const registry = mistake.registry === 'plain' ? plain : trusting;
      const nginx = await startNginx({ tls: mistake.tls ?? true, upstreamPort: registry.port, server: mistake.server });
      try {
        const report = await checkLogin({
          url: `${nginx.url}${mistake.path ?? ''}`,
          tls: { ca: nginx.ca, insecure: false },
          ...(mistake.anonymous === true ? {} : { login: loginOf(registry) }),
          ...(mistake.repository === undefined ? {} : { repository: mistake.repository }),
        });
        expect(problemsOf(report)).toEqual(mistake.problems);
        expect(fixOf(report)).toMatch(mistake.fix);
        expect(report.ok).toBe(false);
      } finally {
        await nginx.stop();
      }
    }, 60_000);
  }

  test('names a certificate that nobody vouches for, and sends no password over it', async () => {
    const report = await through(trusting, { server: good }, { tls: { insecure: false } });
    expect(problemsOf(report)).toEqual(['certificate-unknown']);
    expect(report.findings.map((finding) => finding.step)).toEqual(['reach', 'reach', 'challenge', 'realm']);
  }, 30_000);

  test('tells http from https, a closed port, an unknown name and a wrong password', async () => {
    const nginx = await startNginx({ tls: true, upstreamPort: trusting.port, server: good });
    const ask = async (url: string, more: Partial<LoginCheckOptions> = {}) => problemsOf(await checkLogin({ url, ...more }));
    expect(await ask(nginx.url.replace('https:', 'http:'))).toEqual(['tls-wanted']);
    await nginx.stop();
    expect(await ask(nginx.url)).toEqual(['refused']);
    expect(await ask(plain.url.replace('http:', 'https:'))).toEqual(['no-tls']);
    expect(await ask('http://no-such-name.invalid')).toEqual(['host-unknown']);
    expect(await ask(plain.url, { login: { name: 'admin', password: new Secret('wrong') } })).toEqual(['login-refused']);
  }, 30_000);

  test('the server checks itself through external_url, and tells what it saw of its own request', async () => {
    const port = freePort();
    const registry = await startRegistry({ config: `${isolated}external_url: http://127.0.0.1:${port}\n` });
    const check = async (): Promise<LoginReport> =>
      (await (await registry.call('/api/v2.0/system/login-check', asked)).json()) as LoginReport;
    try {
      expect(problemsOf(await check())).toEqual(['refused']);
      const nginx = await startNginx({ port, upstreamPort: registry.port, server: good });
      expect(problemsOf(await check())).toEqual([]);
      await nginx.stop();
      const astray = await startNginx({ port, upstreamPort: plain.port, server: good });
      expect(problemsOf(await check())).toEqual(['other-server']);
      await astray.stop();
    } finally {
      await registry.stop();
    }
    const without = await plain.call('/api/v2.0/system/login-check', asked);
    expect(without.status).toBe(409);
    for (const path of ['/api/v2.0/system/login-check', '/api/v2.0/system/arrival'])
      expect((await plain.call(path, { ...(path.endsWith('check') ? asked : {}), as: 'anonymous' })).status).toBe(401);
  }, 60_000);

  test('the command names the block to trust, and gives the report as JSON', async () => {
    const nginx = await startNginx({ tls: true, upstreamPort: plain.port, server: good });
    const caFile = join(nginx.certDir, 'ca.crt');
    const run = (...words: readonly string[]) =>
      runCli(['check-login', nginx.url, '--ca-file', caFile, ...words], { env: { BREAKWATER_PASSWORD: plain.adminPassword } });
    try {
      const told = await run();
      expect(told.code).toBe(1);
      expect(told.stdout).toContain('WRONG clients are sent to http://');
      expect(told.stdout).toContain('add 127.0.0.1/32 to trusted_proxies');
      expect(told.stdout + told.stderr).not.toContain(plain.adminPassword);
      const json = await run('--json', '--repository', 'library/checked');
      const report = JSON.parse(json.stdout) as LoginReport;
      expect(problemsOf(report)).toEqual(['realm-scheme']);
      expect(report.findings.at(-1)?.message).toContain('library/checked');
      expect((await run('--anonymous', '--repository', 'library/checked')).code).toBe(2);
    } finally {
      await nginx.stop();
    }
    const well = await runCli(['check-login', plain.url], { env: { BREAKWATER_PASSWORD: plain.adminPassword } });
    expect(well.code).toBe(0);
    expect(well.stdout).not.toContain('WRONG');
  }, 60_000);
});
