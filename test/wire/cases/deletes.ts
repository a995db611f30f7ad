// Deleting tags, manifests and blobs: what goes, what stays, and that the answer comes after the deed.
// Implements distribution-spec v1.1 "Content Management", end-9 and end-10.

import { blobPath, manifestPath, prepare, pushBlob, pushImage, pushManifest, pushTags, putManifestRequest } from '../actions.ts';
import { describe, imageIndex, mediaTypes, randomBlob, unknownDigest } from '../content.ts';
import { expectBytes, expectError, expectSame, expectStatus, expectStrings } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const tag = spec('Deleting tags', 'end-9');
const manifest = spec('Deleting Manifests', 'end-9');
const blob = spec('Deleting Blobs', 'end-10');

export const deleteCases: readonly WireCase[] = [
  {
    id: 'delete.tag-answers-202-and-is-gone',
    level: 'PROMISE',
    clause: tag,
    run: async (context) => {
      await pushTags(context, ['keep', 'go']);
      expectStatus(await remove(context, manifestPath(context.repository, 'go')), 202);
      expectStatus(await get(context, 'go'), 404);
      expectSame('tags', await tags(context), ['keep']);
    },
  },
  {
    id: 'delete.tag-or-a-refusal-of-the-specification',
    level: 'MUST',
    clause: tag,
    run: async (context) => {
      await pushTags(context, ['go']);
      expectStatus(await remove(context, manifestPath(context.repository, 'go')), 202, 400, 405);
    },
  },
  {
    id: 'delete.tag-leaves-the-manifest',
    level: 'MUST',
    clause: tag,
    run: async (context) => {
      const image = await pushTags(context, ['go']);
      await remove(context, manifestPath(context.repository, 'go'));
      const response = await get(context, image.manifest.digest);
      expectStatus(response, 200);
      expectBytes(response, image.manifest.bytes);
    },
  },
  {
    id: 'delete.last-tag-leaves-an-empty-list',
    level: 'PROMISE',
    clause: tag,
    run: async (context) => {
      await pushTags(context, ['only']);
      await prepare(context, { method: 'DELETE', path: manifestPath(context.repository, 'only') }, 202);
      expectSame('tags', await tags(context), []);
    },
  },
  {
    id: 'delete.unknown-tag-answers-404',
    level: 'PROMISE',
    clause: tag,
    run: async (context) => {
      await pushTags(context, ['keep']);
      expectError(await remove(context, manifestPath(context.repository, 'never')), 404, 'MANIFEST_UNKNOWN');
    },
  },
  {
    id: 'delete.manifest-answers-202-and-is-gone',
    level: 'PROMISE',
    clause: manifest,
    run: async (context) => {
      const image = await pushImage(context);
      expectStatus(await remove(context, manifestPath(context.repository, image.manifest.digest)), 202);
      expectError(await get(context, image.manifest.digest), 404, 'MANIFEST_UNKNOWN');
    },
  },
  {
    id: 'delete.manifest-takes-its-tags-along',
    level: 'MUST',
    clause: manifest,
    run: async (context) => {
      const image = await pushTags(context, ['a', 'b']);
      await pushImage(context, { reference: 'other' });
      await prepare(context, { method: 'DELETE', path: manifestPath(context.repository, image.manifest.digest) }, 202);
      for (const reference of ['a', 'b']) expectStatus(await get(context, reference), 404);
      expectSame('tags', await tags(context), ['other']);
    },
  },
  {
    id: 'delete.manifest-leaves-the-other-repository',
    level: 'MUST',
    clause: manifest,
    run: async (context) => {
      const image = await pushImage(context, { reference: 'v1' });
      const other = context.repositoryNamed('other');
      for (const part of [image.config, image.layer]) await pushBlob(context, part, other);
      await pushManifest(context, image.manifest, { repository: other, reference: 'v1' });
      await prepare(context, { method: 'DELETE', path: manifestPath(context.repository, image.manifest.digest) }, 202);
      const path = manifestPath(other, 'v1');
      expectBytes(await context.send({ method: 'GET', path, headers: [['Accept', mediaTypes.image]] }), image.manifest.bytes);
    },
  },
  {
    id: 'delete.unknown-manifest-answers-404',
    level: 'PROMISE',
    clause: manifest,
    run: async (context) => {
      await pushImage(context);
      expectError(await remove(context, manifestPath(context.repository, unknownDigest())), 404, 'MANIFEST_UNKNOWN');
    },
  },
  {
    id: 'delete.manifest-of-an-unknown-repository-answers-404',
    level: 'MUST',
    clause: manifest,
    run: async (context) => {
      const response = await remove(context, manifestPath(context.repository, unknownDigest()));
      expectError(response, 404, ['NAME_UNKNOWN', 'MANIFEST_UNKNOWN']);
    },
  },
  {
    id: 'delete.manifest-can-be-pushed-again',
    level: 'MUST',
    clause: manifest,
    run: async (context) => {
      const image = await pushImage(context, { reference: 'v1' });
      await prepare(context, { method: 'DELETE', path: manifestPath(context.repository, image.manifest.digest) }, 202);
      for (const part of [image.config, image.layer]) await pushBlob(context, part);
      expectStatus(await context.send(putManifestRequest(context.repository, 'v1', image.manifest)), 201);
      expectBytes(await get(context, 'v1'), image.manifest.bytes);
    },
  },
  {
    id: 'delete.blob-answers-202-and-is-gone',
    level: 'PROMISE',
    clause: blob,
    run: async (context) => {
      const content = await pushBlob(context, randomBlob(10));
      expectStatus(await remove(context, blobPath(context.repository, content.digest)), 202);
      expectError(await context.send({ method: 'GET', path: blobPath(context.repository, content.digest) }), 404, 'BLOB_UNKNOWN');
      expectStatus(await context.send({ method: 'HEAD', path: blobPath(context.repository, content.digest) }), 404);
    },
  },
  {
    id: 'delete.blob-of-a-manifest-is-refused',
    level: 'PROMISE',
    clause: blob,
    run: async (context) => {
      const image = await pushImage(context, { reference: 'v1' });
      expectError(await remove(context, blobPath(context.repository, image.layer.digest)), [400, 405, 409]);
      expectBytes(await context.send({ method: 'GET', path: blobPath(context.repository, image.layer.digest) }), image.layer.bytes);
    },
  },
  {
    id: 'delete.child-of-an-index-is-refused',
    level: 'PROMISE',
    clause: manifest,
    run: async (context) => {
      const image = await pushImage(context);
      const index = await pushManifest(context, imageIndex([describe(image.manifest)]), { reference: 'v1' });
      expectError(await remove(context, manifestPath(context.repository, image.manifest.digest)), [400, 405, 409]);
      expectBytes(await get(context, image.manifest.digest), image.manifest.bytes);
      await prepare(context, { method: 'DELETE', path: manifestPath(context.repository, index.digest) }, 202);
      expectStatus(await remove(context, manifestPath(context.repository, image.manifest.digest)), 202);
    },
  },
  {
    id: 'delete.unknown-blob-answers-404',
    level: 'MUST',
    clause: blob,
    run: async (context) => {
      await pushBlob(context, randomBlob(10));
      expectError(await remove(context, blobPath(context.repository, unknownDigest())), 404, 'BLOB_UNKNOWN');
    },
  },
  {
    id: 'delete.blob-twice-answers-404',
    level: 'MUST',
    clause: blob,
    run: async (context) => {
      const content = await pushBlob(context, randomBlob(10));
      await prepare(context, { method: 'DELETE', path: blobPath(context.repository, content.digest) }, 202);
      expectError(await remove(context, blobPath(context.repository, content.digest)), 404, 'BLOB_UNKNOWN');
    },
  },
  {
    id: 'delete.blob-leaves-the-other-repository',
    level: 'MUST',
    clause: blob,
    run: async (context) => {
      const content = await pushBlob(context, randomBlob(100));
      const other = context.repositoryNamed('other');
      await pushBlob(context, content, other);
      await prepare(context, { method: 'DELETE', path: blobPath(context.repository, content.digest) }, 202);
      expectBytes(await context.send({ method: 'GET', path: blobPath(other, content.digest) }), content.bytes);
    },
  },
  {
    id: 'delete.blob-can-be-pushed-again',
    level: 'MUST',
    clause: blob,
    run: async (context) => {
      const content = await pushBlob(context, randomBlob(100));
      await prepare(context, { method: 'DELETE', path: blobPath(context.repository, content.digest) }, 202);
      await pushBlob(context, content);
      expectBytes(await context.send({ method: 'GET', path: blobPath(context.repository, content.digest) }), content.bytes);
    },
  },
];

function remove(context: CaseContext, path: string): ReturnType<CaseContext['send']> {
  return context.send({ method: 'DELETE', path });
}

function get(context: CaseContext, reference: string): ReturnType<CaseContext['send']> {
  return context.send({ method: 'GET', path: manifestPath(context.repository, reference), headers: [['Accept', mediaTypes.image]] });
}

async function tags(context: CaseContext): Promise<string[]> {
  return expectStrings(await context.send({ method: 'GET', path: `/v2/${context.repository}/tags/list` }), 'tags');
}
