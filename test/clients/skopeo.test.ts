// skopeo pushes every kind of test image with the administrator's secret and pulls it back anonymously: the same digests, the same bytes.
// What skopeo cannot send (an index inside an index, untagged referrers) goes through raw-client.ts. Needs Debian's skopeo.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import {
  blobFile,
  blobsOf,
  graphOf,
  listedManifests,
  type ManifestNode,
  reachableDigests,
  taggedManifest,
  verifiedDigests,
} from './layout-content.ts';
import { offlineConfig } from './mirror-config.ts';
import { createRawClient, getManifest, listReferrers, pushBlob, putManifest, type RawClient } from './raw-client.ts';
import { createSkopeo, type Skopeo } from './skopeo.ts';

const ready = requireTools(...imageTools) && requireRoot();
const imageBuildMs = 300_000;

const kinds: readonly (readonly [layout: string, tag: string])[] = [
  ['debian', 'v1'],
  ['debian', 'v3'],
  ['app', '1.0'],
  ['big', '256m'],
  ['multiarch', 'latest'],
  ['manylayers', '100'],
  ['zstd', 'zstd'],
  ['zstd', 'gzip'],
  ['zstd', 'mixed'],
  ['zstd', 'uncompressed'],
  ['artifacts', 'helm'],
  ['artifacts', 'oras'],
  ['artifacts', 'wasm'],
  ['artifacts', 'empty'],
  ['artifacts', 'image'],
];

