// What `explain` and the log tell of a pull that went another way than straight, and under which names an image may be asked about.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { on, status } from '../mirror/fake-source.ts';
import { basic, explain, pull, startServer, startSources } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources({ 'docker.io': ['digest-only', 'authority'], 'twin.test': ['authority'], 'limited.test': ['authority'] });
  server = await startServer({
    registries: sources.registries,
    mirror: { tag_ttl: '0s', equivalents: [{ from: 'docker.io/library/*', to: 'twin.test/hub/*' }] },
  });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});
interface Told {
  readonly repository: string;
  readonly absence?: { readonly reason: string; readonly forMs: number };
  readonly equivalents?: readonly string[];
  readonly sources?: readonly { readonly url: string; readonly state: string; readonly evidence?: string }[];
}
const told = async (image: string): Promise<Told> => (await explain(server, image)) as unknown as Told;
const lines = (): Record<string, unknown>[] =>
  server
    .logs()
    .split('\n')
    .filter((line) => line.includes('"mirror.pull"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a missing tag that is asked for a thousand times costs one request and one line, and explain says who has not got it', async () => {
  const [, hub] = sources.of('docker.io');
  for (let times = 0; times < 20; times++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => pull(server, '/v2/library/app/manifests/missing')));
    expect(answers.every((answer) => answer.status === 404 && answer.code === 'MANIFEST_UNKNOWN')).toBe(true);
  }
  expect(hub.requests).toHaveLength(1);
  expect(lines().filter((line) => line['reference'] === 'missing')).toMatchObject([
    { repository: 'docker.io/library/app', outcome: 'failed', sources: expect.stringContaining(`${hub.url} not-found 404`) },
  ]);
  const { absence, equivalents } = await told('app:missing');
  expect(absence?.reason).toContain(`${hub.url} has no such thing`);
  expect(absence?.forMs).toBeGreaterThan(0);
  expect(equivalents).toEqual(['twin.test/hub/app']);
}, 30_000);

test('a manifest that a lying source was asked for first is told with its lie, in the log and as the state of the source', async () => {
  const image = imageOf([100]);
  const [mirror, hub] = sources.of('docker.io');
  for (const source of [mirror, hub]) source.add('library/app', image, 'v1');
  mirror.rule(on(image.manifest.digest, (answer) => ({ ...answer, body: Buffer.concat([answer.body, Buffer.from('\n')]) })));
  expect((await pull(server, `/v2/library/app/manifests/${image.manifest.digest}`)).status).toBe(200);
  expect(lines().find((line) => line['reference'] === image.manifest.digest)).toMatchObject({
    outcome: 'served',
    sources: expect.stringMatching(/wrong-digest.*; .* ok /),
  });
  const found = (await told(`app@${image.manifest.digest}`)).sources?.find((source) => source.url === mirror.url);
  expect(found?.state).toBe('quarantined');
  expect(found?.evidence).toContain('asked for sha256:');
  mirror.clearRules();
});

test.each([
  '127.0.0.1:5000/library/app:missing',
  'localhost/app:missing',
  'index.docker.io/library/app:missing',
  'registry-1.docker.io/app:missing',
])('%s is library/app of docker.io', async (image) => {
  expect((await told(image)).repository).toBe('library/app');
});

test("this server's own name is none of a registry", async () => {
  const response = await fetch(`${server.url}/api/v2.0/explain?image=${encodeURIComponent('hub.office.lan:5000/library/app:missing')}`, {
    headers: { ...basic(server), host: 'hub.office.lan:5000' },
  });
  expect([response.status, ((await response.json()) as Told).repository]).toEqual([200, 'library/app']);
  await expect(told('other.office.lan:5000/library/app:missing')).rejects.toThrow('400');
});

test('an alias of Docker Hub in front of a name leads to the same repository', async () => {
  const image = imageOf([100]);
  const [, hub] = sources.of('docker.io');
  hub.add('library/alias', image, 'v1');
  const answer = await pull(server, '/v2/index.docker.io/library/alias/manifests/v1');
  expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
});

test("a registry's 429, 401 and 5xx are none of the client's: 503 or the cached tag, and no Retry-After of theirs", async () => {
  const image = imageOf([100]);
  const [hub] = sources.of('limited.test');
  hub.add('library/app', image, 'v1');
  expect((await pull(server, '/v2/limited.test/library/app/manifests/v1')).status).toBe(200);
  hub.rule(() => status(429, { 'retry-after': '86399' })());
  const cached = await pull(server, '/v2/limited.test/library/app/manifests/v1');
  expect([cached.status, cached.headers.get('retry-after'), cached.headers.get('warning')?.slice(0, 15)]).toEqual([
    200,
    null,
    '299 - "stale ta',
  ]);
  const cold = await pull(server, '/v2/limited.test/library/app/manifests/cold');
  expect([cold.status, Number(cold.headers.get('retry-after'))]).toEqual([503, 5]);
  expect(JSON.stringify([...cold.headers, cold.message])).not.toContain('86399');
});

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
