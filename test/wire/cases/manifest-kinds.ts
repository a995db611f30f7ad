// Every kind of manifest a client pushes: stored, given back byte for byte with its own type, by tag and by digest.
// Shapes: image-spec v1.1 manifest.md and image-index.md, Docker image manifest v2 schema 2. Implements distribution-spec v1.1 end-3 and end-7.

import { manifestPath, prepareImage, pushBlob, pushImage, putManifestRequest } from '../actions.ts';
import { type Content, describe, emptyJsonBlob, imageIndex, imageManifest, manifestOf, mediaTypes, randomBlob } from '../content.ts';
import { expectBytes, expectHeader, expectStatus } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const amd64 = { architecture: 'amd64', os: 'linux' };

export const manifestKindCases: readonly WireCase[] = [
  kind('image', async (context) => (await prepareImage(context)).manifest),
  kind('image-without-a-media-type-field', async (context) => {
    const { config, layer } = await prepareImage(context);
    return manifestOf({ schemaVersion: 2, config: describe(config), layers: [describe(layer)] }, mediaTypes.image);
  }),
  kind('image-without-layers', async (context) => {
    const config = await pushBlob(context, randomBlob(20, { mediaType: mediaTypes.config }));
    return imageManifest({ config, layers: [] });
  }),
  kind('image-with-a-config-type-of-its-own', async (context) => {
    const config = await pushBlob(context, randomBlob(20, { mediaType: 'application/vnd.example.config.v1+json' }));
    return imageManifest({ config, layers: [config] });
  }),
  kind('image-with-unknown-members', async (context) => {
    const members = { 'x-own': [1, { deep: true }], annotations: { 'org.example.note': 'hé' } };
    return (await prepareImage(context, { members })).manifest;
  }),
  kind('image-with-inline-data', async (context) => {
    const empty = await pushBlob(context, emptyJsonBlob());
    const layer = await pushBlob(context, randomBlob(20));
    const config = { ...describe(empty), data: 'e30=' };
    return imageManifest({ config: empty, layers: [layer], members: { config } });
  }),
  kind('image-with-an-absent-nondistributable-layer', async (context) => {
    const { config, layer } = await prepareImage(context);
    const foreign = describe(randomBlob(30, { mediaType: mediaTypes.nondistributable }), { urls: ['https://example.org/layer.tar'] });
    return imageManifest({ config, layers: [], members: { layers: [describe(layer), foreign] } });
  }),
  kind('index', async (context) => {
    const { manifest } = await pushImage(context);
    return imageIndex([describe(manifest, { platform: amd64 })]);
  }),
  kind('nested-index', async (context) => {
    const { manifest } = await pushImage(context);
    const inner = imageIndex([describe(manifest, { platform: amd64 })]);
    await store(context, inner);
    return imageIndex([describe(inner), describe(manifest)]);
  }),
  kind('empty-index', async () => imageIndex([])),
  kind('index-with-an-artifact-type', async (context) => {
    const { manifest } = await pushImage(context);
    return imageIndex([describe(manifest)], { artifactType: 'application/vnd.example.bundle' });
  }),
  kind('artifact-with-an-empty-config', async (context) => {
    const config = await pushBlob(context, emptyJsonBlob());
    const layer = await pushBlob(context, randomBlob(50, { mediaType: 'application/vnd.example.data' }));
    return imageManifest({ config, layers: [layer], members: { artifactType: 'application/vnd.example.artifact' } });
  }),
  kind('artifact-without-layers', async (context) => {
    const config = await pushBlob(context, emptyJsonBlob());
    return imageManifest({
      config,
      layers: [config],
      members: { artifactType: 'application/vnd.example.artifact', annotations: unique() },
    });
  }),
  kind('docker-schema2', dockerImage),
  kind('docker-manifest-list', async (context) => {
    const image = await dockerImage(context);
    await store(context, image);
    const manifests = [describe(image, { platform: amd64 })];
    return manifestOf({ schemaVersion: 2, mediaType: mediaTypes.dockerList, manifests }, mediaTypes.dockerList);
  }),
  kind('index-over-a-docker-image', async (context) => {
    const image = await dockerImage(context);
    await store(context, image);
    return imageIndex([describe(image, { platform: amd64 })]);
  }),
];

/** A manifest of this kind is stored under a tag and comes back as it was, by tag and by digest. */
function kind(name: string, make: (context: CaseContext) => Promise<Content>): WireCase {
  return {
    id: `kind.${name}`,
    level: 'MUST',
    clause: spec('Pushing Manifests, Pulling manifests', 'end-3, end-7'),
    run: async (context) => {
      const manifest = await make(context);
      await store(context, manifest, 'v1');
      for (const reference of ['v1', manifest.digest]) {
        const path = manifestPath(context.repository, reference);
        const response = await context.send({ method: 'GET', path, headers: [['Accept', manifest.mediaType]] });
        expectStatus(response, 200);
        expectBytes(response, manifest.bytes);
        expectHeader(response, 'Content-Type', manifest.mediaType);
        expectHeader(response, 'Docker-Content-Digest', manifest.digest);
      }
    },
  };
}

async function store(context: CaseContext, manifest: Content, reference = manifest.digest): Promise<void> {
  expectStatus(await context.send(putManifestRequest(context.repository, reference, manifest)), 201);
}

async function dockerImage(context: CaseContext): Promise<Content> {
  const config = await pushBlob(context, randomBlob(40, { mediaType: mediaTypes.dockerConfig }));
  const layer = await pushBlob(context, randomBlob(80, { mediaType: mediaTypes.dockerLayer }));
  const members = { schemaVersion: 2, mediaType: mediaTypes.dockerImage, config: describe(config), layers: [describe(layer)] };
  return manifestOf(members, mediaTypes.dockerImage);
}

function unique(): Record<string, string> {
  return { 'org.example.unique': randomBlob(8).digest };
}
