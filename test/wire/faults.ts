// The faults the mutating proxy plants, one at a time: what a careless registry, cache or rewriting proxy does to answers.
// Every fault names a case that must notice it; a fault that never fires, or that nobody notices, is a failure of the suite.

import { type Fault, hasHeader, type ProxiedAnswer, type ProxiedRequest, withBody, withHeader, withoutHeader } from './mutating-proxy.ts';

type Rewrite = (request: ProxiedRequest, answer: ProxiedAnswer) => ProxiedAnswer | undefined;

export const faults: readonly Fault[] = [
  rewrite('manifest GET loses Docker-Content-Digest', 'manifest.get-names-its-digest', (request, answer) =>
    isManifest(request, 'GET') && hasHeader(answer, 'docker-content-digest') ? withoutHeader(answer, 'docker-content-digest') : undefined,
  ),
  rewrite('HEAD loses Content-Length', 'blob.head-names-size-and-digest', (request, answer) =>
    request.method === 'HEAD' && answer.status === 200 ? withoutHeader(answer, 'content-length') : undefined,
  ),
  rewrite('HEAD answers the size of another blob', 'manifest.head-by-tag-names-size-type-and-digest', (request, answer) =>
    request.method === 'HEAD' && answer.status === 200 ? withHeader(answer, 'Content-Length', '17') : undefined,
  ),
  rewrite('202 of an upload loses its Location', 'upload.post-opens-a-session', (request, answer) =>
    isUpload(request) && answer.status === 202 ? withoutHeader(answer, 'location') : undefined,
  ),
  rewrite('201 of a blob locates the upload, not the blob', 'upload.put-location-is-pullable', (request, answer) =>
    isUpload(request) && answer.status === 201 ? withHeader(answer, 'Location', request.path) : undefined,
  ),
  rewrite('manifest PUT answers 200 for 201', 'manifest.put-by-tag', (request, answer) =>
    isManifest(request, 'PUT') && answer.status === 201 ? { ...answer, status: 200 } : undefined,
  ),
  rewrite('PATCH answers 200 for 202', 'chunk.first-is-accepted', (request, answer) =>
    request.method === 'PATCH' && answer.status === 202 ? { ...answer, status: 200 } : undefined,
  ),
  rewrite('upload Range counts bytes instead of naming the last', 'chunk.range-names-the-last-byte', (_request, answer) => {
    const range = /^0-([0-9]+)$/.exec(header(answer, 'range') ?? '');
    return range === null ? undefined : withHeader(answer, 'Range', `0-${Number(range[1]) + 1}`);
  }),
  rewrite('one byte of a manifest is flipped', 'manifest.get-by-tag-gives-the-bytes', (request, answer) =>
    isManifest(request, 'GET') && answer.status === 200 ? { ...answer, body: flipByte(answer.body) } : undefined,
  ),
  rewrite('one byte of a blob is flipped', 'blob.get-gives-the-bytes', (request, answer) =>
    isBlob(request, 'GET') && answer.status === 200 && answer.body.length > 0 ? { ...answer, body: flipByte(answer.body) } : undefined,
  ),
  rewrite('the last byte of a blob is lost', 'blob.get-gives-the-bytes', (request, answer) =>
    isBlob(request, 'GET') && answer.status === 200 && answer.body.length > 0 ? withBody(answer, answer.body.subarray(0, -1)) : undefined,
  ),
  rewrite('manifest type becomes application/json', 'manifest.get-has-exactly-the-pushed-type', (request, answer) =>
    isManifest(request, 'GET') && answer.status === 200 ? withHeader(answer, 'Content-Type', 'application/json') : undefined,
  ),
  rewrite('404 of a manifest becomes an empty 200', 'manifest.unknown-tag-answers-404', (request, answer) =>
    isManifest(request, 'GET') && answer.status === 404 ? withBody({ ...answer, status: 200 }, Buffer.from('{}')) : undefined,
  ),
  rewrite('error bodies are stripped', 'blob.unknown-one-answers-404', (request, answer) =>
    request.method !== 'HEAD' && answer.status >= 400 ? withBody(answer, Buffer.alloc(0)) : undefined,
  ),
  rewrite('an error code is renamed', 'manifest.unknown-tag-answers-404', (_request, answer) =>
    answer.body.includes('MANIFEST_UNKNOWN')
      ? withBody(answer, Buffer.from(answer.body.toString('latin1').replaceAll('MANIFEST_UNKNOWN', 'NOT_FOUND'), 'latin1'))
      : undefined,
  ),
  rewrite('tag pages lose their Link', 'tags.pages-hold-each-tag-once', (request, answer) =>
    isTagList(request) && hasHeader(answer, 'link') ? withoutHeader(answer, 'link') : undefined,
  ),
  rewrite('tags come in another order', 'tags.are-in-lexical-order', (request, answer) =>
    isTagList(request) ? withTags(answer, (tags) => (tags.length > 1 ? tags.toReversed() : tags)) : undefined,
  ),
  rewrite('one tag of a longer list is lost', 'tags.list-names-repository-and-tags', (request, answer) =>
    isTagList(request) ? withTags(answer, (tags) => (tags.length > 1 ? tags.slice(0, -1) : tags)) : undefined,
  ),
  rewrite('OCI-Subject is lost', 'referrers.put-names-the-subject', (_request, answer) =>
    hasHeader(answer, 'oci-subject') ? withoutHeader(answer, 'oci-subject') : undefined,
  ),
  rewrite('OCI-Filters-Applied is lost', 'referrers.filter-keeps-one-type-and-says-so', (_request, answer) =>
    hasHeader(answer, 'oci-filters-applied') ? withoutHeader(answer, 'oci-filters-applied') : undefined,
  ),
  rewrite('OCI-Tag is lost', 'manifest.put-with-tag-parameters-names-them', (_request, answer) =>
    hasHeader(answer, 'oci-tag') ? withoutHeader(answer, 'oci-tag') : undefined,
  ),
  rewrite('referrers come as application/json', 'referrers.answer-is-an-image-index', (request, answer) =>
    request.path.includes('/referrers/') && answer.status === 200 ? withHeader(answer, 'Content-Type', 'application/json') : undefined,
  ),
  rewrite('416 of a chunk out of order becomes 202', 'chunk.leaves-a-gap', (request, answer) =>
    request.method === 'PATCH' && answer.status === 416 ? withBody({ ...answer, status: 202 }, Buffer.alloc(0)) : undefined,
  ),
  rewrite('WWW-Authenticate is lost', 'auth.base-without-login-answers-a-bearer-challenge', (_request, answer) =>
    hasHeader(answer, 'www-authenticate') ? withoutHeader(answer, 'www-authenticate') : undefined,
  ),
  rewrite('206 becomes 200 with the part as the whole', 'range.from-to', (_request, answer) =>
    answer.status === 206 ? withoutHeader({ ...answer, status: 200 }, 'content-range') : undefined,
  ),
  intercept('DELETE is answered 202 and not done', 'delete.manifest-answers-202-and-is-gone', (request) =>
    isManifest(request, 'DELETE') ? { status: 202, headers: [['Content-Length', '0']], body: Buffer.alloc(0) } : undefined,
  ),
  intercept('cancel is answered 204 and not done', 'session.cancelled-one-is-unknown', (request) =>
    isUpload(request) && request.method === 'DELETE' ? { status: 204, headers: [], body: Buffer.alloc(0) } : undefined,
  ),
  staleTags('a moved tag is answered from a cache', 'manifest.put-moves-the-tag'),
];

