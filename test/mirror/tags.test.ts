// What a mirrored tag means: within its TTL, after it, when it moves, when its registry cannot be asked, when sources disagree, and at a start
// without any network. design section 7.1; faults F12, F13, F24 to F26, F43 to F45, F47, F50.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { type Answer, type FakeSource, html, on, type SourceRequest, status } from './fake-source.ts';
import { explain, type Pulled, pull, startServer, startSources, until } from './harness.ts';
import { type Image, imageOf } from './images.ts';

const deadlineMs = 600;
const failures: readonly (readonly [name: string, turn: (answer: Answer, request: SourceRequest) => Answer | undefined])[] = [
  ['500', status(500)],
  ['429', status(429)],
  ['403', status(403)],
  ['401', status(401)],
  ['a page', html],
  ['a 404 page', () => ({ ...html(), status: 404 })],
  ['a reset', (answer) => ({ ...answer, silence: 'reset' })],
];
const trusts: Record<string, readonly ('authority' | 'digest-only')[]> = {
  'unchanged.test': ['authority'],
  'moved.test': ['digest-only', 'authority'],
  'no-head.test': ['authority'],
  'no-digest.test': ['authority'],
  'refused.test': ['authority'],
  'silent.test': ['authority', 'authority'],
  'slow-new.test': ['authority'],
  'lone.test': ['authority', 'digest-only'],
  'two.test': ['authority', 'digest-only', 'digest-only'],
  'disagree.test': ['authority', 'digest-only', 'digest-only'],
  'known.test': ['authority', 'digest-only', 'digest-only'],
  'stale-mirror.test': ['digest-only', 'authority'],
  'deleted.test': ['authority', 'digest-only'],
  'herd.test': ['authority'],
  'lying-header.test': ['authority', 'authority'],
};
for (const [place] of failures.entries()) trusts[`fails${place}.test`] = ['authority'];

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources(trusts);
  // Every pull is a revalidation here.
  server = await startServer({
    registries: sources.registries,
    mirror: { tag_ttl: '0s', not_found_ttl: '0s', revalidate_timeout: `${deadlineMs}ms` },
  });
});
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});

function serve(registry: string, image: Image, tag = 'v1'): readonly [FakeSource, FakeSource, FakeSource] {
  const all = sources.of(registry);
  for (const source of all) source.add('library/app', image, tag);
  return all;
}
const pullTag = (registry: string, tag = 'v1'): Promise<Pulled> => pull(server, `/v2/${registry}/library/app/manifests/${tag}`);
const isTag = (request: SourceRequest): boolean => request.path.endsWith('/manifests/v1');

async function timed(run: () => Promise<Pulled>): Promise<Pulled & { tookMs: number }> {
  const startMs = performance.now();
  return { ...(await run()), tookMs: performance.now() - startMs };
}

