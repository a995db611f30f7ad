// The history of a source through a running server: what pulls leave behind, across a restart, in the API and on the command line.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sourceHistorySchema } from '../../src/api/history-schemas.ts';
import { runCli } from '../cli/run.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { basic, pull } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';

setDefaultTimeout(60_000);

let dataDir: string;
let fake: FakeSource;
let server: RunningBreakwater;
const start = (): Promise<RunningBreakwater> =>
  startBreakwater({
    dataDir,
    config: JSON.stringify({
      presets: false,
      probes: { enabled: false },
      mirror: { root: 'one.test' },
      registries: { 'one.test': { sources: [{ url: fake.url, trust: 'authority' }] } },
    }),
  });
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-history-'));
  fake = await startFakeSource();
  server = await start();
});
afterAll(async () => {
  await server?.stop();
  await fake?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function historyOf(id: number, range: string) {
  const response = await fetch(`${server.url}/api/v2.0/sources/${id}/history?range=${range}`, { headers: basic(server) });
  expect(response.status).toBe(200);
  return sourceHistorySchema.parse(await response.json());
}
async function idOfSource(): Promise<number> {
  const listed = (await (await fetch(`${server.url}/api/v2.0/sources`, { headers: basic(server) })).json()) as {
    sources: { id: number }[];
  }[];
  return listed[0]?.sources[0]?.id ?? 0;
}

test('what was pulled is in the history at once and after a restart, and is added to', async () => {
  const image = imageOf([2_000]);
  fake.add('apps/one', image, 'v1');
  expect((await pull(server, '/v2/apps/one/manifests/v1')).status).toBe(200);
  const before = await historyOf(await idOfSource(), '24h');
  expect(before.total.requests).toBeGreaterThanOrEqual(1);
  expect(before.total.okShare).toBe(1);
  expect(before.total.p50Ms).toBeGreaterThan(0);
  await server.stop();
  server = await start();
  const after = await historyOf(await idOfSource(), '24h');
  expect(after.total.requests).toBe(before.total.requests);
  fake.add('apps/two', imageOf([10]), 'v1');
  await pull(server, '/v2/apps/two/manifests/v1');
  const hours = await historyOf(await idOfSource(), '90d');
  expect(hours.bucketMs).toBe(3_600_000);
  expect(hours.total.requests).toBeGreaterThan(before.total.requests);
});

test('the command tells it by id and by URL, as a table and as JSON', async () => {
  const words = ['--url', server.url, '--password-file', join(dataDir, 'admin.password')];
  const table = await runCli(['sources', 'history', fake.url, ...words]);
  expect(table.code).toBe(0);
  expect(table.stdout).toContain(fake.url);
  expect(table.stdout).toContain('REQUESTS');
  expect(table.stdout).toMatch(/[▁▂▃▄▅▆▇█]/);
  const json = await runCli(['sources', 'history', String(await idOfSource()), '--range', '90d', '--json', ...words]);
  expect(sourceHistorySchema.parse(JSON.parse(json.stdout)).range).toBe('90d');
  const unknown = await runCli(['sources', 'history', 'https://nowhere.test', ...words]);
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain('there is no source');
});

test('a source that is not there is 404, a range that is none 400', async () => {
  const statusOf = async (path: string): Promise<number> =>
    (await fetch(`${server.url}/api/v2.0/sources/${path}`, { headers: basic(server) })).status;
  expect(await statusOf('999999/history')).toBe(404);
  expect(await statusOf(`${await idOfSource()}/history?range=1y`)).toBe(400);
  expect((await fetch(`${server.url}/api/v2.0/sources/${await idOfSource()}/history`)).status).toBe(401);
});
