import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { OciError } from './errors.ts';
import { formatRoute, parseRoute, pushTagsMax, type Route } from './route.ts';

const sha256 = `sha256:${'a'.repeat(64)}`;
const sha512 = `sha512:${'b'.repeat(128)}`;
const upload = '01hgw2bbg0000000000000000z';

/** What a request gives: its route as plain JSON, 'none' when it is not of the registry API, or the code of the error. */
function read(method: string, target: string): unknown {
  const [path = '', query = ''] = target.split('?', 2);
  try {
    return parseRoute(method, path, query) ?? 'none';
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    return error.code;
  }
}

describe('the endpoints of distribution-spec v1.1', () => {
  const name = 'library/nginx';
  test.each<[string, string, unknown]>([
    ['GET', '/v2/', { kind: 'api-version' }],
    ['GET', '/v2', { kind: 'api-version' }],
    ['HEAD', '/v2/', { kind: 'api-version' }],
    ['GET', `/v2/${name}/blobs/${sha256}`, { kind: 'blob-get', head: false, digest: sha256, name }],
    ['HEAD', `/v2/${name}/blobs/${sha512}`, { kind: 'blob-get', head: true, digest: sha512, name }],
    ['GET', `/v2/${name}/manifests/latest`, { kind: 'manifest-get', head: false, reference: { kind: 'tag', tag: 'latest' }, name }],
    ['HEAD', `/v2/${name}/manifests/${sha256}`, { kind: 'manifest-get', head: true, reference: { kind: 'digest', digest: sha256 }, name }],
    ['POST', `/v2/${name}/blobs/uploads/`, { kind: 'upload-start', algorithm: 'sha256', name }],
    ['POST', `/v2/${name}/blobs/uploads`, { kind: 'upload-start', algorithm: 'sha256', name }],
    ['POST', `/v2/${name}/blobs/uploads/?digest=${sha512}`, { kind: 'upload-start', digest: sha512, algorithm: 'sha512', name }],
    ['POST', `/v2/${name}/blobs/uploads/?digest-algorithm=sha512`, { kind: 'upload-start', algorithm: 'sha512', name }],
    ['PATCH', `/v2/${name}/blobs/uploads/${upload}`, { kind: 'upload-chunk', upload, name }],
    ['PUT', `/v2/${name}/blobs/uploads/${upload}?digest=${sha256}`, { kind: 'upload-finish', upload, digest: sha256, name }],
    ['PUT', `/v2/${name}/manifests/v1`, { kind: 'manifest-put', reference: { kind: 'tag', tag: 'v1' }, tags: ['v1'], name }],
    ['PUT', `/v2/${name}/manifests/${sha256}`, { kind: 'manifest-put', reference: { kind: 'digest', digest: sha256 }, tags: [], name }],
    [
      'PUT',
      `/v2/${name}/manifests/${sha256}?tag=a&tag=b&tag=a`,
      { kind: 'manifest-put', reference: { kind: 'digest', digest: sha256 }, tags: ['a', 'b'], name },
    ],
    ['GET', `/v2/${name}/tags/list`, { kind: 'tag-list', page: {}, name }],
    ['GET', `/v2/${name}/tags/list?n=0&last=v1`, { kind: 'tag-list', page: { count: 0, last: 'v1' }, name }],
    ['DELETE', `/v2/${name}/manifests/v1`, { kind: 'manifest-delete', reference: { kind: 'tag', tag: 'v1' }, name }],
    ['DELETE', `/v2/${name}/blobs/${sha256}`, { kind: 'blob-delete', digest: sha256, name }],
    ['POST', `/v2/${name}/blobs/uploads/?mount=${sha256}&from=a/b`, { kind: 'blob-mount', digest: sha256, from: 'a/b', name }],
    ['POST', `/v2/${name}/blobs/uploads/?mount=${sha256}`, { kind: 'blob-mount', digest: sha256, name }],
    ['POST', `/v2/${name}/blobs/uploads/?mount=${sha256}&from=`, { kind: 'blob-mount', digest: sha256, name }],
    ['GET', `/v2/${name}/referrers/${sha256}`, { kind: 'referrers', digest: sha256, page: {}, name }],
    [
      'GET',
      `/v2/${name}/referrers/${sha256}?artifactType=a%2Fb%2Bjson&n=5`,
      { kind: 'referrers', digest: sha256, artifactType: 'a/b+json', page: { count: 5 }, name },
    ],
    ['GET', `/v2/${name}/blobs/uploads/${upload}`, { kind: 'upload-status', upload, name }],
    ['DELETE', `/v2/${name}/blobs/uploads/${upload}`, { kind: 'upload-cancel', upload, name }],
    ['GET', '/v2/_catalog?n=3&last=a%2Fb', { kind: 'catalog', page: { count: 3, last: 'a/b' } }],
  ])('%s %s', (method, target, expected) => {
    expect(read(method, target)).toEqual(expected);
  });

  test('a digest with an escaped colon is that digest', () => {
    expect(read('GET', `/v2/a/manifests/${sha256.replace(':', '%3A')}`)).toEqual(read('GET', `/v2/a/manifests/${sha256}`));
    expect(read('POST', `/v2/a/blobs/uploads/?digest=${encodeURIComponent(sha256)}`)).toEqual(
      read('POST', `/v2/a/blobs/uploads/?digest=${sha256}`),
    );
  });
});

