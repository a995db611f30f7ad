// Storing manifests: by tag and by digest, several tags at once, and everything that has to be refused.
// Implements distribution-spec v1.1 "Pushing Manifests", end-7, and the tag parameters of its main branch, end-7b.

import { manifestPath, prepareImage, pushBlob, pushManifest, putManifestRequest, resolveReference } from '../actions.ts';
import { describe, imageIndex, imageManifest, manifestOfText, mediaTypes, randomBlob, unknownDigest } from '../content.ts';
import { check, expectBytes, expectEmpty, expectError, expectHeader, expectSame, expectStatus, requireHeader } from '../expect.ts';
import { type CaseContext, spec, specMain, type WireCase } from '../wire-case.ts';

const push = spec('Pushing Manifests', 'end-7');
const missing = spec('Push (MANIFEST_BLOB_UNKNOWN)', 'end-7');
const tagParameters = specMain('Pushing Manifests (tag parameters)', 'end-7b');
const limitBytes = 4 * 1024 * 1024;

export const manifestWriteCases: readonly WireCase[] = [
  {
    id: 'manifest.put-by-tag',
    level: 'MUST',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const response = await context.send(putManifestRequest(context.repository, 'v1', manifest));
      expectStatus(response, 201);
      expectHeader(response, 'Docker-Content-Digest', manifest.digest);
      expectEmpty(response);
    },
  },
  {
    id: 'manifest.put-location-is-pullable',
    level: 'MUST',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const response = await context.send(putManifestRequest(context.repository, 'v1', manifest));
      expectStatus(response, 201);
      const location = resolveReference(manifestPath(context.repository, 'v1'), requireHeader(response, 'Location'));
      const pulled = await context.send({ method: 'GET', path: location, headers: [['Accept', manifest.mediaType]] });
      expectStatus(pulled, 200);
      expectBytes(pulled, manifest.bytes);
    },
  },
  {
    id: 'manifest.put-by-digest',
    level: 'MUST',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const response = await context.send(putManifestRequest(context.repository, manifest.digest, manifest));
      expectStatus(response, 201);
      expectHeader(response, 'Docker-Content-Digest', manifest.digest);
    },
  },
  {
    id: 'manifest.put-again-succeeds',
    level: 'MUST',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      await pushManifest(context, manifest, { reference: 'v1' });
      expectStatus(await context.send(putManifestRequest(context.repository, 'v1', manifest)), 201);
    },
  },
  {
    id: 'manifest.put-without-content-type-takes-the-media-type',
    level: 'PROMISE',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const request = putManifestRequest(context.repository, 'v1', manifest);
      expectStatus(await context.send({ ...request, headers: [] }), 201);
      const pulled = await context.send({ method: 'GET', path: request.path, headers: [['Accept', mediaTypes.image]] });
      expectHeader(pulled, 'Content-Type', mediaTypes.image);
    },
  },
  {
    id: 'manifest.cut-short-stores-nothing',
    level: 'MUST',
    clause: spec('Pushing Manifests (exact byte representation)', 'end-7'),
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const request = putManifestRequest(context.repository, 'v1', manifest);
      await context.client.sendPart(request, manifest.bytes.length - 1);
      expectStatus(await context.send({ method: 'GET', path: request.path, headers: [['Accept', mediaTypes.image]] }), 404);
    },
  },
  {
    id: 'manifest.many-puts-of-one-tag-at-once-leave-one-of-them',
    level: 'MUST',
    clause: push,
    run: async (context) => {
      const images = await Promise.all(Array.from({ length: 6 }, () => prepareImage(context)));
      const answers = await Promise.all(images.map(({ manifest }) => context.send(putManifestRequest(context.repository, 'v1', manifest))));
      for (const answer of answers) expectStatus(answer, 201);
      const head = await context.send({
        method: 'HEAD',
        path: manifestPath(context.repository, 'v1'),
        headers: [['Accept', mediaTypes.image]],
      });
      const digest = requireHeader(head, 'Docker-Content-Digest');
      check(
        images.some(({ manifest }) => manifest.digest === digest),
        `the tag names ${digest}, which nobody pushed`,
      );
    },
  },
  {
    id: 'manifest.put-by-another-digest-is-refused',
    level: 'MUST',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const wrong = unknownDigest();
      expectError(await context.send(putManifestRequest(context.repository, wrong, manifest)), 400, 'DIGEST_INVALID');
      for (const digest of [wrong, manifest.digest]) {
        expectStatus(await context.send({ method: 'HEAD', path: manifestPath(context.repository, digest) }), 404);
      }
    },
  },
  {
    id: 'manifest.put-with-tag-parameters-names-them',
    level: 'MUST',
    clause: tagParameters,
    run: async (context) => {
      const response = await putWithTags(context, ['a', 'b.2', 'C_3']);
      expectStatus(response.answer, 201);
      const named = response.answer.headerAll('OCI-Tag').flatMap((value) => value.split(/\s*,\s*/));
      expectSame(`${response.answer.title}: OCI-Tag`, named.toSorted(), ['C_3', 'a', 'b.2']);
    },
  },
  {
    id: 'manifest.put-with-tag-parameters-moves-the-tags',
    level: 'MUST',
    clause: tagParameters,
    run: async (context) => {
      const { answer, digest } = await putWithTags(context, ['a', 'b']);
      expectStatus(answer, 201);
      for (const tag of ['a', 'b']) {
        const head = await context.send({
          method: 'HEAD',
          path: manifestPath(context.repository, tag),
          headers: [['Accept', mediaTypes.image]],
        });
        expectStatus(head, 200);
        expectHeader(head, 'Docker-Content-Digest', digest);
      }
    },
  },
  {
    id: 'manifest.put-with-ten-tag-parameters',
    level: 'SHOULD',
    clause: tagParameters,
    run: async (context) => {
      const { answer } = await putWithTags(context, [...'abcdefghij']);
      expectStatus(answer, 201);
      check(answer.headerAll('OCI-Tag').flatMap((value) => value.split(',')).length === 10, `${answer.title}: not ten OCI-Tag values`);
    },
  },
  {
    id: 'manifest.put-with-a-bad-tag-parameter-stores-nothing',
    level: 'PROMISE',
    clause: tagParameters,
    run: async (context) => {
      const { answer, digest } = await putWithTags(context, ['good', '-bad']);
      expectError(answer, 400);
      for (const reference of ['good', digest]) {
        expectStatus(await context.send({ method: 'HEAD', path: manifestPath(context.repository, reference) }), 404);
      }
    },
  },
  {
    id: 'manifest.missing-layer-is-refused',
    level: 'PROMISE',
    clause: missing,
    run: async (context) => {
      const config = await pushBlob(context, randomBlob(20, { mediaType: mediaTypes.config }));
      const manifest = imageManifest({ config, layers: [randomBlob(20)] });
      expectError(await context.send(putManifestRequest(context.repository, 'v1', manifest)), [400, 404], 'MANIFEST_BLOB_UNKNOWN');
      expectStatus(await context.send({ method: 'HEAD', path: manifestPath(context.repository, 'v1') }), 404);
    },
  },
  {
    id: 'manifest.missing-config-is-refused',
    level: 'PROMISE',
    clause: missing,
    run: async (context) => {
      const layer = await pushBlob(context, randomBlob(20));
      const manifest = imageManifest({ config: randomBlob(20, { mediaType: mediaTypes.config }), layers: [layer] });
      expectError(await context.send(putManifestRequest(context.repository, 'v1', manifest)), [400, 404], 'MANIFEST_BLOB_UNKNOWN');
    },
  },
  {
    id: 'manifest.missing-child-of-an-index-is-refused',
    level: 'PROMISE',
    clause: missing,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const index = imageIndex([describe(manifest)]);
      expectError(await context.send(putManifestRequest(context.repository, 'v1', index)), [400, 404], 'MANIFEST_BLOB_UNKNOWN');
    },
  },
  {
    id: 'manifest.schema1-is-refused-clearly',
    level: 'PROMISE',
    clause: push,
    run: async (context) => {
      const text = JSON.stringify({
        schemaVersion: 1,
        name: context.repository,
        tag: 'v1',
        architecture: 'amd64',
        fsLayers: [],
        history: [],
      });
      const manifest = manifestOfText(text, mediaTypes.dockerSchema1);
      const answer = expectError(await context.send(putManifestRequest(context.repository, 'v1', manifest)), [400, 415], refusals);
      check(/schema/i.test(answer.message), `the message does not speak of the schema: ${answer.message}`);
    },
  },
  ...refused('that-is-no-json', () => '{"schemaVersion":2,'),
  ...refused('that-is-no-object', () => '[]'),
  ...refused('that-is-empty', () => ''),
  ...refused('without-a-config', () => JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.image, layers: [] })),
  ...refused('with-both-layers-and-manifests', () =>
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.image, config: describe(emptyConfig), layers: [], manifests: [] }),
  ),
  ...refused('with-a-malformed-digest', () =>
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.image, config: { ...describe(emptyConfig), digest: 'sha256:x' }, layers: [] }),
  ),
  ...refused('with-a-key-twice', () => `{"schemaVersion":2,"mediaType":"${mediaTypes.image}",${validRest()},"layers":[]}`),
  ...refused('with-trailing-data', () => `{"schemaVersion":2,"mediaType":"${mediaTypes.image}",${validRest()}}{}`),
  ...refused('with-a-byte-order-mark', () => `\ufeff{"schemaVersion":2,"mediaType":"${mediaTypes.image}",${validRest()}}`),
  ...refused(
    'nested-a-thousand-deep',
    () => `{"schemaVersion":2,"mediaType":"${mediaTypes.image}","x":${'['.repeat(1000)}${']'.repeat(1000)}}`,
  ),
  {
    id: 'manifest.content-type-other-than-its-media-type-is-refused',
    level: 'PROMISE',
    clause: push,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const request = putManifestRequest(context.repository, 'v1', { ...manifest, mediaType: mediaTypes.index });
      expectError(await context.send(request), [400, 415], refusals);
    },
  },
  {
    id: 'manifest.of-four-mebibytes-is-stored',
    level: 'SHOULD',
    clause: spec('Pushing Manifests (at least 4 megabytes)', 'end-7'),
    run: async (context) => {
      const manifest = await paddedManifest(context, limitBytes);
      expectStatus(await context.send(putManifestRequest(context.repository, 'large', manifest)), 201);
      const pulled = await context.send({
        method: 'GET',
        path: manifestPath(context.repository, 'large'),
        headers: [['Accept', mediaTypes.image]],
      });
      expectBytes(pulled, manifest.bytes);
    },
  },
  {
    id: 'manifest.over-four-mebibytes-answers-413',
    level: 'SHOULD',
    clause: spec('Pushing Manifests (413)', 'end-7'),
    run: async (context) => {
      const manifest = await paddedManifest(context, limitBytes + 1);
      expectError(await context.send(putManifestRequest(context.repository, 'large', manifest)), 413);
      expectStatus(await context.send({ method: 'HEAD', path: manifestPath(context.repository, 'large') }), 404);
    },
  },
  {
    id: 'manifest.over-four-mebibytes-in-chunked-coding-answers-413',
    level: 'SHOULD',
    clause: spec('Pushing Manifests (413)', 'end-7'),
    run: async (context) => {
      const manifest = await paddedManifest(context, limitBytes + 1);
      expectError(await context.send({ ...putManifestRequest(context.repository, 'large', manifest), chunked: true }), 413);
    },
  },
];

