import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { shippedPresets } from '../presets.ts';
import { ClientFileError, isPublicHost } from './found.ts';
import { detectKind, type FileKind, fileKinds, readClientFile } from './kind.ts';
import { type PlannedSource, type PlanOptions, planImport } from './plan.ts';

const options: PlanOptions = {
  presets: shippedPresets,
  self: new Set(['127.0.0.1:5000', 'registry.lan:5000']),
  registries: new Set(shippedPresets.registries.map((one) => one.name)),
  withCredentials: false,
  dangerous: false,
};

function plan(file: string, text: string, more: Partial<PlanOptions> = {}) {
  const kind = detectKind(text, file);
  if (kind === undefined) throw new Error('no kind');
  return planImport([readClientFile(kind, text, file)], { ...options, ...more });
}

/** `+ registry url trust` or `- registry url flag`. */
function brief({ action, registry, url, trust, flag, reason }: PlannedSource): string {
  return action === 'add' ? `+ ${registry} ${url} ${trust}` : `- ${registry} ${url} ${flag ?? reason}`;
}

describe("Docker's daemon.json", () => {
  const text = JSON.stringify({
    'registry-mirrors': [
      'https://docker.1ms.run',
      'https://hub-mirror.c.163.com/',
      'http://mirror.example.com',
      'http://192.168.1.5:5000',
      'https://m.example/prefix',
      'https://docker.1ms.run/',
      'http://127.0.0.1:5000',
      'https://registry-1.docker.io',
      'ftp://x.example',
    ],
    'insecure-registries': ['m.example', '10.0.0.0/8'],
    proxies: { 'https-proxy': 'http://proxy.lan:3128', 'no-proxy': 'localhost,.example' },
    'log-driver': 'json-file',
  });

  test('gives mirrors of docker.io in their order, without dead ones, loops, doubles and what is dangerous', () => {
    const { sources, remarks } = plan('/etc/docker/daemon.json', text);
    expect(sources.map(brief)).toEqual([
      '+ docker.io https://docker.1ms.run digest-only',
      '- docker.io https://hub-mirror.c.163.com dead',
      '- docker.io http://mirror.example.com dangerous',
      '+ docker.io http://192.168.1.5:5000 digest-only',
      '- docker.io https://m.example/prefix dangerous',
      '- docker.io https://docker.1ms.run it is listed already (/etc/docker/daemon.json: registry-mirrors[0])',
      '- docker.io http://127.0.0.1:5000 loop',
      '- docker.io https://registry-1.docker.io it is docker.io itself, which is its authority already',
      '- docker.io  it is no http or https URL',
    ]);
    expect(sources[0]).toMatchObject({ operator: '1ms', priority: 10, proxy: 'http://proxy.lan:3128' });
    expect(sources[3]).toMatchObject({ priority: 20, insecure: false });
    expect(sources[3]).not.toHaveProperty('proxy');
    expect(sources[1]?.reason).toContain('shut down');
    expect(remarks).toEqual([
      { place: '/etc/docker/daemon.json: insecure-registries', text: '10.0.0.0/8 is no mirror; there is nothing to import from it' },
    ]);
  });

  test('what is dangerous is added when that is wanted, and says what it is', () => {
    const { sources } = plan('daemon.json', text, { dangerous: true });
    expect(sources.filter((one) => one.action === 'add').map((one) => [one.url, one.insecure])).toEqual([
      ['https://docker.1ms.run', false],
      ['http://mirror.example.com', false],
      ['http://192.168.1.5:5000', false],
      ['https://m.example/prefix', true],
    ]);
    expect(sources[2]?.warnings[0]).toContain('plain http over the internet');
  });

  test('a mirror of another registry is noticed', () => {
    const [first] = plan('daemon.json', '{"registry-mirrors":["https://ghcr.1ms.run"]}').sources;
    expect(first?.warnings[0]).toBe('it is known as a mirror of ghcr.io, not of docker.io');
  });

  test('broken JSON is refused with a reason', () => {
    expect(() => readClientFile('daemon.json', '{"registry-mirrors": [', 'daemon.json')).toThrow('it is no JSON, so Docker does not start');
    expect(() => readClientFile('daemon.json', '[]', 'daemon.json')).toThrow(ClientFileError);
  });
});