describe('names that hold words of routes', () => {
  const words = ['blobs', 'uploads', 'manifests', 'tags', 'list', 'referrers', 'v2', 'x', upload];
  const trickyName = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));

  test.each([
    'x/blobs/uploads',
    'a/manifests/b/tags',
    'a/tags/list',
    'manifests',
    'blobs',
    'x/referrers',
    'blobs/uploads',
    `x/blobs/uploads/${upload}`,
    'v2/v2',
  ])('%s is a name', (name) => {
    expect(read('GET', `/v2/${name}/manifests/list`)).toMatchObject({ kind: 'manifest-get', name });
    expect(read('GET', `/v2/${name}/tags/list`)).toMatchObject({ kind: 'tag-list', name });
    expect(read('POST', `/v2/${name}/blobs/uploads/`)).toMatchObject({ kind: 'upload-start', name });
    expect(read('GET', `/v2/${name}/blobs/${sha256}`)).toMatchObject({ kind: 'blob-get', name });
    expect(read('PATCH', `/v2/${name}/blobs/uploads/${upload}`)).toMatchObject({ kind: 'upload-chunk', name });
    expect(read('GET', `/v2/${name}/referrers/${sha256}`)).toMatchObject({ kind: 'referrers', name });
  });

  test('SEC-E04: every route over any such name is read back as itself', () => {
    fc.assert(
      fc.property(routeOver(trickyName), (route) => {
        const { method, path, query } = formatRoute(route);
        expect(parseRoute(method, path, query)).toEqual(route);
      }),
      { numRuns: 500 },
    );
  });
});

