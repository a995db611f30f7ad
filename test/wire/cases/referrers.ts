// Manifests that refer to another one, and the list of them.
// Implements distribution-spec v1.1 "Pushing Manifests with Subject" (end-7) and "Listing Referrers" (end-12a, end-12b).

import {
  manifestPath,
  nextLink,
  prepare,
  prepareImage,
  pushBlob,
  pushImage,
  pushManifest,
  putManifestRequest,
  resolveReference,
} from '../actions.ts';
import type { WireResponse } from '../client.ts';
import {
  type Content,
  type Descriptor,
  describe,
  emptyJsonBlob,
  imageIndex,
  imageManifest,
  mediaTypes,
  randomBlob,
  unknownDigest,
} from '../content.ts';
import { check, expectError, expectHeader, expectJson, expectSame, expectStatus } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const subject = spec('Pushing Manifests with Subject', 'end-7');
const listing = spec('Listing Referrers', 'end-12a');
const filtering = spec('Listing Referrers (filtering)', 'end-12b');
/** With a plus, which a query must carry escaped. */
const sbom = 'application/vnd.example.sbom.v1+json';
const signature = 'application/vnd.example.signature.v1';

interface Entry {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, unknown>>;
}

export const referrerCases: readonly WireCase[] = [
  {
    id: 'referrers.put-names-the-subject',
    level: 'MUST',
    clause: subject,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const referrer = await prepareReferrer(context, describe(manifest));
      const response = await context.send(putManifestRequest(context.repository, referrer.digest, referrer));
      expectStatus(response, 201);
      expectHeader(response, 'OCI-Subject', manifest.digest);
    },
  },
  {
    id: 'referrers.put-by-tag-names-the-subject',
    level: 'MUST',
    clause: subject,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const referrer = await prepareReferrer(context, describe(manifest));
      expectHeader(await context.send(putManifestRequest(context.repository, 'signature', referrer)), 'OCI-Subject', manifest.digest);
    },
  },
  {
    id: 'referrers.put-of-an-index-names-the-subject',
    level: 'MUST',
    clause: subject,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const index = imageIndex([describe(manifest)], { subject: describe(manifest), artifactType: sbom });
      expectHeader(await context.send(putManifestRequest(context.repository, index.digest, index)), 'OCI-Subject', manifest.digest);
      expectSame('referrers', await digests(context, manifest.digest), [index.digest]);
    },
  },
  {
    id: 'referrers.subject-may-be-absent',
    level: 'MUST',
    clause: spec('Push (subject that does not exist)', 'end-7, end-12a'),
    run: async (context) => {
      const absent = absentSubject();
      const referrer = await prepareReferrer(context, absent);
      const response = await context.send(putManifestRequest(context.repository, referrer.digest, referrer));
      expectStatus(response, 201);
      expectHeader(response, 'OCI-Subject', absent.digest);
      expectSame('referrers', await digests(context, absent.digest), [referrer.digest]);
    },
  },
  {
    id: 'referrers.put-without-a-subject-names-none',
    level: 'MUST',
    clause: subject,
    run: async (context) => {
      const { manifest } = await prepareImage(context);
      const response = await context.send(putManifestRequest(context.repository, 'v1', manifest));
      check(response.header('oci-subject') === undefined, `${response.title}: OCI-Subject without a subject`);
    },
  },
  {
    id: 'referrers.none-is-an-empty-index',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      for (const digest of [manifest.digest, unknownDigest()]) {
        const response = await list(context, digest);
        expectStatus(response, 200);
        check(entriesOf(response).length === 0, `${response.title}: a list that should be empty is not`);
      }
    },
  },
  {
    id: 'referrers.answer-is-an-image-index',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const response = await list(context, manifest.digest);
      expectStatus(response, 200);
      expectHeader(response, 'Content-Type', mediaTypes.index);
      const body = expectJson(response);
      check(body['schemaVersion'] === 2, `${response.title}: schemaVersion is ${String(body['schemaVersion'])}`);
      check(body['mediaType'] === mediaTypes.index, `${response.title}: mediaType is ${String(body['mediaType'])}`);
    },
  },
  {
    id: 'referrers.entry-describes-the-manifest',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const referrer = await pushManifest(context, await prepareReferrer(context, describe(manifest)));
      const entry = await onlyEntry(context, manifest.digest);
      check(entry.digest === referrer.digest, `digest is ${entry.digest}, expected ${referrer.digest}`);
      check(entry.mediaType === mediaTypes.image, `mediaType is ${entry.mediaType}`);
      check(entry.size === referrer.bytes.length, `size is ${entry.size}, expected ${referrer.bytes.length}`);
    },
  },
  {
    id: 'referrers.entry-has-the-artifact-type',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      await pushManifest(context, await prepareReferrer(context, describe(manifest), { artifactType: sbom }));
      const entry = await onlyEntry(context, manifest.digest);
      check(entry.artifactType === sbom, `artifactType is ${String(entry.artifactType)}`);
    },
  },
  {
    id: 'referrers.entry-falls-back-to-the-config-type',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const config = await pushBlob(context, randomBlob(10, { mediaType: 'application/vnd.example.old-artifact' }));
      await pushManifest(context, imageManifest({ config, layers: [config], members: { subject: describe(manifest) } }));
      const entry = await onlyEntry(context, manifest.digest);
      check(entry.artifactType === config.mediaType, `artifactType is ${String(entry.artifactType)}, expected ${config.mediaType}`);
    },
  },
  {
    id: 'referrers.index-without-an-artifact-type-has-none',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      await pushManifest(context, imageIndex([describe(manifest)], { subject: describe(manifest) }));
      const entry = await onlyEntry(context, manifest.digest);
      check(entry.mediaType === mediaTypes.index, `mediaType is ${entry.mediaType}`);
      check(entry.artifactType === undefined, `artifactType is ${String(entry.artifactType)}, expected none`);
    },
  },
  {
    id: 'referrers.entry-has-the-annotations',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const annotations = { 'org.example.a': '1', 'org.example.b': 'zwei' };
      await pushManifest(context, await prepareReferrer(context, describe(manifest), { annotations }));
      const entry = await onlyEntry(context, manifest.digest);
      for (const [name, value] of Object.entries(annotations)) {
        check(entry.annotations[name] === value, `annotation ${name} is ${String(entry.annotations[name])}`);
      }
    },
  },
  {
    id: 'referrers.malformed-digest-answers-400',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      await pushImage(context);
      expectError(await list(context, 'sha256:short'), 400, ['DIGEST_INVALID', 'UNSUPPORTED']);
    },
  },
  {
    id: 'referrers.filter-keeps-one-type-and-says-so',
    level: 'SHOULD',
    clause: filtering,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const wanted = await pushManifest(context, await prepareReferrer(context, describe(manifest), { artifactType: sbom }));
      await pushManifest(context, await prepareReferrer(context, describe(manifest), { artifactType: signature }));
      const response = await list(context, manifest.digest, `?artifactType=${encodeURIComponent(sbom)}`);
      expectHeader(response, 'OCI-Filters-Applied', 'artifactType');
      const found = entriesOf(response).map((entry) => entry.digest);
      expectSame(response.title, found, [wanted.digest]);
    },
  },
  {
    id: 'referrers.filter-without-a-match-is-empty',
    level: 'MUST',
    clause: filtering,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      await pushManifest(context, await prepareReferrer(context, describe(manifest), { artifactType: sbom }));
      const response = await list(context, manifest.digest, '?artifactType=application/vnd.example.nothing');
      expectStatus(response, 200);
      expectHeader(response, 'OCI-Filters-Applied', 'artifactType');
      check(entriesOf(response).length === 0, `${response.title}: entries of another type`);
    },
  },
  {
    id: 'referrers.no-filter-is-claimed-unasked',
    level: 'MUST',
    clause: filtering,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const response = await list(context, manifest.digest);
      expectStatus(response, 200);
      check(response.header('oci-filters-applied') === undefined, `${response.title}: OCI-Filters-Applied without a filter`);
    },
  },
  {
    id: 'referrers.pages-hold-each-one-once',
    level: 'MUST',
    clause: spec('Listing Referrers (Link)', 'end-12a'),
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const pushed: string[] = [];
      for (let index = 0; index < 5; index++) {
        pushed.push((await pushManifest(context, await prepareReferrer(context, describe(manifest)))).digest);
      }
      expectSame('referrers', (await digests(context, manifest.digest, '?n=2')).toSorted(), pushed.toSorted());
    },
  },
  {
    id: 'referrers.deleted-one-is-not-listed',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const { manifest } = await pushImage(context, { reference: 'v1' });
      const gone = await pushManifest(context, await prepareReferrer(context, describe(manifest)));
      const kept = await pushManifest(context, await prepareReferrer(context, describe(manifest)));
      await prepare(context, { method: 'DELETE', path: manifestPath(context.repository, gone.digest) }, 202);
      expectSame('referrers', await digests(context, manifest.digest), [kept.digest]);
    },
  },
  {
    id: 'referrers.of-another-repository-are-not-listed',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const absent = absentSubject();
      await pushManifest(context, await prepareReferrer(context, absent));
      const other = context.repositoryNamed('other');
      await pushImage(context, { repository: other });
      const response = await context.send({ method: 'GET', path: `/v2/${other}/referrers/${absent.digest}` });
      expectStatus(response, 200);
      check(entriesOf(response).length === 0, `${response.title}: lists a referrer of ${context.repository}`);
    },
  },
];

