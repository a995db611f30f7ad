// A registry whose every source is down, or that has deleted the content: the same digest is taken from the repository that is known to be
// its equal, manifest and blobs; a tag never is. field notes O27.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { explain, pull, startServer, startSources } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources({ 'down.test': ['authority', 'digest-only'], 'up.test': ['authority'], 'twin.test': ['authority'] });
  server = await startServer({
    registries: sources.registries,
    mirror: {
      not_found_ttl: '0s',
      equivalents: ['down.test', 'up.test'].map((from) => ({ from: `${from}/library/*`, to: 'twin.test/copy/library/*' })),
    },
  });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});

test('an image by digest comes from the twin when its own sources are down, and its tag does not', async () => {
  const image = imageOf([20_000, 9_000_000]);
  const [hub, mirror] = sources.of('down.test');
  const [twin] = sources.of('twin.test');
  twin.add('copy/library/app', image, 'v1');
  await hub.down();
  await mirror.down();
  const tag = await pull(server, '/v2/down.test/library/app/manifests/v1');
  expect([tag.status, twin.requests.length]).toEqual([503, 0]);
  const manifest = await pull(server, `/v2/down.test/library/app/manifests/${image.manifest.digest}`);
  expect([manifest.status, manifest.digest]).toEqual([200, image.manifest.digest]);
  for (const content of [image.config, ...image.layers]) {
    const blob = await pull(server, `/v2/down.test/library/app/blobs/${content.digest}`);
    expect([blob.status, blob.digest]).toEqual([200, content.digest]);
  }
  const parts = (await explain(server, `down.test/library/app@${image.manifest.digest}`)).blobs;
  expect(parts.every((part) => part.cached && part.segments.every((segment) => segment.source === twin.url))).toBe(true);
});

test('what its registry no longer has comes from the twin too, and what nobody has is its 404', async () => {
  const image = imageOf([100]);
  const [twin] = sources.of('twin.test');
  twin.add('copy/library/old', image);
  expect((await pull(server, `/v2/up.test/library/old/manifests/${image.manifest.digest}`)).status).toBe(200);
  const nobody = await pull(server, `/v2/up.test/library/old/manifests/sha256:${'7'.repeat(64)}`);
  expect([nobody.status, nobody.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
});

test('a twin that lies delivers nothing', async () => {
  const image = imageOf([100]);
  const [twin] = sources.of('twin.test');
  twin.add('copy/library/lie', image);
  twin.rule((request, answer) =>
    request.path.includes('/copy/library/lie/') ? { ...answer, body: Buffer.concat([answer.body, Buffer.from(' ')]) } : undefined,
  );
  const answer = await pull(server, `/v2/up.test/library/lie/manifests/${image.manifest.digest}`);
  expect(answer.status).toBe(404);
  twin.clearRules();
});

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
