// `/metrics` of a running server with fake sources: what it counts, who may read it, and that a real Prometheus takes it.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FakeSource, flipByte, startFakeSource, status } from '../mirror/fake-source.ts';
import { basic, pull, until } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';
import { type Family, parseExposition, readValue } from './exposition.ts';

/** Starting a server takes its time on a busy machine. */
setDefaultTimeout(60_000);

const token = 'a-token-of-the-test';
let server: RunningBreakwater;
let good: FakeSource;
let bad: FakeSource;
let liar: FakeSource;
beforeAll(async () => {
  [good, bad, liar] = await Promise.all([startFakeSource(), startFakeSource(), startFakeSource()]);
  server = await startBreakwater({
    config: JSON.stringify({
      presets: false,
      probes: { enabled: false },
      metrics: { token, listen: '127.0.0.1:0' },
      mirror: { root: 'one.test', tag_ttl: '1h' },
      registries: {
        'one.test': {
          sources: [
            { url: bad.url, trust: 'digest-only', priority: 1 },
            { url: good.url, trust: 'authority', priority: 2 },
          ],
        },
        'lies.test': {
          sources: [
            { url: liar.url, trust: 'digest-only', priority: 1 },
            { url: good.url, trust: 'authority', priority: 2 },
          ],
        },
      },
    }),
  });
});
afterAll(async () => {
  await server?.stop();
  await Promise.all([good?.stop(), bad?.stop(), liar?.stop()]);
});