describe.skipIf(!ready)('skopeo', () => {
  let images: TestImages;
  let server: RunningBreakwater;
  let skopeo: Skopeo;
  let client: RawClient;
  let folder: string;
  const admin = (): string => `admin:${server.adminPassword}`;
  const remote = (name: string): string => `docker://127.0.0.1:${server.port}/library/${name}`;

  beforeAll(async () => {
    images = await testImages();
    server = await startBreakwater({ config: offlineConfig });
    skopeo = createSkopeo(images);
    client = createRawClient(server.url);
    folder = mkdtempSync(join(tmpdir(), 'skopeo-round-trip-'));
  }, imageBuildMs);

  afterAll(async () => {
    skopeo?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    await server?.stop();
  });

  test.each(kinds)(
    'gets %s:%s back anonymously with every digest and byte as it was pushed',
    async (layout, tag) => {
      const target = join(folder, `${layout}-${tag}`);
      await skopeo.copy({ from: images.oci(layout, tag), to: remote(`${layout}:${tag}`), toCredentials: admin() });
      await skopeo.copy({ from: remote(`${layout}:${tag}`), to: `oci:${target}:${tag}` });
      expect(await verifiedDigests(target)).toEqual(reachableDigests(images.layout(layout), tag));
      const top = taggedManifest(images.layout(layout), tag);
      const served = await skopeo.inspectRaw(remote(`${layout}:${tag}`));
      expect(served.stdout).toBe(readFileSync(blobFile(images.layout(layout), top.digest), 'utf8'));
      rmSync(target, { recursive: true, force: true });
    },
    120_000,
  );

  test.each(['schema2', 'schema2-list'] as const)('gets the Docker format %s back byte for byte', async (name) => {
    const target = join(folder, name);
    await skopeo.copy({ from: images.dir(name), to: remote(`${name}:1`), toCredentials: admin() });
    await skopeo.copy({ from: remote(`${name}:1`), to: `dir:${target}` });
    expect(filesOf(target)).toEqual(filesOf(images.layout(name)));
  });

  test('is refused without credentials and with a wrong password, and the tag does not appear', async () => {
    const push = { from: images.oci('artifacts', 'image'), to: remote('refused:1') };
    expect((await skopeo.tryCopy(push)).code).not.toBe(0);
    const wrong = await skopeo.tryCopy({ ...push, toCredentials: 'admin:wrong' });
    expect(wrong.code).not.toBe(0);
    expect(wrong.stderr).toMatch(/unauthorized|denied|authentication required|invalid username/i);
    expect((await skopeo.inspectRaw(remote('refused:1'))).code).not.toBe(0);
  });

  test('finds an index inside an index whole after a raw push, children first', async () => {
    const layout = images.layout('artifacts');
    const nodes = graphOf(layout, taggedManifest(layout, 'nested'));
    const pull = await pushGraph('library/nested', nodes, 'nested');
    for (const node of nodes) {
      const served = await getManifest(client, { repository: 'library/nested', reference: node.descriptor.digest }, pull);
      expect(served.status).toBe(200);
      expect(Buffer.from(served.bytes).equals(node.bytes)).toBe(true);
      expect(served.headers.get('content-type')).toBe(node.descriptor.mediaType);
    }
    const tagged = await getManifest(client, { repository: 'library/nested', reference: 'nested' }, pull);
    expect(tagged.headers.get('docker-content-digest')).toBe(taggedManifest(layout, 'nested').digest);
    for (const blob of blobsOf(nodes)) {
      const served = await client.send(`/v2/library/nested/blobs/${blob.digest}`, { token: pull });
      expect(Buffer.from(await served.arrayBuffer()).equals(readFileSync(blobFile(layout, blob.digest)))).toBe(true);
    }
  });

  test('lists exactly the pushed referrers of each subject, with artifact types and annotations', async () => {
    const layout = images.layout('artifacts');
    const repository = 'library/referrers';
    const tagged = ['helm', 'image'].flatMap((tag) => graphOf(layout, taggedManifest(layout, tag)));
    const referrers = listedManifests(layout)
      .filter((entry) => entry.annotations?.['org.opencontainers.image.ref.name'] === undefined)
      .flatMap((entry) => graphOf(layout, entry));
    const nodes = [...new Map([...tagged, ...referrers].map((node) => [node.descriptor.digest, node])).values()];
    const token = await pushGraph(repository, nodes);
    const subjects = new Set(nodes.flatMap((node) => (node.json.subject === undefined ? [] : [node.json.subject.digest])));
    expect(subjects.size).toBe(3);
    for (const digest of subjects) {
      const expected = nodes.filter((node) => node.json.subject?.digest === digest).map((node) => expectedReferrer(node));
      const listed = (await listReferrers(client, { repository, digest }, token)).map((entry) => [
        entry.digest,
        entry.size,
        entry.artifactType,
      ]);
      expect(listed.sort()).toEqual(expected.sort());
    }
  });

  /** Pushes blobs and manifests with a push token; tags the last node when a tag is given. Gives an anonymous pull token. */
  async function pushGraph(repository: string, nodes: readonly ManifestNode[], tag?: string): Promise<string> {
    const layout = images.layout('artifacts');
    const token = await client.token([`repository:${repository}:pull,push`], { username: 'admin', password: server.adminPassword });
    for (const blob of blobsOf(nodes)) {
      const bytes = readFileSync(blobFile(layout, blob.digest));
      expect(await pushBlob(client, repository, { digest: blob.digest, bytes }, token)).toBe(201);
    }
    for (const [index, node] of nodes.entries()) {
      const references = index === nodes.length - 1 && tag !== undefined ? [node.descriptor.digest, tag] : [node.descriptor.digest];
      for (const reference of references) {
        const answer = await putManifest(client, { repository, reference, bytes: node.bytes, mediaType: node.descriptor.mediaType, token });
        expect(answer.status).toBe(201);
        expect(answer.headers.get('docker-content-digest')).toBe(node.descriptor.digest);
        expect(answer.headers.get('oci-subject')).toBe(node.json.subject?.digest ?? null);
      }
    }
    return client.token([`repository:${repository}:pull`]);
  }
});

/** An artifact's type is its artifactType, else the media type of its config (distribution-spec v1.1, "Listing Referrers"). */
function expectedReferrer(node: ManifestNode): [string, number, string | undefined] {
  return [node.descriptor.digest, node.descriptor.size, node.json.artifactType ?? node.json.config?.mediaType];
}

/** Names and contents of a `dir:` folder; skopeo's own version file is left out. */
function filesOf(directory: string): Record<string, string> {
  const names = readdirSync(directory).filter((name) => name !== 'version');
  return Object.fromEntries(
    names.sort().map((name) => [name, new Bun.CryptoHasher('sha256').update(readFileSync(join(directory, name))).digest('hex')]),
  );
}