describe('an authority that answers', () => {
  test('is asked by HEAD only while the tag has not moved', async () => {
    const image = imageOf([100]);
    const [hub] = serve('unchanged.test', image);
    for (let times = 0; times < 6; times++) {
      const answer = await pullTag('unchanged.test');
      expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
      expect(answer.headers.get('warning')).toBeNull();
    }
    expect(hub.requests.filter((request) => request.method === 'GET')).toHaveLength(1);
    expect(hub.requests.filter((request) => request.method === 'HEAD')).toHaveLength(5);
  });

  test('moves a tag, whose manifest is then taken from any source', async () => {
    const [before, after] = [imageOf([100]), imageOf([200])];
    const [mirror, hub] = serve('moved.test', before);
    expect((await pullTag('moved.test')).digest).toBe(before.manifest.digest);
    hub.add('library/app', after, 'v1');
    mirror.add('library/app', after);
    expect((await pullTag('moved.test')).digest).toBe(after.manifest.digest);
    expect(mirror.count(after.manifest.digest, 'GET')).toBe(1);
    expect(hub.requests.filter((request) => request.method === 'GET')).toHaveLength(0);
    expect((await explain(server, 'moved.test/library/app:v1')).tag).toMatchObject({
      trust: 'confirmed',
      trail: { reason: `${hub.url} is an authority` },
    });
  });

  test('may know no HEAD', async () => {
    const [before, after] = [imageOf([100]), imageOf([200])];
    const [hub] = serve('no-head.test', before);
    hub.rule((request) => (request.method === 'HEAD' ? status(405)() : undefined));
    expect((await pullTag('no-head.test')).digest).toBe(before.manifest.digest);
    hub.add('library/app', after, 'v1');
    const moved = await pullTag('no-head.test');
    expect([moved.digest, moved.headers.get('warning')]).toEqual([after.manifest.digest, null]);
  });

  test('may tell no digest', async () => {
    const [before, after] = [imageOf([100]), imageOf([200])];
    const [hub] = serve('no-digest.test', before);
    hub.rule((_, answer) => ({ ...answer, headers: { ...answer.headers, 'docker-content-digest': '' } }));
    expect((await pullTag('no-digest.test')).digest).toBe(before.manifest.digest);
    hub.add('library/app', after, 'v1');
    const moved = await pullTag('no-digest.test');
    expect([moved.digest, moved.headers.get('docker-content-digest')]).toEqual([after.manifest.digest, after.manifest.digest]);
  });

  test('whose header tells another digest than its bytes have gives place to the next', async () => {
    const image = imageOf([100]);
    const [first, second] = serve('lying-header.test', image);
    first.rule((_, answer) => ({ ...answer, headers: { ...answer.headers, 'docker-content-digest': `sha256:${'a'.repeat(64)}` } }));
    const answer = await pullTag('lying-header.test');
    expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
    expect(second.count('/manifests/v1')).toBe(1);
  });

  test('is believed against a mirror that is asked first and has another digest', async () => {
    const [old, fresh] = [imageOf([100]), imageOf([200])];
    const [mirror, hub] = sources.of('stale-mirror.test');
    mirror.add('library/app', old, 'v1');
    hub.add('library/app', fresh, 'v1');
    expect((await pullTag('stale-mirror.test')).digest).toBe(fresh.manifest.digest);
    expect(mirror.count('/manifests/v1')).toBe(0);
  });

  test('ends a cached tag by its 404, whatever a mirror still has', async () => {
    const image = imageOf([100]);
    const [hub] = serve('deleted.test', image);
    expect((await pullTag('deleted.test')).status).toBe(200);
    hub.rule((request) => (isTag(request) ? status(404)() : undefined));
    const gone = await pullTag('deleted.test');
    expect([gone.status, gone.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
    // By digest it is still here.
    expect((await pull(server, `/v2/deleted.test/library/app/manifests/${image.manifest.digest}`)).status).toBe(200);
    hub.clearRules();
    expect((await pullTag('deleted.test')).status).toBe(200);
  });

  test('is asked once by a herd of cold pulls', async () => {
    const image = imageOf([100]);
    const [hub] = serve('herd.test', image);
    const answers = await Promise.all(Array.from({ length: 40 }, () => pullTag('herd.test')));
    for (const answer of answers) expect(answer.digest).toBe(image.manifest.digest);
    expect(hub.requests).toHaveLength(1);
  });
});

describe('an authority that does not answer', () => {
  test.each(failures.map(([name, turn], place) => [name, place, turn] as const))(
    'but with %s leaves the last verified digest, with a warning',
    async (_name, place, turn) => {
      const image = imageOf([100]);
      const [hub] = serve(`fails${place}.test`, image);
      expect((await pullTag(`fails${place}.test`)).status).toBe(200);
      hub.rule(on('*', turn));
      for (let times = 0; times < 2; times++) {
        const answer = await timed(() => pullTag(`fails${place}.test`));
        expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
        expect(answer.headers.get('warning')).toMatch(/^299 - "stale tag, last verified \d{4}-/);
        expect(answer.tookMs).toBeLessThan(deadlineMs);
      }
      const unknown = await pullTag(`fails${place}.test`, 'never-seen');
      expect(unknown.status).toBe(place === 2 || place === 3 ? 403 : 503);
    },
  );

  test('because nothing listens there does too', async () => {
    const image = imageOf([100]);
    const [hub] = serve('refused.test', image);
    expect((await pullTag('refused.test')).status).toBe(200);
    await hub.down();
    const answer = await pullTag('refused.test');
    expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
    expect(answer.headers.get('warning')).toStartWith('299 ');
    const failure = (await explain(server, 'refused.test/library/app:v1')).lastFailure;
    expect(failure?.attempts.map((attempt) => attempt.verdict)).toEqual(['refused']);
  });

  test('in time leaves it within the deadline, and at once when the pull is repeated', async () => {
    const image = imageOf([100]);
    const all = serve('silent.test', image);
    expect((await pullTag('silent.test')).status).toBe(200);
    for (const source of all) source.rule((_, answer) => ({ ...answer, silence: 'stall' }));
    const first = await timed(() => pullTag('silent.test'));
    expect([first.status, first.digest]).toEqual([200, image.manifest.digest]);
    expect(first.headers.get('warning')).toStartWith('299 ');
    expect(first.tookMs).toBeGreaterThan(deadlineMs - 50);
    expect(first.tookMs).toBeLessThan(deadlineMs + 500);
    for (let times = 0; times < 3; times++) {
      const again = await timed(() => pullTag('silent.test'));
      expect(again.headers.get('warning')).toStartWith('299 ');
      expect(again.tookMs).toBeLessThan(200);
    }
  });

  test('in time with the manifest of a moved tag leaves the old one, until the new one is here', async () => {
    const [before, after] = [imageOf([100]), imageOf([200])];
    const [hub] = serve('slow-new.test', before);
    expect((await pullTag('slow-new.test')).status).toBe(200);
    hub.add('library/app', after, 'v1');
    const { promise, resolve } = Promise.withResolvers<void>();
    hub.rule(on(after.manifest.digest, (answer) => ({ ...answer, wait: promise })));
    const late = await timed(() => pullTag('slow-new.test'));
    expect([late.digest, late.headers.get('warning')?.slice(0, 4)]).toEqual([before.manifest.digest, '299 ']);
    expect(late.tookMs).toBeLessThan(deadlineMs + 500);
    resolve();
    await until(async () => (await explain(server, 'slow-new.test/library/app:v1')).digest === after.manifest.digest);
  });
});

describe('without the word of an authority', () => {
  test('a lone source is served as unconfirmed, each time', async () => {
    const image = imageOf([100]);
    const [hub, mirror] = serve('lone.test', image);
    await hub.down();
    for (let times = 0; times < 2; times++) {
      const answer = await pullTag('lone.test');
      expect([answer.status, answer.digest]).toEqual([200, image.manifest.digest]);
      expect(answer.headers.get('warning')).toMatch(/^299 - "unconfirmed tag/);
    }
    expect(mirror.requests.length).toBeGreaterThan(1);
    expect((await explain(server, 'lone.test/library/app:v1')).tag?.trust).toBe('unconfirmed');
  });

  test('two independent sources that agree are believed', async () => {
    const image = imageOf([100]);
    const [hub] = serve('two.test', image);
    await hub.down();
    const answer = await pullTag('two.test');
    expect([answer.status, answer.digest, answer.headers.get('warning')]).toEqual([200, image.manifest.digest, null]);
    expect((await explain(server, 'two.test/library/app:v1')).tag?.trust).toBe('confirmed');
  });

  test('two that disagree are not: the better one is served as unconfirmed', async () => {
    const [one, two] = [imageOf([100]), imageOf([200])];
    const [hub, first, second] = sources.of('disagree.test');
    await hub.down();
    first.add('library/app', one, 'v1');
    second.add('library/app', two, 'v1');
    const answer = await pullTag('disagree.test');
    expect(answer.digest).toBe(one.manifest.digest);
    expect(answer.headers.get('warning')).toStartWith('299 ');
  });

  test('a mirror that has the known digest confirms it, and one alone that has another does not override it', async () => {
    const [known, other] = [imageOf([100]), imageOf([200])];
    const [hub, first, second] = serve('known.test', known);
    expect((await pullTag('known.test')).digest).toBe(known.manifest.digest);
    await hub.down();
    const confirmed = await pullTag('known.test');
    expect([confirmed.digest, confirmed.headers.get('warning')]).toEqual([known.manifest.digest, null]);
    first.add('library/app', other, 'v1');
    await second.down();
    const stale = await pullTag('known.test');
    expect([stale.digest, stale.headers.get('warning')?.slice(0, 4)]).toEqual([known.manifest.digest, '299 ']);
  });
});

describe('within its TTL', () => {
  test('a tag is served without a word to anybody, and after a restart with no network too', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-tags-'));
    const own = await startSources({ 'docker.io': ['authority', 'digest-only'] });
    const settings = { registries: own.registries, mirror: { tag_ttl: '1s', revalidate_timeout: `${deadlineMs}ms` }, dataDir };
    const image = imageOf([1000]);
    const all = own.of('docker.io').slice(0, 2);
    for (const source of all) source.add('library/app', image, 'v1');
    let running = await startServer(settings);
    try {
      const layer = image.layers[0]?.digest ?? '';
      for (let times = 0; times < 5; times++) expect((await pull(running, '/v2/app/manifests/v1')).status).toBe(200);
      expect((await pull(running, `/v2/app/blobs/${layer}`)).digest).toBe(layer);
      expect(all.reduce((sum, source) => sum + source.requests.length, 0)).toBe(2);

      expect(await running.stop()).toBe(0);
      for (const source of all) await source.down();
      await Bun.sleep(1000);
      running = await startServer(settings);
      const offline = await pull(running, '/v2/app/manifests/v1');
      expect([offline.status, offline.digest]).toEqual([200, image.manifest.digest]);
      expect(offline.headers.get('warning')).toStartWith('299 ');
      expect((await pull(running, `/v2/app/manifests/${image.manifest.digest}`)).headers.get('warning')).toBeNull();
      const blob = await pull(running, `/v2/app/blobs/${layer}`);
      expect([blob.status, blob.digest]).toEqual([200, layer]);
      // In the image, but never pulled.
      expect((await pull(running, `/v2/app/blobs/${image.config.digest}`)).status).toBe(503);
      expect((await pull(running, '/v2/other/manifests/v1')).status).toBe(503);
      const tags = JSON.parse((await pull(running, '/v2/app/tags/list')).bytes.toString()) as { tags: string[] };
      expect(tags.tags).toEqual(['v1']);
      expect(running.logs()).not.toContain('"level":"error"');
    } finally {
      await running.stop();
      await own.stop();
      rmSync(dataDir, { recursive: true, force: true });
    }
  }, 20_000);
});

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