async function prepareReferrer(context: CaseContext, to: Descriptor, members: Readonly<Record<string, unknown>> = {}): Promise<Content> {
  const config = await pushBlob(context, emptyJsonBlob());
  const layer = await pushBlob(context, randomBlob(30, { mediaType: 'application/vnd.example.data' }));
  return imageManifest({ config, layers: [layer], members: { artifactType: signature, subject: to, ...members } });
}

function absentSubject(): Descriptor {
  return { mediaType: mediaTypes.image, digest: unknownDigest(), size: 512 };
}

function list(context: CaseContext, digest: string, query = ''): Promise<WireResponse> {
  return context.send({ method: 'GET', path: `/v2/${context.repository}/referrers/${digest}${query}` });
}

async function onlyEntry(context: CaseContext, digest: string): Promise<Entry> {
  const response = await list(context, digest);
  const entries = entriesOf(response);
  const entry = entries[0];
  check(entry !== undefined && entries.length === 1, `${response.title}: ${entries.length} entries, expected 1`);
  return entry;
}

/** Digests of all pages, in order. */
async function digests(context: CaseContext, digest: string, query = ''): Promise<string[]> {
  const found: string[] = [];
  let path: string | undefined = `/v2/${context.repository}/referrers/${digest}${query}`;
  for (let page = 0; path !== undefined; page++) {
    check(page < 20, `${path}: no end after ${page} pages`);
    const response: WireResponse = await context.send({ method: 'GET', path });
    found.push(...entriesOf(response).map((entry) => entry.digest));
    const next: string | undefined = nextLink(response);
    path = next === undefined ? undefined : resolveReference(path, next);
  }
  return found;
}

function entriesOf(response: WireResponse): Entry[] {
  expectStatus(response, 200);
  const manifests = expectJson(response)['manifests'];
  check(Array.isArray(manifests), `${response.title}: "manifests" is no list`);
  return manifests.map((item: unknown): Entry => {
    check(typeof item === 'object' && item !== null, `${response.title}: an entry is no object`);
    const entry: Record<string, unknown> = { ...item };
    const { digest, mediaType, size, artifactType, annotations } = entry;
    check(
      typeof digest === 'string' && typeof mediaType === 'string' && typeof size === 'number',
      `${response.title}: an entry is no descriptor`,
    );
    check(artifactType === undefined || typeof artifactType === 'string', `${response.title}: artifactType is no string`);
    const notes = typeof annotations === 'object' && annotations !== null ? { ...annotations } : {};
    return { digest, mediaType, size, artifactType, annotations: notes };
  });
}