describe('registries.conf', () => {
  const version2 = `
unqualified-search-registries = ["docker.io", "quay.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "m.daocloud.io/docker.io"
[[registry.mirror]]
location = "10.1.2.3:5000"
insecure = true
[[registry.mirror]]
location = "bad.example"
insecure = true
pull-from-mirror = "digest-only"
[[registry]]
location = "quay.io"
blocked = true
[[registry]]
prefix = "*.corp.example"
location = "corp.example"
[[registry]]
prefix = "docker.io/library"
location = "m.example/hub/library"
[[registry]]
prefix = "ghcr.io/team"
location = "m.example/other"
[[registry]]
prefix = "registry.corp.example"
[[registry.mirror]]
location = "mirror.corp.lan"
`;

  test('version 2: mirrors with a path before the name, and prefixes below a registry', () => {
    const { sources, remarks } = plan('/etc/containers/registries.conf', version2);
    expect(sources.map(brief)).toEqual([
      '+ docker.io https://m.daocloud.io/v2/docker.io digest-only',
      '+ docker.io http://10.1.2.3:5000 digest-only',
      '- docker.io https://bad.example dangerous',
      '+ docker.io https://m.example/v2/hub digest-only',
      '+ registry.corp.example https://mirror.corp.lan digest-only',
      '- *.corp.example  the prefix *.corp.example stands for many registries; name each of them',
      '- ghcr.io m.example/other it renames ghcr.io/team; a source keeps the names of repositories',
      '+ registry.corp.example https://registry.corp.example authority',
    ]);
    expect(sources[0]).toMatchObject({ operator: 'daocloud', limits: { connections: 10, requestsPerMinute: 20 } });
    expect(sources[3]).toMatchObject({ repositories: ['library/**'] });
    expect(remarks.map((one) => one.text)).toEqual([
      'short names are looked up in docker.io, quay.io; here they mean mirror.root, one registry',
      'quay.io is blocked; egress.registries.deny does that for quay.io here',
    ]);
  });

  test('version 1 has no mirrors, and says what becomes of the rest', () => {
    const text =
      "[registries.search]\nregistries = ['quay.io']\n[registries.insecure]\nregistries = ['lan:5000']\n[registries.block]\nregistries = ['evil.example']\n";
    const { sources, remarks } = plan('registries.conf', text);
    expect(sources).toEqual([]);
    expect(remarks).toHaveLength(3);
    expect(remarks[2]?.text).toContain('egress.registries.deny');
  });
});

