// Warming through a real server: what is fetched, what is not fetched twice, restarts, caps, and what people and programs are told.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CliResult, runCli, spawnProgram } from '../cli/run.ts';
import { breakAt, type FakeSource, on, startFakeSource, status } from '../mirror/fake-source.ts';
import { basic, pull, startServer, until } from '../mirror/harness.ts';
import { imageOf, indexOf, randomContent } from '../mirror/images.ts';
import { bunBinary, mainFile, type RunningBreakwater } from '../support/breakwater.ts';

const registry = 'warm.test';
let source: FakeSource;
let server: RunningBreakwater;
const folder = mkdtempSync(join(tmpdir(), 'breakwater-warm-'));

beforeAll(async () => {
  source = await startFakeSource();
  server = await startServer({ registries: { [registry]: [{ source }] } });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await source?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const warm = (words: readonly string[], at: RunningBreakwater = server): Promise<CliResult> =>
  runCli(['warm', ...words, '--url', at.url], { env: { BREAKWATER_PASSWORD: at.adminPassword } });
const eventsOf = (result: CliResult): Record<string, unknown>[] =>
  result.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

interface RunBody {
  readonly id: string;
  readonly state: string;
  readonly images: readonly { readonly state: string; readonly fetchedBytes: number; readonly error?: { code: string } }[];
}
async function api(at: RunningBreakwater, method: string, path: string, body?: unknown): Promise<RunBody> {
  const response = await fetch(`${at.url}/api/v2.0${path}`, {
    method,
    headers: { ...basic(at), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (await response.json()) as RunBody;
}

describe('warming', () => {
  test('fetches the chosen platform of an index whole, leaves the others, and a pull needs no source afterwards', async () => {
    const [amd64, arm64] = [imageOf([1000, 9_000_000]), imageOf([2000])];
    const index = indexOf([amd64.manifest, arm64.manifest]);
    for (const image of [amd64, arm64]) source.add('w/multi', image);
    source.add('w/multi', index, '1');
    const result = await warm([`${registry}/w/multi:1`]);
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    expect(result.stdout).toContain('1 of 1 images are here, 0 failed');
    for (const blob of [amd64.config, ...amd64.layers]) expect(source.count(`/blobs/${blob.digest}`, 'GET')).toBe(1);
    for (const blob of arm64.layers) expect(source.count(`/blobs/${blob.digest}`)).toBe(0);
    const before = source.requests.length;
    expect((await pull(server, `/v2/${registry}/w/multi/manifests/${amd64.manifest.digest}`)).digest).toBe(amd64.manifest.digest);
    for (const blob of [amd64.config, ...amd64.layers])
      expect((await pull(server, `/v2/${registry}/w/multi/blobs/${blob.digest}`)).digest).toBe(blob.digest);
    expect(source.requests.length).toBe(before);
  }, 60_000);

  test('with all platforms every child is fetched, and what is here is not fetched again', async () => {
    const [first, second] = [imageOf([1000]), imageOf([2000])];
    for (const image of [first, second]) source.add('w/all', image);
    source.add('w/all', indexOf([first.manifest, second.manifest]), '1');
    for (let round = 0; round < 2; round++) expect((await warm([`${registry}/w/all:1`, '--platform', 'all'])).code).toBe(0);
    for (const image of [first, second])
      for (const blob of [image.config, ...image.layers]) expect(source.count(`/w/all/blobs/${blob.digest}`, 'GET')).toBe(1);
  }, 60_000);

  test('a platform that the image lacks, an unknown image and an unknown registry fail with their reason; the rest is warmed', async () => {
    const image = imageOf([1000]);
    source.add('w/some', image, '1');
    source.add('w/other', indexOf([image.manifest]), '1');
    source.add('w/other', image);
    const words = [`${registry}/w/some:1`, `${registry}/w/none:1`, 'registry.invalid/x:1', `${registry}/w/other:1`];
    const result = await warm([...words, '--platform', 'linux/riscv64', '--json']);
    expect(result.code).toBe(1);
    const events = eventsOf(result);
    expect(events[0]).toMatchObject({ event: 'started', images: 4 });
    expect(events.at(-1)).toMatchObject({ event: 'ended', state: 'failed', done: 1, failed: 3 });
    const failures = new Map(events.filter((event) => event['state'] === 'failed').map((event) => [event['image'], event['error']]));
    expect(failures.get(words[1])).toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    expect(failures.get(words[2])).toMatchObject({ code: 'NAME_UNKNOWN', message: expect.stringContaining('registry.invalid') });
    expect(failures.get(words[3])).toMatchObject({ message: expect.stringContaining('linux/riscv64') });
  }, 60_000);

  test('reads lists, compose files and, from standard input, Kubernetes manifests', async () => {
    const image = imageOf([1000]);
    for (const name of ['list', 'compose', 'kube']) source.add(`w/${name}`, image, '1');
    const list = join(folder, 'list.txt');
    const compose = join(folder, 'compose.yaml');
    writeFileSync(list, `# mine\n${registry}/w/list:1\n`);
    writeFileSync(compose, `services: { a: { image: "${registry}/w/compose:\${TAG:-1}" } }`);
    const files = await warm(['--file', list, '--file', compose]);
    expect([files.code, files.stdout.includes('2 of 2 images')]).toEqual([0, true]);
    const child = Bun.spawn([bunBinary, mainFile, 'warm', '-', '--url', server.url], {
      env: { ...process.env, BREAKWATER_PASSWORD: server.adminPassword },
      stdin: Buffer.from(`apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: "${registry}/w/kube:1" }] }\n`),
      stdout: 'pipe',
      stderr: 'pipe',
    });
    expect(await child.stdout.text()).toContain('1 of 1 images are here');
    expect(await child.exited).toBe(0);
    expect(source.count('/w/kube/manifests/1')).toBeGreaterThan(0);
    expect((await warm([])).code).toBe(2);
  }, 60_000);

  test('a bandwidth cap holds from the first byte on, inside a large blob too', async () => {
    const image = imageOf([9_000_000]);
    const layer = image.layers[0]?.digest ?? '';
    source.add('w/slow', image, '1');
    const run = await api(server, 'POST', '/warmups', { images: [`${registry}/w/slow:1`], bandwidthBytes: 1_000_000 });
    await until(() => source.bytes(layer) > 0, 20_000);
    const beganMs = performance.now();
    await until(async () => ((await api(server, 'GET', `/warmups/${run.id}`)).images[0]?.fetchedBytes ?? 0) >= 1_000_000, 30_000);
    await Bun.sleep(1000);
    const seconds = (performance.now() - beganMs) / 1000;
    const fetched = (await api(server, 'GET', `/warmups/${run.id}`)).images[0]?.fetchedBytes ?? 0;
    // What the cap lets through, and what a second of it may be early.
    expect(fetched).toBeLessThan((seconds + 2) * 1_000_000 + 500_000);
    expect(fetched).toBeLessThan(9_000_000);
    expect((await api(server, 'DELETE', `/warmups/${run.id}`)).state).toBe('cancelled');
  }, 60_000);

  test('a source that fails at first is asked again', async () => {
    const image = imageOf([1000]);
    source.add('w/later', image, '1');
    let isDown = true;
    source.rule((request) => (isDown && request.path.includes('/w/later/') ? status(500)() : undefined));
    const running = warm([`${registry}/w/later:1`]);
    await until(() => source.count('/w/later/manifests/1') > 0, 20_000);
    isDown = false;
    expect((await running).code).toBe(0);
    source.clearRules();
  }, 60_000);

  test('a cancelled run ends and is remembered; two routes show it', async () => {
    const image = imageOf([9_000_000]);
    source.add('w/cancel', image, '1');
    source.rule(on(image.layers[0]?.digest ?? '', breakAt(100_000, 'stall')));
    const run = await api(server, 'POST', '/warmups', { images: [`${registry}/w/cancel:1`] });
    await until(() => source.count(image.layers[0]?.digest ?? '') > 0, 20_000);
    expect((await api(server, 'DELETE', `/warmups/${run.id}`)).state).toBe('cancelled');
    expect((await api(server, 'GET', `/warmups/${run.id}`)).images[0]?.state).toBe('cancelled');
    const list = (await api(server, 'GET', '/warmups')) as unknown as RunBody[];
    expect(list.find((other) => other.id === run.id)?.state).toBe('cancelled');
    source.clearRules();
  }, 60_000);

  test('wishes that make no sense are refused', async () => {
    for (const body of [{}, { images: [] }, { images: ['a'], platforms: 'linux' }, { images: ['a'], pins: 'none' }]) {
      const response = await fetch(`${server.url}/api/v2.0/warmups`, {
        method: 'POST',
        headers: { ...basic(server), 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      expect([400, 404]).toContain(response.status);
    }
    expect((await fetch(`${server.url}/api/v2.0/warmups`)).status).toBe(401);
  }, 60_000);
});

describe('a run across restarts', () => {
  test.each(['kill', 'stop'] as const)(
    'goes on after a %s without fetching anything twice',
    async (how) => {
      const own = await startFakeSource();
      const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-warm-restart-'));
      const done = randomContent(100_000);
      const image = imageOf([done, 9_000_000]);
      own.add('r/app', image, '1');
      const big = image.layers[1]?.digest ?? '';
      own.rule(on(big, breakAt(100_000, 'stall')));
      const setting = { registries: { 'restart.test': [{ source: own }] }, dataDir };
      let running = await startServer(setting);
      try {
        const run = await api(running, 'POST', '/warmups', { images: ['restart.test/r/app:1'] });
        await until(() => own.count(big) > 0 && own.bytes(done.digest) === 100_000, 20_000);
        await until(async () => (await fetch(`${running.url}/v2/restart.test/r/app/blobs/${done.digest}`, { method: 'HEAD' })).ok, 20_000);
        await Bun.sleep(300);
        if (how === 'kill') await running.kill();
        else expect(await running.stop()).toBe(0);
        own.clearRules();
        running = await startServer(setting);
        const watcher = spawnProgram([bunBinary, mainFile, 'warmups', 'watch', run.id, '--url', running.url], {
          env: { BREAKWATER_PASSWORD: running.adminPassword },
        });
        expect(await watcher.stdout.text()).toContain('1 of 1 images are here');
        expect(await watcher.exited).toBe(0);
        expect(own.count(`/blobs/${done.digest}`, 'GET')).toBe(1);
      } finally {
        await running.stop();
        await own.stop();
        rmSync(dataDir, { recursive: true, force: true });
      }
    },
    90_000,
  );
});