test('every route is read back as itself', () => {
  const word = fc.string({ unit: fc.constantFrom(...'abz019'), minLength: 1, maxLength: 5 });
  const name = fc.array(word, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const kinds = new Set<string>();
  fc.assert(
    fc.property(routeOver(name), (route) => {
      kinds.add(route.kind);
      const { method, path, query } = formatRoute(route);
      const again = parseRoute(method, path, query);
      expect(again).toEqual(route);
      // Percent escapes of any character other than the slashes change nothing.
      const escaped = path.slice(4).replace(/[^/]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
      expect(parseRoute(method, `/v2/${escaped}`, query)).toEqual(route);
    }),
    { numRuns: 1000 },
  );
  expect(kinds.size).toBe(15);
});

describe('an explicit registry', () => {
  test.each([
    ['/v2/library/nginx/tags/list?ns=docker.io', 'docker.io'],
    ['/v2/library/nginx/tags/list?ns=GHCR.io%3A443', 'ghcr.io:443'],
    ['/docker.io/v2/library/nginx/tags/list', 'docker.io'],
    ['/localhost:5000/v2/library/nginx/tags/list', 'localhost:5000'],
    ['/docker.io/v2/library/nginx/tags/list?ns=docker.io', 'docker.io'],
    ['/v2/library/nginx/tags/list?ns=docker.io&ns=docker.io', 'docker.io'],
  ])('%s names %s', (target, registry) => {
    expect(read('GET', target)).toEqual({ kind: 'tag-list', page: {}, name: 'library/nginx', registry });
  });

  test('is kept by every kind of route', () => {
    expect(read('GET', '/v2/?ns=quay.io')).toEqual({ kind: 'api-version', registry: 'quay.io' });
    expect(read('GET', '/quay.io/v2')).toEqual({ kind: 'api-version', registry: 'quay.io' });
    expect(read('GET', '/quay.io/v2/')).toEqual({ kind: 'api-version', registry: 'quay.io' });
    expect(read('GET', '/quay.io/v2/_catalog')).toEqual({ kind: 'catalog', page: {}, registry: 'quay.io' });
    expect(read('HEAD', `/quay.io/v2/a/blobs/${sha256}`)).toEqual({
      kind: 'blob-get',
      head: true,
      digest: sha256,
      name: 'a',
      registry: 'quay.io',
    });
  });

  test('is absent when ns is empty', () => {
    expect(read('GET', '/v2/a/tags/list?ns=')).toEqual({ kind: 'tag-list', page: {}, name: 'a' });
  });

  test('is not read from paths that are no prefix', () => {
    expect(read('GET', '/v2/docker.io/v2/x/tags/list')).toEqual({ kind: 'tag-list', page: {}, name: 'docker.io/v2/x' });
    for (const path of [
      '/Docker.io/v2/a/tags/list',
      '//v2/a/tags/list',
      '/a/b/v2/x/tags/list',
      '/-/v2/',
      '/api/v2.0/projects',
      '/docker%2eio/v2/',
      '/_x/v2/',
      '/../v2/',
    ]) {
      expect(read('GET', path)).toBe('none');
    }
  });

  test('given twice with different values is refused', () => {
    expect(read('GET', '/v2/a/tags/list?ns=docker.io&ns=ghcr.io')).toBe('BAD_REQUEST');
  });
});

describe('what is not of the registry API', () => {
  test.each(['', '/', '/v1/', '/v2x', '/v20/', 'v2/', '/V2/', '/healthz', '/service/token', '/api/v2.0/health', '/%76%32/'])(
    '%j gives nothing',
    (path) => {
      expect(parseRoute('GET', path, '')).toBeUndefined();
    },
  );
});

describe('methods', () => {
  test.each<[string, string[]]>([
    ['/v2/', ['GET', 'HEAD']],
    ['/v2/_catalog', ['GET']],
    ['/v2/a/tags/list', ['GET']],
    [`/v2/a/referrers/${sha256}`, ['GET']],
    [`/v2/a/blobs/${sha256}`, ['GET', 'HEAD', 'DELETE']],
    ['/v2/a/manifests/v1', ['GET', 'HEAD', 'PUT', 'DELETE']],
    ['/v2/a/blobs/uploads/', ['POST']],
    ['/v2/a/blobs/uploads', ['POST']],
    [`/v2/a/blobs/uploads/${upload}?digest=${sha256}`, ['GET', 'PATCH', 'PUT', 'DELETE']],
  ])('%s knows %j and lists them when another is used', (target, allowed) => {
    const [path = '', query = ''] = target.split('?');
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'get']) {
      if (allowed.includes(method)) expect(parseRoute(method, path, query)).toBeDefined();
      else
        expect(() => parseRoute(method, path, query)).toThrow(expect.objectContaining({ code: 'METHOD_NOT_ALLOWED', detail: { allowed } }));
    }
  });
});

