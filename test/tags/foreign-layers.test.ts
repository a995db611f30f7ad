// A layer that its manifest places elsewhere: fetched from a host on the list when no source has it, from no other host. fault F49.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type FakeSource, flipByte, on, startFakeSource } from '../mirror/fake-source.ts';
import { explain, pull, startServer, startSources } from '../mirror/harness.ts';
import { contentOf, imageType, type Manifest, randomContent } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
let files: FakeSource;
let stranger: FakeSource;
beforeAll(async () => {
  sources = await startSources({ 'windows.test': ['authority'] });
  [files, stranger] = [await startFakeSource(), await startFakeSource()];
  server = await startServer({ registries: sources.registries, mirror: { foreign_layers: [files.url] } });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
  await files?.stop();
  await stranger?.stop();
});

/** An image manifest with one layer of this content, at these addresses. */
function foreignImage(layer: { digest: string; bytes: Buffer }, urls: readonly string[]): Manifest {
  const config = contentOf(Buffer.from('{"os":"windows"}'));
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.bytes.length },
    layers: [
      { mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', digest: layer.digest, size: layer.bytes.length, urls },
    ],
  });
  return { ...contentOf(Buffer.from(text)), mediaType: imageType };
}
/** Serves the layer at the path of a blob, which is as good an address as any. */
function place(host: FakeSource, name: string, layer: { digest: string; bytes: Buffer }): string {
  host.addBlob(name, layer);
  return `${host.url}/v2/${name}/blobs/${layer.digest}?sig=secret`;
}
const layerOf = (repository: string, digest: string) => pull(server, `/v2/windows.test/library/${repository}/blobs/${digest}`);

test.each([20_000, 9_000_000])('a layer of %i bytes comes from its address, is checked and cached', async (size) => {
  const [hub] = sources.of('windows.test');
  const layer = randomContent(size);
  const elsewhere = place(stranger, 'files/any', layer);
  hub.add('library/base', foreignImage(layer, [elsewhere, place(files, 'files/any', layer)]), `v${size}`);
  expect((await pull(server, `/v2/windows.test/library/base/manifests/v${size}`)).status).toBe(200);
  for (let times = 0; times < 2; times++) {
    const answer = await layerOf('base', layer.digest);
    expect([answer.status, answer.digest]).toEqual([200, layer.digest]);
  }
  expect([files.count(layer.digest), stranger.requests.length]).toEqual([1, 0]);
  const told = await explain(server, `windows.test/library/base:v${size}`);
  expect(JSON.stringify(told)).not.toContain('secret');
  expect(told.blobs.find((blob) => blob.digest === layer.digest)?.segments[0]?.source).toStartWith(files.url);
});

test('wrong bytes at its address are never the layer', async () => {
  const [hub] = sources.of('windows.test');
  const layer = randomContent(1000);
  hub.add('library/wrong', foreignImage(layer, [place(files, 'files/wrong', layer)]), 'v1');
  files.rule(on(layer.digest, flipByte(10)));
  expect((await pull(server, '/v2/windows.test/library/wrong/manifests/v1')).status).toBe(200);
  expect((await layerOf('wrong', layer.digest)).status).toBe(404);
  files.clearRules();
  const answer = await layerOf('wrong', layer.digest);
  expect([answer.status, answer.digest]).toEqual([200, layer.digest]);
});

test('SEC-D06: a host that is not on the list is not asked, nor is any for a layer no manifest names', async () => {
  const [hub] = sources.of('windows.test');
  const layer = randomContent(1000);
  hub.add('library/other', foreignImage(layer, [place(stranger, 'files/other', layer), 'file:///etc/passwd', 'not a url']), 'v1');
  expect((await pull(server, '/v2/windows.test/library/other/manifests/v1')).status).toBe(200);
  expect((await layerOf('other', layer.digest)).status).toBe(404);
  expect(stranger.requests).toHaveLength(0);
});

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