/** Changes an answer of the target; `undefined` leaves it. */
function rewrite(name: string, caughtBy: string, change: Rewrite): Fault {
  return { name, caughtBy, answer: async (request, forward) => change(request, await forward()) };
}

/** Answers without asking the target. */
function intercept(name: string, caughtBy: string, answer: (request: ProxiedRequest) => ProxiedAnswer | undefined): Fault {
  return { name, caughtBy, answer: async (request) => answer(request) };
}

/** Keeps the first answer to each GET of a tag for ever. */
function staleTags(name: string, caughtBy: string): Fault {
  const kept = new Map<string, ProxiedAnswer>();
  return {
    name,
    caughtBy,
    answer: async (request, forward) => {
      if (!isManifest(request, 'GET') || request.path.includes('/sha')) return undefined;
      const old = kept.get(request.path);
      if (old !== undefined) return old;
      const answer = await forward();
      if (answer.status === 200) kept.set(request.path, answer);
      return undefined;
    },
  };
}

function isManifest(request: ProxiedRequest, method: string): boolean {
  return request.method === method && request.path.includes('/manifests/');
}

function isUpload(request: ProxiedRequest): boolean {
  return request.path.includes('/blobs/uploads/');
}

function isBlob(request: ProxiedRequest, method: string): boolean {
  return request.method === method && request.path.includes('/blobs/sha') && !isUpload(request);
}

function isTagList(request: ProxiedRequest): boolean {
  return request.method === 'GET' && request.path.includes('/tags/list');
}

function header(answer: ProxiedAnswer, name: string): string | undefined {
  return answer.headers.find(([key]) => key.toLowerCase() === name)?.[1];
}

function flipByte(body: Buffer): Buffer {
  const changed = Buffer.from(body);
  const middle = Math.floor(changed.length / 2);
  changed[middle] = (changed[middle] ?? 0) ^ 1;
  return changed;
}

/** The tag list with other tags; undefined when that changes nothing. */
function withTags(answer: ProxiedAnswer, change: (tags: readonly unknown[]) => readonly unknown[]): ProxiedAnswer | undefined {
  if (answer.status !== 200) return undefined;
  const list: unknown = JSON.parse(answer.body.toString('utf8'));
  if (typeof list !== 'object' || list === null || !('tags' in list) || !Array.isArray(list.tags)) return undefined;
  const tags = change(list.tags);
  return tags === list.tags ? undefined : withBody(answer, Buffer.from(JSON.stringify({ ...list, tags })));
}
