import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from './config.ts';
import { ConfigError } from './error.ts';
import { loadConfig } from './load.ts';
import { printConfig } from './print.ts';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-config-'));
const file = join(folder, 'breakwater.yaml');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function load(text: string, env: Record<string, string> = {}): Config {
  writeFileSync(file, text);
  return loadConfig({ file, env });
}

/** The problem lines, without the name of the file. */
function _problemsOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n').map((line) => line.replaceAll(`${folder}/`, ''));
    throw error;
  }
  return [];
}

describe('without a file', () => {
  const config = loadConfig({ env: {} });

  test('listens on port 5000 of all interfaces and keeps its data in ./data', () => {
    expect(config.listen).toEqual({ hostname: '0.0.0.0', port: 5000 });
    expect(config.dataDir).toBe(resolve('data'));
  });

  test('mirrors the well-known registries, docker.io as root', () => {
    expect(config.mirror).toEqual({
      rootRegistry: 'docker.io',
      tagTtlMs: 60_000,
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 30 * 86_400_000,
      onUpstreamDelete: 'remove',
      withoutAuthority: 'unconfirmed',
      notFoundTtlMs: 30_000,
      revalidateTimeoutMs: 2000,
      rules: [],
      equivalents: [],
      foreignLayers: [],
    });
    expect([...config.registries.keys()]).toEqual([
      'docker.io',
      'ghcr.io',
      'quay.io',
      'gcr.io',
      'registry.k8s.io',
      'mcr.microsoft.com',
      'public.ecr.aws',
      'nvcr.io',
      'docker.elastic.co',
      'registry.gitlab.com',
      'lscr.io',
      'us.gcr.io',
      'eu.gcr.io',
      'asia.gcr.io',
      'k8s.gcr.io',
      'registry.access.redhat.com',
      'registry.redhat.io',
      'cgr.dev',
      'xpkg.upbound.io',
      'dhi.io',
      'registry.ollama.ai',
    ]);
    const { origin, sources = [] } = config.registries.get('docker.io') ?? {};
    expect(origin).toBe('preset');
    expect(sources.filter((one) => one.enabled !== false)).toEqual([
      { url: 'https://registry-1.docker.io', trust: 'authority', priority: 100, realms: ['https://auth.docker.io'], allowPrivate: false },
    ]);
  });

  test('has the limits of the reference', () => {
    expect(config.limits).toEqual({
      manifestBytes: 4 * 2 ** 20,
      blobBytes: 100 * 2 ** 30,
      uploadsPerRepository: 500,
      uploadsTotal: 5000,
      uploadsPerPrincipal: 100,
      uploadIdleExpiryMs: 86_400_000,
      uploadAbsoluteExpiryMs: 7 * 86_400_000,
      pageSizeDefault: 100,
      pageSizeMax: 1000,
      minimumFree: { percent: 5, bytes: 2 * 2 ** 30 },
      upstream: { connectionsPerHost: 32, fills: 64 },
    });
  });

  test('an empty file means the same', () => {
    expect(load('')).toEqual(config);
    expect(load('# nothing\n')).toEqual(config);
  });
});

