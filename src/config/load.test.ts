import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
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
function problemsOf(text: string, env: Record<string, string> = {}): string[] {
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

describe('a bad file', () => {
  test('names every problem with its file, line, key and what was expected', () => {
    expect(
      problemsOf(`listen: 5000
dta: ./data
mirror:
  tag_ttl: 60
  root: nowhere.example
registries:
  docker.io:
    sources:
      - trust: authority
      - url: https://user:hunter2@mirror.example
        priorty: 10
  Bad_Name!:
    sources: []
limits: { blob_bytes: huge }
`),
    ).toEqual([
      'breakwater.yaml:1: listen: 5000 is not understood; expected HOST:PORT, such as 0.0.0.0:5000, 127.0.0.1:0 or [::]:5000',
      'breakwater.yaml:2: dta: is not a setting; expected data',
      'breakwater.yaml:4: mirror.tag_ttl: 60 is not understood; expected a duration from 0s to 365d, written like 500ms, 60s, 5m, 24h or 30d',
      'breakwater.yaml:9: registries."docker.io".sources[0].url: is missing; expected an http:// or https:// URL without user, query and fragment, such as https://registry-1.docker.io',
      'breakwater.yaml:10: registries."docker.io".sources[1].url: "https://***@mirror.example" is not understood; expected an http:// or https:// URL without user, query and fragment, such as https://registry-1.docker.io',
      'breakwater.yaml:11: registries."docker.io".sources[1].priorty: is not a setting; expected priority',
      'breakwater.yaml:12: registries."Bad_Name!": is not a name of a registry; expected lower-case letters, digits and . _ - such as docker.io',
      'breakwater.yaml:14: limits.blob_bytes: "huge" is not understood; expected a size from 1KiB to 16TiB, written like 512KiB, 4MiB or 100GiB',
    ]);
  });

  test.each([
    [
      'mirror: { root: nowhere.example }',
      /^breakwater.yaml:1: mirror.root: "nowhere.example" is not a configured registry; expected docker.io, /,
    ],
    ['a: 1\n\na: 2\n', /^breakwater.yaml:3: Map keys must be unique; expected valid YAML$/],
    ['listen: [', /^breakwater.yaml:1: .*; expected valid YAML$/],
    ['- a\n- b', /^breakwater.yaml:1: is not a mapping of keys to values; expected a mapping/],
    ['mirror:\n', /^breakwater.yaml:1: mirror: is not a mapping/],
    ['trusted_proxies: 10.0.0.0/8', /^breakwater.yaml:1: trusted_proxies: is not a list; expected a list$/],
    [
      'trusted_proxies:\n  - 10.0.0.0/8\n  - lan\n',
      /^breakwater.yaml:3: trusted_proxies\[1\]: "lan" is not understood; expected an address block/,
    ],
    ['anonymous_pull: yes', /^breakwater.yaml:1: anonymous_pull: "yes" is not understood; expected true or false$/],
    ['x: &a 1\nlisten: *a', /^breakwater.yaml:2: listen: is an alias \(\*\); expected the value itself$/],
    ['listen: !!str x', /^breakwater.yaml:1: listen: has a tag \(!\); expected the plain value$/],
    ['? [a]\n: 1', /^breakwater.yaml:1: has a key that is not a plain word; expected a string$/],
    ['__proto__: { listen: x }', /^breakwater.yaml:1: __proto__: is not a name that can be used/],
    ['registries: { __proto__: { sources: [] } }', /^breakwater.yaml:1: registries.__proto__: is not a name that can be used/],
    ['registries: { r: { sources: [] } }', /^breakwater.yaml:1: registries.r.sources: is empty; expected at least one entry$/],
    ['registries: { r: { sources: [{ url: "http://a" }, { url: "http://a/" }] } }', /sources\[1\].url: is listed twice/],
    [
      'limits: { page_size_default: 200, page_size_max: 100 }',
      /limits.page_size_default: is larger than page_size_max; expected at most 100$/,
    ],
    ['limits: { upload_idle_expiry: 8d }', /limits.upload_idle_expiry: is longer than upload_absolute_expiry/],
    ['tls: { certificate: /no/such.pem, private_key: /no/such.key }', /tls.certificate: \/no\/such.pem cannot be read \(ENOENT\)/],
    ['tls: { certificate: /dev/null }', /tls.private_key: is missing; expected the path of a PEM file$/],
    [
      'external_url: https://registry.example.com/path',
      /external_url: .* expected an http:\/\/ or https:\/\/ URL with nothing after the port/,
    ],
  ])('%p', (text, problem) => expect(problemsOf(text)[0]).toMatch(problem));

  test.each([
    ['', 'has no password'],
    [', password: a, password_env: B', 'has password and password_env'],
    [', password_env: NOT_SET_ANYWHERE', 'the environment variable NOT_SET_ANYWHERE is not set'],
    [', password_file: /does/not/exist', '/does/not/exist cannot be read (ENOENT)'],
    [', password_file: /dev/null', '/dev/null is empty'],
    [', password: 123456', 'credentials.password: the value is not understood; expected a password in quotes'],
  ])('credentials {username%s}', (rest, problem) => {
    const text = `registries: { r: { sources: [{ url: "http://a", credentials: { username: u${rest} } }] } }`;
    expect(problemsOf(text).join('\n')).toContain(problem);
    expect(problemsOf(text).join('\n')).not.toContain('123456');
  });

  test('hostile text gives a ConfigError or a configuration, nothing else', () => {
    const keys = fc.constantFrom(
      'listen',
      'mirror',
      'registries',
      'docker.io',
      'sources',
      'url',
      'limits',
      '__proto__',
      'constructor',
      'tls',
      '<<',
    );
    const pieces = fc.constantFrom(
      ': ',
      '\n',
      '\n  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '!!map ',
      '| ',
      '"',
      "'",
      '#',
      '---\n',
      '%YAML 1.1\n',
      '\t',
      '\0',
      '? ',
      '1e999',
      '0x',
      '.nan',
    );
    const texts = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(keys, pieces, fc.string({ maxLength: 4 })), { maxLength: 60 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        problemsOf(text);
      }),
      { numRuns: 2000 },
    );
  });

  test('hostile values give a ConfigError or a configuration, nothing else', () => {
    const config = fc.record(
      {
        listen: fc.anything(),
        mirror: fc.anything(),
        registries: fc.dictionary(fc.string(), fc.anything()),
        limits: fc.anything(),
        data: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(config, (value) => {
        problemsOf(JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? String(item) : item)));
      }),
      { numRuns: 500 },
    );
  }, 60_000);

  test('deep nesting, a long line, a thousand mistakes and a file of 2 MiB are refused without a crash', () => {
    expect(problemsOf('['.repeat(10_000))[0]).toContain('expected valid YAML');
    expect(problemsOf('['.repeat(200_000))[0]).toContain('expected');
    expect(problemsOf(`listen: ${'['.repeat(3000)}${']'.repeat(3000)}`)[0]).toContain('expected');
    expect(problemsOf('- '.repeat(100_000))[0]).toContain('expected');
    expect(problemsOf(Array.from({ length: 1000 }, (_, index) => `x${index}: 1`).join('\n'))).toHaveLength(50);
    expect(problemsOf(`listen: ${'x'.repeat(100_000)}`)[0]?.length).toBeLessThan(250);
    expect(problemsOf('x'.repeat(2 ** 21))[0]).toContain('is too large');
  }, 60_000);
});

/** What a printed configuration cannot say: that its registries came with the program. */
function withoutOrigins(config: Config): object {
  // The presets' registries are printed one by one.
  return {
    ...config,
    presets: undefined,
    registries: [...config.registries].map(([name, { sources, isPublic }]) => [name, sources, isPublic]),
  };
}