async function scrape(from = server, accept = ''): Promise<Map<string, Family>> {
  const response = await fetch(`${from.url}/metrics`, {
    headers: { authorization: `Bearer ${token}`, ...(accept === '' ? {} : { accept }) },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toContain('text/plain');
  return parseExposition(await response.text());
}

test('a scrape is by the format, and every metric has a help text and a name with its unit', async () => {
  const families = await scrape();
  expect(families.size).toBeGreaterThan(15);
  for (const [name, { help, type }] of families) {
    expect(help).not.toBe('');
    expect(name).toMatch(/^(breakwater|process)_[a-z_]+$/);
    if (type === 'counter') expect(name).toEndWith('_total');
  }
});

test('a pull is counted by its registry and by where the content came from, the requests by source and verdict', async () => {
  const image = imageOf([3_000]);
  good.add('apps/counted', image, 'v1');
  bad.rule((request) => (request.path.includes('/apps/counted/') ? status(500)() : undefined));
  const before = await scrape();
  for (let round = 0; round < 2; round++) {
    expect((await pull(server, '/v2/apps/counted/manifests/v1')).status).toBe(200);
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('no layer');
    expect((await pull(server, `/v2/apps/counted/blobs/${layer.digest}`)).bytes.equals(layer.bytes)).toBe(true);
  }
  const after = await scrape();
  const grown = (name: string, labels: Record<string, string>): number =>
    (readValue(after, name, labels) ?? 0) - (readValue(before, name, labels) ?? 0);
  for (const kind of ['manifest', 'blob']) {
    expect(grown('breakwater_pulls_total', { registry: 'one.test', kind, outcome: 'miss' })).toBe(1);
    expect(grown('breakwater_pulls_total', { registry: 'one.test', kind, outcome: 'hit' })).toBe(1);
  }
  const ofGood = { registry: 'one.test', source: good.url };
  expect(grown('breakwater_source_requests_total', { ...ofGood, verdict: 'ok' })).toBeGreaterThanOrEqual(2);
  expect(
    grown('breakwater_source_requests_total', { registry: 'one.test', source: bad.url, verdict: 'server-error' }),
  ).toBeGreaterThanOrEqual(1);
  expect(grown('breakwater_source_received_bytes_total', ofGood)).toBe(3_000 + image.manifest.bytes.length);
  expect(grown('breakwater_source_first_byte_seconds_count', ofGood)).toBeGreaterThanOrEqual(2);
  expect(readValue(after, 'breakwater_source_up', ofGood)).toBe(1);
  expect(readValue(after, 'breakwater_source_state', { ...ofGood, state: 'up' })).toBe(1);
  expect(readValue(after, 'breakwater_source_state', { ...ofGood, state: 'open' })).toBe(0);
  expect(grown('breakwater_http_requests_total', { route: 'manifests', method: 'GET', status: '200' })).toBe(2);
  expect(grown('breakwater_http_request_duration_seconds_count', { route: 'blobs', method: 'GET' })).toBe(2);
});

test('clients that follow a blob while it arrives are counted, and the fill with them', async () => {
  const image = imageOf([9_000_000]);
  good.add('apps/arriving', image, 'v1');
  bad.rule((request) => (request.path.includes('/apps/arriving/') ? status(500)() : undefined));
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const digest = image.layers[0]?.digest ?? '';
  good.rule((request, answer) =>
    request.path.endsWith(digest) ? { ...answer, breakAt: { bytes: 1_000_000, by: 'pause', until: released } } : undefined,
  );
  expect((await pull(server, '/v2/apps/arriving/manifests/v1')).status).toBe(200);
  const blobs = [1, 2].map(() => pull(server, `/v2/apps/arriving/blobs/${digest}`));
  try {
    await until(async () => readValue(await scrape(), 'breakwater_fills', { state: 'running' }) === 1, 20_000);
    await until(async () => readValue(await scrape(), 'breakwater_fill_readers') === 2, 20_000);
  } finally {
    release();
  }
  for (const blob of await Promise.all(blobs)) expect(blob.digest).toBe(digest);
  await until(async () => readValue(await scrape(), 'breakwater_fills', { state: 'running' }) === 0, 20_000);
  const families = await scrape();
  expect(readValue(families, 'breakwater_fill_readers')).toBe(0);
  expect(readValue(families, 'breakwater_hedges_total', { outcome: 'won' })).toBeGreaterThanOrEqual(0);
});

test('wrong bytes are an alarm', async () => {
  const image = imageOf([700]);
  good.add('apps/lied', image, 'v1');
  const digest = image.layers[0]?.digest ?? '';
  liar.add('apps/lied', image, 'v1');
  liar.rule((request, answer) => (request.path.endsWith(digest) ? flipByte(5)(answer) : undefined));
  const before = readValue(await scrape(), 'breakwater_alarms_total', { kind: 'wrong-bytes' });
  expect(before).toBe(0);
  expect((await pull(server, `/v2/lies.test/apps/lied/blobs/${digest}`)).digest).toBe(digest);
  expect(readValue(await scrape(), 'breakwater_alarms_total', { kind: 'wrong-bytes' })).toBe(1);
  const quarantined = { source: liar.url, state: 'quarantined' };
  expect(readValue(await scrape(), 'breakwater_source_state', quarantined)).toBe(1);
});

test('the series of a source end when it is removed', async () => {
  const extra = await startFakeSource();
  try {
    const send = (method: string, path: string, body?: unknown): Promise<Response> =>
      fetch(`${server.url}/api/v2.0${path}`, {
        method,
        headers: { ...basic(server), 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    extra.add('apps/extra', imageOf([10]), 'v1');
    const added = await send('POST', '/sources', { registry: 'one.test', url: extra.url, trust: 'authority', priority: 0 });
    expect(added.status).toBe(201);
    const { id } = (await added.json()) as { id: number };
    expect((await pull(server, '/v2/apps/extra/manifests/v1')).status).toBe(200);
    expect(readValue(await scrape(), 'breakwater_source_requests_total', { source: extra.url, verdict: 'ok' })).toBeGreaterThan(0);
    expect((await send('DELETE', `/sources/${id}`)).status).toBe(200);
    const text = await (await fetch(`${server.url}/metrics`, { headers: basic(server) })).text();
    expect(text).not.toContain(extra.url);
    expect(text).toContain(good.url);
  } finally {
    await extra.stop();
  }
});

test('an absent tag is counted as absent, not as an error', async () => {
  const before = await scrape();
  expect((await pull(server, '/v2/apps/nothing/manifests/v1')).status).toBe(404);
  const labels = { registry: 'one.test', kind: 'manifest', outcome: 'absent' };
  expect(
    (readValue(await scrape(), 'breakwater_pulls_total', labels) ?? 0) - (readValue(before, 'breakwater_pulls_total', labels) ?? 0),
  ).toBe(1);
});

test('a source that is down is shown as down', async () => {
  const gone = await startFakeSource();
  const other = await startBreakwater({
    config: JSON.stringify({
      presets: false,
      probes: { enabled: false },
      metrics: { token },
      mirror: { root: 'gone.test' },
      registries: { 'gone.test': { sources: [{ url: gone.url, trust: 'authority' }] } },
    }),
  });
  try {
    await gone.stop();
    expect((await pull(other, '/v2/apps/app/manifests/v1')).status).toBe(503);
    const families = await scrape(other);
    const labels = { registry: 'gone.test', source: gone.url };
    expect(readValue(families, 'breakwater_source_up', labels)).toBe(0);
    expect(readValue(families, 'breakwater_source_state', { ...labels, state: 'open' })).toBe(1);
    expect(readValue(families, 'breakwater_source_blocked_seconds', labels)).toBeGreaterThan(0);
    expect(readValue(families, 'breakwater_pulls_total', { registry: 'gone.test', kind: 'manifest', outcome: 'error' })).toBe(1);
  } finally {
    await other.stop();
  }
});

test('disk, uploads and the process are told', async () => {
  const families = await scrape();
  expect(readValue(families, 'breakwater_disk_bytes', { kind: 'total' })).toBeGreaterThan(
    readValue(families, 'breakwater_disk_bytes', { kind: 'free' }) ?? 0,
  );
  expect(readValue(families, 'breakwater_upload_sessions')).toBe(0);
  expect(readValue(families, 'process_resident_memory_bytes')).toBeGreaterThan(1_000_000);
  expect(readValue(families, 'process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(readValue(families, 'breakwater_event_loop_delay_seconds', { statistic: 'max' })).toBeGreaterThanOrEqual(0);
});

test('SEC-G06: no repository, tag or digest is in any label', async () => {
  const image = imageOf([200]);
  good.add('secretive/name', image, 'hidden-tag');
  await pull(server, '/v2/secretive/name/manifests/hidden-tag');
  const response = await fetch(`${server.url}/metrics`, { headers: basic(server) });
  const text = await response.text();
  for (const word of ['secretive', 'hidden-tag', 'sha256:', token, server.adminPassword]) expect(text).not.toContain(word);
});

test('SEC-G06: unknown methods and paths do not make new labels', async () => {
  for (const path of ['/a', '/b', '/c/d']) await fetch(`${server.url}${path}`, { method: 'PROPFIND' });
  const families = await scrape();
  const routes = new Set(families.get('breakwater_http_requests_total')?.samples.map((sample) => sample.labels['route']));
  expect([...routes].filter((route) => route?.includes('/'))).toEqual([]);
  expect(readValue(families, 'breakwater_http_requests_total', { route: 'other', method: 'other', status: '404' })).toBeGreaterThanOrEqual(
    3,
  );
});

describe('who may read it', () => {
  const statusOf = async (headers: Record<string, string>): Promise<number> => (await fetch(`${server.url}/metrics`, { headers })).status;
  test('an administrator and the bearer of the token may, nobody else', async () => {
    expect(await statusOf(basic(server))).toBe(200);
    expect(await statusOf({ authorization: `Bearer ${token}` })).toBe(200);
    expect(await statusOf({})).toBe(401);
    expect(await statusOf({ authorization: `Bearer ${token}x` })).toBe(401);
    expect(await statusOf({ authorization: `Basic ${btoa('admin:wrong')}` })).toBe(401);
  });
  test('a registry token opens nothing', async () => {
    const response = await fetch(`${server.url}/service/token?service=x`, { headers: basic(server) });
    const { token: ofRegistry } = (await response.json()) as { token: string };
    expect(await statusOf({ authorization: `Bearer ${ofRegistry}` })).toBe(401);
  });
  test('only GET and HEAD', async () => {
    const response = await fetch(`${server.url}/metrics`, { method: 'POST', headers: basic(server) });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    const head = await fetch(`${server.url}/metrics`, { method: 'HEAD', headers: basic(server) });
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
  });
  test('the listener of its own needs no login and has nothing else', async () => {
    const port = metricsPort(server);
    const open = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect(open.status).toBe(200);
    expect(readValue(parseExposition(await open.text()), 'breakwater_source_up', { registry: 'one.test', source: good.url })).toBe(1);
    for (const path of ['/v2/', '/api/v2.0/sources', '/', '/status.json'])
      expect((await fetch(`http://127.0.0.1:${port}${path}`)).status).toBe(404);
  });
});

test('an address for the metrics that is in use is told by its setting', async () => {
  const taken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() });
  const address = `127.0.0.1:${taken.port}`;
  const config = JSON.stringify({ presets: false, registries: {}, metrics: { listen: address } });
  const failure = await startBreakwater({ config }).then(
    async (started) => `started: ${await started.stop()}`,
    (error) => String(error),
  );
  await taken.stop(true);
  expect(failure).toContain(`metrics.listen ${address} cannot be used`);
});

test('OpenMetrics is given to a scraper that asks for it', async () => {
  const response = await fetch(`${server.url}/metrics`, {
    headers: { ...basic(server), accept: 'application/openmetrics-text;version=1.0.0' },
  });
  expect(response.headers.get('content-type')).toContain('application/openmetrics-text');
  const text = await response.text();
  expect(text.endsWith('# EOF\n')).toBe(true);
  expect(text).toContain('# TYPE breakwater_source_requests counter');
});

describe.skipIf(!requireTools('promtool'))('promtool', () => {
  test('understands every expression of docs/metrics.md', () => {
    const page = readFileSync(join(import.meta.dir, '../../docs/metrics.md'), 'utf8');
    const rows = [...page.matchAll(/^\| [a-z ,]+ \| `(.+)` \|$/gm)].map((match) => (match[1] ?? '').replaceAll('\\|', '|'));
    expect(rows.length).toBeGreaterThanOrEqual(6);
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-rules-'));
    const file = join(folder, 'rules.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'docs', rules: rows.map((expr, place) => ({ alert: `A${place}`, expr })) }] }));
    const check = Bun.spawnSync(['promtool', 'check', 'rules', file]);
    rmSync(folder, { recursive: true, force: true });
    expect(check.stderr.toString()).not.toContain('FAILED');
    expect(check.exitCode).toBe(0);
  });

  test('has nothing to say against the exposition', async () => {
    const text = await (await fetch(`${server.url}/metrics`, { headers: basic(server) })).text();
    const check = Bun.spawnSync(['promtool', 'check', 'metrics'], { stdin: Buffer.from(text) });
    expect(`${check.stdout}${check.stderr}`.trim()).toBe('');
    expect(check.exitCode).toBe(0);
  });
});

describe.skipIf(!requireTools('prometheus'))('a real Prometheus', () => {
  test('scrapes the server with the token and answers queries about it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-prometheus-'));
    writeFileSync(join(folder, 'token'), token);
    writeFileSync(
      join(folder, 'prometheus.yml'),
      JSON.stringify({
        global: { scrape_interval: '1s' },
        scrape_configs: [
          {
            job_name: 'breakwater',
            authorization: { credentials_file: join(folder, 'token') },
            static_configs: [{ targets: [`127.0.0.1:${server.port}`] }],
          },
        ],
      }),
    );
    const probe = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() });
    const port = probe.port;
    await probe.stop(true);
    const prometheus = Bun.spawn(
      [
        'prometheus',
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'tsdb')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdout: 'ignore', stderr: 'ignore' },
    );
    const ask = async (query: string): Promise<string | undefined> => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`).catch(() => undefined);
      if (response?.ok !== true) return undefined;
      const body = (await response.json()) as { data: { result: { value: [number, string] }[] } };
      return body.data.result[0]?.value[1];
    };
    try {
      await until(async () => (await ask('up{job="breakwater"}')) === '1', 60_000);
      await until(async () => (await ask(`breakwater_source_up{registry="one.test",source="${good.url}"}`)) === '1', 20_000);
      await until(async () => (await ask('histogram_quantile(0.5, breakwater_source_first_byte_seconds_bucket)')) !== undefined, 20_000);
    } finally {
      prometheus.kill();
      await prometheus.exited;
      rmSync(folder, { recursive: true, force: true });
    }
  }, 120_000);
});

function metricsPort(of: RunningBreakwater): number {
  const line = of
    .logs()
    .split('\n')
    .find((one) => one.includes('metrics.listening'));
  return Number(/"port":(\d+)/.exec(line ?? '')?.[1]);
}