describe('a file', () => {
  const full = `
listen: 127.0.0.1:0
data: ./elsewhere
external_url: https://registry.example.com
trusted_proxies: [10.0.0.0/8, "::1"]
anonymous_pull: false
mirror:
  root: docker.io
  tag_ttl: 5s
  stale_if_error: 2d
  revalidate_timeout: 500ms
  not_found_ttl: 0s
  without_authority: quorum
  rules:
    - { match: 'docker.io/library/*:v*', tag_ttl: 1d, stale_while_revalidate: 2d, on_upstream_delete: keep }
    - { match: 'ghcr.io/**', stale_if_error: 1h, without_authority: known }
  equivalents: [{ from: 'docker.io/team/**', to: 'quay.io/team/**' }]
  foreign_layers: [go.microsoft.com, 'http://files.lan:8080']
registries:
  docker.io:
    sources:
      - { url: "https://mirror-a.example/", priority: 10 }
      - url: https://registry-1.docker.io
        trust: authority
        priority: 20
        proxy: http://proxy.lan:3128
        credentials: { username: alice, password_env: HUB_PASSWORD }
        enabled: false
        limits: { connections: 3, requests_per_minute: 20, bytes_per_second: 1MiB }
        scope: { allow: [library/*], deny: ["**/secret"] }
        operator: docker
        realms: [https://auth.docker.io]
        tls: { insecure: true }
        allow_private: true
limits:
  manifest_bytes: 1MiB
  minimum_free: { percent: 0, bytes: 0B }
`;
  const config = load(full, { HUB_PASSWORD: 'open sesame' });

  test('sets what it names and leaves the rest', () => {
    expect(config).toMatchObject({
      listen: { hostname: '127.0.0.1', port: 0 },
      dataDir: resolve('elsewhere'),
      externalUrl: 'https://registry.example.com',
      trustedProxies: ['10.0.0.0/8', '::1/128'],
      anonymousPull: false,
      mirror: {
        rootRegistry: 'docker.io',
        tagTtlMs: 5000,
        staleWhileRevalidateMs: 0,
        staleIfErrorMs: 172_800_000,
        onUpstreamDelete: 'remove',
        withoutAuthority: 'quorum',
        notFoundTtlMs: 0,
        revalidateTimeoutMs: 500,
        rules: [
          {
            match: 'docker.io/library/*:v*',
            tagTtlMs: 86_400_000,
            staleWhileRevalidateMs: 172_800_000,
            onUpstreamDelete: 'keep',
          },
          { match: 'ghcr.io/**:*', staleIfErrorMs: 3_600_000, withoutAuthority: 'known' },
        ],
        equivalents: [{ from: 'docker.io/team/**', to: 'quay.io/team/**' }],
        foreignLayers: ['https://go.microsoft.com', 'http://files.lan:8080'],
      },
      limits: { manifestBytes: 2 ** 20, minimumFree: { percent: 0, bytes: 0 }, uploadsTotal: 5000 },
    });
  });

  test('replaces the sources of a preset registry and keeps the other presets', () => {
    const sources = config.registries.get('docker.io')?.sources ?? [];
    expect(sources.map((source) => [source.url, source.trust, source.priority])).toEqual([
      ['https://mirror-a.example', 'digest-only', 10],
      ['https://registry-1.docker.io', 'authority', 20],
    ]);
    expect(sources[1]).toMatchObject({
      proxy: 'http://proxy.lan:3128',
      realms: ['https://auth.docker.io'],
      allowPrivate: true,
      tls: { insecure: true },
      enabled: false,
      limits: { connections: 3, requestsPerMinute: 20, bytesPerSecond: 1_048_576 },
      scope: { allow: ['library/*'], deny: ['**/secret'] },
      operator: 'docker',
    });
    expect(sources[0]?.enabled).toBeUndefined();
    expect(config.registries.has('quay.io')).toBeTrue();
  });

  test('says where a password is: in the environment, in a file or in the text itself', () => {
    expect(config.registries.get('docker.io')?.sources[1]?.credentials).toEqual([{ username: 'alice', passwordEnv: 'HUB_PASSWORD' }]);
    writeFileSync(join(folder, 'password'), 'from a file\n');
    const source = (lines: string): string =>
      `registries: { r.example: { sources: [{ url: "https://r.example", credentials: { username: u, ${lines} } }] } }`;
    const credentialOf = (text: string) => load(text).registries.get('r.example')?.sources[0]?.credentials?.[0];
    const path = join(folder, 'password');
    expect(credentialOf(source(`password_file: ${path}`))).toEqual({ username: 'u', passwordFile: path });
    expect(credentialOf(source('password: plain'))?.password?.reveal()).toBe('plain');
  });

  test('presets: false leaves only the registries it names, and no root without docker.io', () => {
    const own = load('presets: false\nregistries: { r.example: { sources: [{ url: "http://127.0.0.1:1" }] } }');
    expect([...own.registries.keys()]).toEqual(['r.example']);
    expect(own.mirror).not.toHaveProperty('rootRegistry');
  });

  test('mirror.root: false turns the root off', () => {
    expect(load('mirror: { root: false }').mirror).not.toHaveProperty('rootRegistry');
  });

  test('reads certificates of a source', () => {
    const pem = join(folder, 'ca.pem');
    writeFileSync(pem, '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n');
    const text = `registries: { r.example: { sources: [{ url: "https://r.example", tls: { ca_file: ${pem} } }] } }`;
    expect(load(text).registries.get('r.example')?.sources[0]?.tls).toMatchObject({
      insecure: false,
      caFile: pem,
      ca: expect.stringContaining('BEGIN'),
    });
  });

  test('printed and read again means the same, and no password is printed', () => {
    const env = { HUB_PASSWORD: 'open sesame' };
    const printed = printConfig(config);
    expect(printed).toContain('password_env: HUB_PASSWORD');
    expect(printed).not.toContain('open sesame');
    expect(withoutOrigins(load(printed, env))).toEqual(withoutOrigins(config));
    const inline = printConfig(load(full.replace('password_env: HUB_PASSWORD', 'password: open sesame')));
    expect(inline).toContain('password: "***"');
    expect(inline).not.toContain('open sesame');
    const plain = loadConfig({ env: {} });
    expect(withoutOrigins(load(printConfig(plain)))).toEqual(withoutOrigins(plain));
  });
});

