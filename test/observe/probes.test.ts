// The probe ladder against scripted sources over real sockets: which step fails for which fault, what the source is then called, and what its
// health learns. sources.md 3.4; O5; faults F1 to F5, F14, F19, F21, F23, F27, F32.

import { afterAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { requireDigest } from '../../src/oci/digest.ts';
import type { Canaries } from '../../src/registry/canaries.ts';
import { createProbes, type ProbeReport } from '../../src/registry/probes.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { createSourceHealth, type SourceHealth } from '../../src/upstream/health.ts';
import type { Source } from '../../src/upstream/source.ts';
import { type Answer, type FakeSource, flipByte, html, type SourceRequest, stall, startFakeSource, status } from '../mirror/fake-source.ts';
import { imageOf } from '../mirror/images.ts';
import { requireTools } from '../support/requirements.ts';

setDefaultTimeout(60_000);

const popular = imageOf([100]);
const rare = imageOf([100]);
const blob = { repository: 'library/popular', digest: requireDigest(popular.config.digest), sizeBytes: popular.config.bytes.length };
const canaries: Canaries = {
  popular: { repository: 'library/popular', tag: 'v1' },
  rare: { repository: 'someone/rare', tag: 'v1' },
  blob,
};

const client = createUpstreamClient({ clock: systemClock, log: createLog({ write: () => undefined }), version: 'test' });
const started: FakeSource[] = [];
afterAll(async () => {
  client.close();
  await Promise.all(started.map((source) => source.stop()));
});

let fake: FakeSource;
let health: SourceHealth;
let source: Source;
let tests = 0;
beforeEach(async () => {
  fake = await startFakeSource();
  started.push(fake);
  fake.add('library/popular', popular, 'v1');
  fake.add('someone/rare', rare, 'v1');
  fake.rule((request) => (request.path === '/v2/' ? status(200)() : undefined));
  health = createSourceHealth({ clock: systemClock });
  source = { id: `s${++tests}`, registry: 'docker.io', url: fake.url, trust: 'digest-only', priority: 1, realms: [] };
});

function probesOf(options: { canaries?: Canaries; timeoutMs?: number } = {}) {
  return createProbes({
    client,
    health,
    canaries: async () => options.canaries ?? canaries,
    clock: systemClock,
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
}
const probe = (options: Parameters<typeof probesOf>[0] & { source?: Source } = {}): Promise<ProbeReport> =>
  probesOf(options).probe(options.source ?? source);
const stepsOf = (report: ProbeReport): string[] => report.steps.map((step) => `${step.name} ${step.verdict}`);
const forPath = (part: string, turn: (answer: Answer) => Answer) => (request: SourceRequest, answer: Answer) =>
  request.path.includes(part) ? turn(answer) : undefined;

test('a good source is climbed to the top, each step with its time', async () => {
  const report = await probe();
  expect(report.state).toBe('up');
  expect(stepsOf(report)).toEqual(['dns ok', 'connect ok', 'tls skipped', 'ping ok', 'manifest ok', 'blob ok', 'range ok', 'rare ok']);
  expect(report.steps.every((step) => step.ms >= 0)).toBe(true);
  expect(report.tagDigest).toBe(requireDigest(popular.manifest.digest));
  expect(health.snapshot(source.id)).toMatchObject({ state: 'up', succeeded: 1, failed: 0 });
});

test('no manifest is ever fetched: HEAD only', async () => {
  await probe();
  expect(fake.requests.filter((request) => request.path.includes('/manifests/')).map((request) => request.method)).toEqual([
    'HEAD',
    'HEAD',
  ]);
});

test('a light probe ends at /v2/', async () => {
  const report = await probesOf().probe(source, { depth: 'light' });
  expect(stepsOf(report)).toEqual(['dns ok', 'connect ok', 'tls skipped', 'ping ok']);
  expect(fake.requests.map((request) => `${request.method} ${request.path}`)).toEqual(['GET /v2/']);
});

describe('a mirror with a whitelist', () => {
  for (const [name, answer] of [
    ['403', status(403)],
    ['404', status(404)],
  ] as const) {
    test(`that answers ${name} for what it does not list is called whitelist, not up`, async () => {
      fake.rule(forPath('/someone/rare/', answer));
      const report = await probe();
      expect(report.state).toBe('whitelist');
      expect(report.summary).toContain('refuses others');
      expect(health.snapshot(source.id).state).toBe('up');
    });
  }
  test('is no name for an authority: what it lacks does not exist', async () => {
    fake.rule(forPath('/someone/rare/', status(404)));
    expect((await probe({ source: { ...source, trust: 'authority' } })).state).toBe('up');
  });
  test('that refuses everything is down', async () => {
    fake.rule(forPath('/manifests/', status(403)));
    fake.rule(forPath('/blobs/', status(403)));
    expect((await probe()).state).toBe('down');
  });
});

describe('down, with the step that says why', () => {
  const rows: readonly (readonly [name: string, part: string, turn: (answer: Answer) => Answer, step: string])[] = [
    ['a login page at /v2/', '/v2/', html, 'ping html'],
    ['403 at /v2/', '/v2/', status(403), 'ping denied'],
    ['500 at /v2/', '/v2/', status(500), 'ping server-error'],
    ['a reset at /v2/', '/v2/', (answer) => ({ ...answer, silence: 'reset' }), 'ping reset'],
    [
      'a token realm elsewhere',
      '/v2/',
      status(401, { 'www-authenticate': 'Bearer realm="https://attacker.example/token",service="x"' }),
      'ping foreign-realm',
    ],
    ['a 401 without a challenge', '/v2/', status(401), 'ping unauthorized'],
    ['500 for manifests', '/manifests/', status(500), 'manifest server-error'],
    ['a page for blobs', '/blobs/', html, 'blob '],
    ['wrong bytes', '/blobs/', flipByte(3), 'blob wrong-digest'],
  ];
  for (const [name, part, turn, expected] of rows) {
    test(name, async () => {
      fake.rule((request, answer) =>
        (part === '/v2/' ? request.path === '/v2/' : request.path.includes(part)) ? turn(answer) : undefined,
      );
      const report = await probe();
      expect(report.state).toBe('down');
      expect(stepsOf(report).at(-1)).toStartWith(expected);
    });
  }

  test('nobody listens', async () => {
    await fake.stop();
    const report = await probe();
    expect(report.state).toBe('down');
    expect(stepsOf(report)).toEqual(['dns ok', 'connect refused']);
    expect(health.snapshot(source.id).state).toBe('open');
  });

  test('a name that does not exist', async () => {
    const report = await probe({ source: { ...source, url: 'http://no-such-name.invalid' } });
    expect(stepsOf(report)).toEqual(['dns dns']);
  });

  test('a source that says nothing is left at the deadline', async () => {
    fake.rule((_request, answer) => stall(answer));
    const startMs = performance.now();
    const report = await probe({ timeoutMs: 400 });
    expect(report.state).toBe('down');
    expect(stepsOf(report).at(-1)).toBe('ping timeout');
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

test('wrong bytes for a canary quarantine the source', async () => {
  fake.rule(forPath('/blobs/', flipByte(3)));
  await probe();
  expect(health.isQuarantined(source.id)).toBe(true);
});

test('a Range answered with other bytes than the whole is seen', async () => {
  fake.rule((request, answer) =>
    request.path.includes('/blobs/') && request.headers['range'] !== undefined ? flipByte(1)(answer) : undefined,
  );
  expect(stepsOf(await probe()).slice(-2)).toEqual(['blob ok', 'range bad-range']);
});

test('429 is limited, and its health waits', async () => {
  fake.rule(forPath('/manifests/', status(429, { 'retry-after': '30' })));
  const report = await probe();
  expect(report.state).toBe('limited');
  expect(health.snapshot(source.id).state).toBe('limited');
});

test('a source without a /v2/ of its own is known by its content', async () => {
  fake.rule((request) => (request.path === '/v2/' ? status(404)() : undefined));
  const report = await probe();
  expect(report.state).toBe('up');
  expect(stepsOf(report)).toContain('ping skipped');
});

test('a canary outside the scope of the source is not asked for', async () => {
  const report = await probe({ source: { ...source, scope: { allow: ['team/**'], deny: [] } } });
  expect(stepsOf(report).slice(4)).toEqual(['manifest skipped', 'blob skipped', 'rare skipped']);
  expect(fake.requests.map((request) => request.path)).toEqual(['/v2/']);
});

test('a probe that stands apart changes no health', async () => {
  fake.rule(forPath('/blobs/', flipByte(3)));
  expect((await probesOf().probe(source, { isApart: true })).state).toBe('down');
  expect(health.isQuarantined(source.id)).toBe(false);
  expect(health.snapshot(source.id)).toMatchObject({ succeeded: 0, failed: 0 });
});

test('without a canary the ladder ends at /v2/ and says so', async () => {
  const report = await probe({ canaries: {} });
  expect(report.state).toBe('up');
  expect(stepsOf(report).slice(3)).toEqual(['ping ok', 'manifest skipped', 'blob skipped']);
  expect(report.steps.at(-1)?.detail).toContain('cached');
});

test('a deep probe that goes well ends the rest of an open breaker at once, a light one does not', async () => {
  health.report(source.id, { verdict: 'refused', ms: 1 });
  expect(health.snapshot(source.id).state).toBe('open');
  await probesOf().probe(source, { depth: 'light' });
  expect(health.snapshot(source.id).state).toBe('open');
  await probe();
  expect(health.snapshot(source.id).state).toBe('up');
});

describe.skipIf(!requireTools('openssl'))('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-probe-tls-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const makeCertificate = (): string => {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const subject = ['-nodes', '-days', '30', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const made = Bun.spawnSync(['openssl', 'req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...subject]);
    if (!made.success) throw new Error(made.stderr.toString());
    return `${readFileSync(key, 'utf8')}${readFileSync(certificate, 'utf8')}`;
  };
  test('a certificate nobody vouches for fails at tls, one of a known authority tells its end', async () => {
    const pem = makeCertificate();
    const secure = await startFakeSource({ tls: pem });
    started.push(secure);
    secure.add('library/popular', popular, 'v1');
    secure.add('someone/rare', rare, 'v1');
    secure.rule((request) => (request.path === '/v2/' ? status(200)() : undefined));
    const plain: Source = { ...source, url: secure.url };
    expect(stepsOf(await probe({ source: plain }))).toEqual(['dns ok', 'connect ok', 'tls tls']);
    const trusting: Source = {
      ...plain,
      id: `${plain.id} trusting`,
      tls: { ca: readFileSync(join(folder, 'certificate.pem'), 'utf8'), insecure: false },
    };
    const report = await probe({ source: trusting });
    expect(report.state).toBe('up');
    expect(stepsOf(report)).toContain('tls ok');
    const days = ((report.certificateExpiresAtMs ?? 0) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(28);
    expect(days).toBeLessThan(31);
  });
});