const refusals = ['MANIFEST_INVALID', 'UNSUPPORTED'];
const emptyConfig = randomBlob(8, { mediaType: mediaTypes.config });

/** The members that make a manifest of `emptyConfig` valid, without braces. */
function validRest(): string {
  return `"config":${JSON.stringify(describe(emptyConfig))},"layers":[]`;
}

async function putWithTags(
  context: CaseContext,
  tags: readonly string[],
): Promise<{ answer: Awaited<ReturnType<CaseContext['send']>>; digest: string }> {
  const { manifest } = await prepareImage(context);
  const request = putManifestRequest(context.repository, manifest.digest, manifest);
  const query = tags.map((tag) => `tag=${encodeURIComponent(tag)}`).join('&');
  return { answer: await context.send({ ...request, path: `${request.path}?${query}` }), digest: manifest.digest };
}

/** A stored image's manifest of exactly this size, filled up by an annotation. */
async function paddedManifest(context: CaseContext, sizeBytes: number): Promise<ReturnType<typeof imageManifest>> {
  const { config, layer } = await prepareImage(context);
  const build = (padding: number): ReturnType<typeof imageManifest> =>
    imageManifest({ config, layers: [layer], members: { annotations: { 'org.example.padding': 'x'.repeat(padding) } } });
  return build(sizeBytes - build(0).bytes.length);
}

/** A document sent as an OCI image manifest that is none. */
function refused(kind: string, text: () => string): WireCase[] {
  return [
    {
      id: `manifest.${kind}-is-refused`,
      level: 'PROMISE',
      clause: spec('Pushing Manifests (MANIFEST_INVALID)', 'end-7'),
      run: async (context) => {
        await pushBlob(context, emptyConfig);
        const manifest = manifestOfText(text(), mediaTypes.image);
        expectError(await context.send(putManifestRequest(context.repository, 'v1', manifest)), 400, 'MANIFEST_INVALID');
        expectStatus(await context.send({ method: 'HEAD', path: manifestPath(context.repository, 'v1') }), 404);
      },
    },
  ];
}