describe('where a value comes from', () => {
  const env = { BREAKWATER_LISTEN: '127.0.0.1:2', BREAKWATER_DATA: '/env' };

  test('the environment wins over the file, the command line over both', () => {
    writeFileSync(file, 'listen: 127.0.0.1:1\ndata: /file\n');
    expect(loadConfig({ file, env: {} })).toMatchObject({ listen: { port: 1 }, dataDir: '/file' });
    expect(loadConfig({ file, env })).toMatchObject({ listen: { port: 2 }, dataDir: '/env' });
    expect(loadConfig({ file, env, overrides: { listen: '127.0.0.1:3', data: '/argument' } })).toMatchObject({
      listen: { port: 3 },
      dataDir: '/argument',
    });
  });

  test('BREAKWATER_CONFIG names the file, --config wins over it, an empty variable is none', () => {
    writeFileSync(file, 'listen: 127.0.0.1:7\n');
    expect(loadConfig({ env: { BREAKWATER_CONFIG: file } }).listen.port).toBe(7);
    expect(loadConfig({ file, env: { BREAKWATER_CONFIG: '/does/not/exist' } }).listen.port).toBe(7);
    expect(loadConfig({ env: { BREAKWATER_CONFIG: '', BREAKWATER_LISTEN: '' } }).listen.port).toBe(5000);
  });

  test('a wrong override names the variable or the option', () => {
    const read = (): Config => loadConfig({ env: { BREAKWATER_LISTEN: 'nowhere' }, overrides: { data: '' } });
    expect(read).toThrow(
      'BREAKWATER_LISTEN: "nowhere" is not understood; expected HOST:PORT, such as 0.0.0.0:5000, 127.0.0.1:0 or [::]:5000',
    );
    expect(read).toThrow('--data: "" is not understood; expected the path of a folder');
  });

  test('a missing file is named', () => {
    expect(() => loadConfig({ file: '/does/not/exist.yaml', env: {} })).toThrow(
      '/does/not/exist.yaml: cannot be read (ENOENT); expected a readable YAML file',
    );
  });
});

function withoutOrigins(config: Config): object {
  // The presets' registries are printed one by one.
  return {
    ...config,
    presets: undefined,
    registries: [...config.registries].map(([name, { sources, isPublic }]) => [name, sources, isPublic]),
  };
}