describe('tags of one push', () => {
  test(`${pushTagsMax} are taken and one more is refused, repeated or not`, () => {
    const tags = (count: number, name: (at: number) => string): string =>
      Array.from({ length: count }, (_, at) => `tag=${name(at)}`).join('&');
    expect(read('PUT', `/v2/a/manifests/${sha256}?${tags(pushTagsMax, (at) => `t${at}`)}`)).toMatchObject({ kind: 'manifest-put' });
    expect(read('PUT', `/v2/a/manifests/${sha256}?${tags(pushTagsMax + 1, (at) => `t${at}`)}`)).toBe('TAG_INVALID');
    expect(read('PUT', `/v2/a/manifests/${sha256}?${tags(pushTagsMax + 1, () => 'same')}`)).toBe('TAG_INVALID');
  });

  test('a push by tag sets that tag alone, whatever ?tag= says, and is written without it', () => {
    const route = parseRoute('PUT', '/v2/a/manifests/v1', 'tag=v2');
    expect(route).toMatchObject({ kind: 'manifest-put', tags: ['v1'] });
    expect(route === undefined ? undefined : formatRoute(route)).toEqual({ method: 'PUT', path: '/v2/a/manifests/v1', query: '' });
  });
});

/** Any route whose name comes from `names`. The brands are made by the parser alone; here they are only claimed. */
function routeOver(names: fc.Arbitrary<string>): fc.Arbitrary<Route> {
  const hex = (length: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
  const digest = fc.oneof(
    hex(64).map((text) => `sha256:${text}`),
    hex(128).map((text) => `sha512:${text}`),
  );
  const tag = fc.string({ unit: fc.constantFrom(...'aZ0_.-'), minLength: 1, maxLength: 8 }).map((text) => `t${text}`);
  const reference = fc.oneof(
    tag.map((text) => ({ kind: 'tag', tag: text })),
    digest.map((text) => ({ kind: 'digest', digest: text })),
    fc.constantFrom('list', 'uploads', 'blobs', 'tags').map((text) => ({ kind: 'tag', tag: text })),
  );
  const sessionId = fc.string({ unit: fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz'), minLength: 20, maxLength: 64 });
  const free = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed());
  const page = fc.record({ count: fc.nat(), last: free }, { requiredKeys: [] });
  const scope = fc.record({ registry: fc.constantFrom('docker.io', 'ghcr.io', 'localhost:5000', '[::1]:80') }, { requiredKeys: [] });
  const repository = fc.tuple(names, scope).map(([name, registry]) => ({ name, ...registry }));
  const kind = (text: string) => fc.constant({ kind: text });
  const join = (...parts: fc.Arbitrary<object>[]) => fc.tuple(...parts).map((objects) => Object.assign({}, ...objects) as Route);
  const put = fc
    .tuple(reference, fc.uniqueArray(tag, { maxLength: 4 }))
    .map(([to, tags]) => ({ reference: to, tags: 'tag' in to ? [to.tag] : tags }));
  const start = fc.oneof(
    fc.constantFrom('sha256', 'sha512').map((algorithm) => ({ algorithm })),
    digest.map((text) => ({ digest: text, algorithm: text.slice(0, 6) })),
  );
  return fc.oneof(
    join(kind('api-version'), scope),
    join(kind('catalog'), fc.record({ page }), scope),
    join(kind('blob-get'), fc.record({ digest, head: fc.boolean() }), repository),
    join(kind('blob-delete'), fc.record({ digest }), repository),
    join(kind('manifest-get'), fc.record({ reference, head: fc.boolean() }), repository),
    join(kind('manifest-put'), put, repository),
    join(kind('manifest-delete'), fc.record({ reference }), repository),
    join(kind('upload-start'), start, repository),
    join(kind('blob-mount'), fc.record({ digest, from: names }, { requiredKeys: ['digest'] }), repository),
    join(kind('upload-status'), fc.record({ upload: sessionId }), repository),
    join(kind('upload-chunk'), fc.record({ upload: sessionId }), repository),
    join(kind('upload-finish'), fc.record({ upload: sessionId, digest }), repository),
    join(kind('upload-cancel'), fc.record({ upload: sessionId }), repository),
    join(kind('tag-list'), fc.record({ page }), repository),
    join(kind('referrers'), fc.record({ digest, page, artifactType: free }, { requiredKeys: ['digest', 'page'] }), repository),
  );
}