describe("containerd's hosts.toml", () => {
  const text = `
server = "https://registry-1.docker.io"
[host."https://docker.1ms.run"]
  capabilities = ["pull", "resolve"]
[host."https://m.example/v2/hub"]
  capabilities = ["pull"]
  override_path = true
[host."https://m.example/api"]
  override_path = true
[host."https://push.example"]
  capabilities = ["push"]
[host."https://skip.example"]
  skip_verify = true
[host."https://key.example"]
  client = [["/etc/c.crt", "/etc/c.key"]]
[host."http://registry.lan:5000"]
[host."https://ca.lan"]
  ca = "ca.pem"
  [host."https://ca.lan".header]
    Authorization = "Basic dXNlcjpzZWNyZXQ="
`;

  test('capabilities become trust in bytes alone; paths are kept where a source can say them', () => {
    const { sources } = plan('/etc/containerd/certs.d/docker.io/hosts.toml', text);
    expect(sources.map(brief)).toEqual([
      '+ docker.io https://docker.1ms.run digest-only',
      '+ docker.io https://m.example/v2/hub digest-only',
      '- docker.io https://skip.example dangerous',
      '- docker.io https://key.example it wants a client certificate, which a source cannot have',
      '- docker.io http://registry.lan:5000 loop',
      '+ docker.io https://ca.lan digest-only',
      '- docker.io https://registry-1.docker.io it is docker.io itself, which is its authority already',
      '- docker.io https://m.example/api a source cannot have this path: /api is used as it is',
      '- docker.io https://push.example it is not used for pulls',
    ]);
    expect(sources[0]?.warnings.at(-1)).toContain('the client believes it about tags; here only its bytes count');
    expect(sources[1]?.warnings).toEqual([]);
    expect(sources[5]).toMatchObject({ caFile: '/etc/containerd/certs.d/docker.io/ca.pem' });
    expect(sources[5]).not.toHaveProperty('credentials');
    expect(sources[5]?.warnings).toContain('its login is left out; --with-credentials takes it along');
  });

  test('a login comes along when that is wanted, as a secret', () => {
    const { sources } = plan('/etc/containerd/certs.d/docker.io/hosts.toml', text, { withCredentials: true });
    const { credentials } = sources[5] ?? {};
    expect([credentials?.username, credentials?.password.reveal(), String(credentials?.password)]).toEqual(['user', 'secret', '***']);
  });

  test('the folder names the registry, _default all of them, a port none that can be had', () => {
    const one = '[host."https://m.example"]\n';
    expect(plan('certs.d/quay.io/hosts.toml', one).sources.map(brief)).toEqual(['+ quay.io https://m.example digest-only']);
    expect(plan('certs.d/_default/hosts.toml', one).sources[0]?.reason).toContain('it is for every registry');
    expect(plan('certs.d/corp.example_5000_/hosts.toml', one).sources[0]?.reason).toContain('no port in its name');
    expect(plan('certs.d/hosts.toml', `server = "https://ghcr.io"\n${one}`).sources.map(brief)[0]).toBe(
      '+ ghcr.io https://m.example digest-only',
    );
    expect(plan('x/hosts.toml', one).remarks[0]?.text).toContain('neither its folder nor `server`');
  });
});

describe("containerd's old config.toml, k3s's registries.yaml, BuildKit's buildkitd.toml", () => {
  test('config.toml: mirrors with logins and TLS of their hosts', () => {
    const text = `
version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
  endpoint = ["https://docker.1ms.run", "https://harbor.lan/v2/hub", "https://m.example/hub"]
[plugins."io.containerd.grpc.v1.cri".registry.configs."harbor.lan".tls]
  ca_file = "/etc/ca.pem"
[plugins."io.containerd.grpc.v1.cri".registry.configs."harbor.lan".auth]
  username = "robot"
  password = "p"
[plugins."io.containerd.grpc.v1.cri".registry.configs."other.lan".tls]
  insecure_skip_verify = true
`;
    const { sources, remarks } = plan('/etc/containerd/config.toml', text, { withCredentials: true });
    expect(sources.map(brief)).toEqual([
      '+ docker.io https://docker.1ms.run digest-only',
      '+ docker.io https://harbor.lan/v2/hub digest-only',
      '- docker.io https://m.example/hub a source cannot have this path: /hub is used as it is',
    ]);
    expect(sources[1]).toMatchObject({ caFile: '/etc/ca.pem', credentials: { username: 'robot' } });
    expect(remarks.map((one) => one.text)).toEqual([
      'is for no mirror of this file; there is nothing to import from it',
      'the hosts are in /etc/containerd/certs.d; import that folder',
    ]);
  });

  test('registries.yaml: endpoints, a rewrite that is a prefix, and one that is not', () => {
    const text = `
mirrors:
  docker.io:
    endpoint: ["https://harbor.lan"]
    rewrite: { "^(.*)$": "hub/$1" }
  ghcr.io:
    endpoint: ["https://harbor.lan:8443"]
    rewrite: { "^rancher/(.*)": "mirrorproject/rancher-images/$1" }
  "*":
    endpoint: ["http://registry.lan:5000", "https://all.lan"]
configs:
  harbor.lan:
    auth: { username: u, password: p }
    tls: { insecure_skip_verify: true }
`;
    const { sources } = plan('/etc/rancher/k3s/registries.yaml', text);
    expect(sources.map(brief)).toEqual([
      '+ docker.io https://harbor.lan/v2/hub digest-only',
      '- * http://registry.lan:5000 loop',
      '- * https://all.lan it is for every registry, told by ?ns=, which a source is not asked with; name the registries it is for',
      '- ghcr.io https://harbor.lan:8443 its rewrite changes names in a way a source cannot; only a prefix before all names can be kept',
    ]);
    expect(sources[0]).toMatchObject({ insecure: true });
  });

  test('buildkitd.toml: mirrors without a scheme', () => {
    const text = '[registry."docker.io"]\nmirrors = ["m.example/hub", "lan:5000"]\n[registry."lan:5000"]\nhttp = true\n';
    expect(plan('buildkitd.toml', text).sources.map(brief)).toEqual([
      '+ docker.io https://m.example/v2/hub digest-only',
      '+ docker.io http://lan:5000 digest-only',
    ]);
  });
});

describe('any file', () => {
  const samples: readonly (readonly [string, string, FileKind | undefined])[] = [
    ['x', '{"registry-mirrors":[]}', 'daemon.json'],
    ['x.conf', 'unqualified-search-registries=["docker.io"]', 'registries.conf'],
    ['x', '[host."https://a"]', 'hosts.toml'],
    ['x.toml', 'version=2\n[plugins.x]', 'config.toml'],
    ['x', 'mirrors:\n  docker.io:\n    endpoint: []\n', 'registries.yaml'],
    ['x.toml', '[registry."docker.io"]\nmirrors=[]', 'buildkitd.toml'],
    ['daemon.json', '', 'daemon.json'],
    ['x', 'hello', undefined],
  ];
  for (const [name, text, kind] of samples) {
    test(`${name} with ${JSON.stringify(text.slice(0, 30))} is ${kind ?? 'nothing known'}`, () => {
      expect(detectKind(text, name)).toBe(kind);
    });
  }

  test('an empty file of a client plans nothing', () => {
    for (const [kind, text] of [
      ['daemon.json', '{}'],
      ['registries.conf', ''],
      ['registries.yaml', '{}'],
      ['config.toml', ''],
      ['buildkitd.toml', ''],
    ] as const)
      expect(planImport([readClientFile(kind, text, 'f')], options).sources).toEqual([]);
  });

  test('an alias that leads nowhere is an error of the file', () => {
    expect(() => readClientFile('registries.yaml', '*!', 'registries.yaml')).toThrow(ClientFileError);
    expect(() => readClientFile('registries.yaml', 'a: *b', 'registries.yaml')).toThrow(ClientFileError);
  });

  test('hostile text gives a plan or a ClientFileError, nothing else, and no authority but the registry itself', () => {
    const word = fc.constantFrom(
      'mirrors',
      'registry',
      'host',
      'https://a.example',
      'docker.io',
      'location',
      'endpoint',
      'plugins',
      '*',
      '__proto__',
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        word,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 3 }),
        tie('map'),
      ),
      map: fc.dictionary(word, tie('any'), { maxKeys: 4 }),
    })).map;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          value.map((one) => JSON.stringify(one)),
        ),
        fc.constantFrom(...fileKinds),
        (text, kind) => {
          try {
            const { sources } = planImport([readClientFile(kind, text, `/x/docker.io/${kind}`)], { ...options, dangerous: true });
            for (const source of sources.filter((one) => one.action === 'add' && one.trust === 'authority'))
              expect(new URL(source.url).hostname).toBe(source.registry);
          } catch (error) {
            expect(error).toBeInstanceOf(ClientFileError);
          }
        },
      ),
      { numRuns: 300 },
    );
  }, 60_000);

  test('private and local hosts are told from public ones', () => {
    for (const host of [
      '10.0.0.1',
      '172.20.1.1',
      '192.168.0.1',
      '127.0.0.1',
      '[::1]',
      '[fd00::1]',
      'localhost',
      'mirror',
      'a.lan',
      'x.home.arpa',
      '100.64.0.1',
    ])
      expect([host, isPublicHost(host)]).toEqual([host, false]);
    for (const host of ['8.8.8.8', 'm.example', 'docker.1ms.run', '172.32.0.1', '[2001:4860::1]', '100.128.0.1'])
      expect([host, isPublicHost(host)]).toEqual([host, true]);
  });
});
