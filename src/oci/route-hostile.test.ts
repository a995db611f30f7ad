import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { OciError, type OciErrorCode } from './errors.ts';
import { formatRoute, parameterMaxLength, parseRoute, type Route } from './route.ts';

const sha256 = `sha256:${'a'.repeat(64)}`;
const sha512 = `sha512:${'b'.repeat(128)}`;
const upload = '01hgw2bbg0000000000000000z';

/** The code of the error a request gives, or 'accepted'. */
function read(method: string, target: string): string {
  const [path = '', query = ''] = target.split('?', 2);
  try {
    parseRoute(method, path, query);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    return error.code;
  }
}

describe('hostile paths', () => {
  test.each<[string, string, OciErrorCode]>([
    // one repository has one name
    ['GET', `/v2/a%2fb/blobs/${sha256}`, 'NAME_INVALID'],
    ['GET', `/v2/a%2Fb/manifests/v1`, 'NAME_INVALID'],
    ['GET', `/v2/a/manifests%2fv1`, 'NAME_INVALID'],
    ['GET', `/v2/a/manifests/v1%2f..`, 'NAME_INVALID'],
    ['GET', '/v2/a/b%2fmanifests/x/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/%2fa/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a%252fb/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a%5cb/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a%00/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a%0a/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a%0/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a%zz/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/%c0%af/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/%ed%a0%80/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/../tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a/../b/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a/%2e%2e/b/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/./a/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/A/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/%41/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/a//b/tags/list', 'NAME_INVALID'],
    ['GET', '/v2//a/tags/list', 'NAME_INVALID'],
    ['GET', '/v2//tags/list', 'NAME_INVALID'],
    ['GET', '/v2/tags/list', 'NAME_INVALID'],
    ['GET', '/v2/manifests/v1', 'NAME_INVALID'],
    ['GET', `/v2/blobs/${sha256}`, 'NAME_INVALID'],
    ['POST', '/v2/blobs/uploads/', 'NAME_INVALID'],
    ['GET', `/v2/${'a'.repeat(256)}/tags/list`, 'NAME_INVALID'],
    ['GET', '/v2/_catalog/tags/list', 'NAME_INVALID'],
    // no slash more or less
    ['GET', '/v2//', 'NOT_FOUND'],
    ['GET', '/v2/a', 'NOT_FOUND'],
    ['GET', '/v2/a/', 'NOT_FOUND'],
    ['GET', '/v2/_catalog/', 'NOT_FOUND'],
    ['GET', '/v2/a/tags/list/', 'NOT_FOUND'],
    ['GET', '/v2/a/tags', 'NOT_FOUND'],
    ['GET', '/v2/a/tags/', 'NOT_FOUND'],
    ['GET', '/v2/a/tags/other', 'NOT_FOUND'],
    ['GET', `/v2/a/blobs/${sha256}/`, 'NOT_FOUND'],
    ['GET', `/v2/a/blobs/uploads/${upload}/`, 'NOT_FOUND'],
    ['GET', '/v2/a/manifests/v1/', 'NOT_FOUND'],
    ['GET', '/v2/a/manifests/v1/x', 'NOT_FOUND'],
    ['GET', `/v2/a/uploads/${upload}`, 'NOT_FOUND'],
    ['PATCH', `/v2/a/b/uploads/${upload}`, 'NOT_FOUND'],
    // references
    ['GET', '/v2/a/manifests/', 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/..', 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/v1%00', 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/sha256:abc', 'DIGEST_INVALID'],
    ['GET', `/v2/a/manifests/${sha256.toUpperCase()}`, 'DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/', 'DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/v1', 'DIGEST_INVALID'],
    ['GET', `/v2/a/blobs/sha1:${'a'.repeat(40)}`, 'DIGEST_INVALID'],
    ['GET', `/v2/a/blobs/${sha256}%0a`, 'DIGEST_INVALID'],
    ['GET', '/v2/a/referrers/v1', 'DIGEST_INVALID'],
    ['GET', '/v2/a/referrers/', 'DIGEST_INVALID'],
    // uploads
    ['PATCH', '/v2/a/blobs/uploads/x', 'BLOB_UPLOAD_UNKNOWN'],
    ['PATCH', `/v2/a/blobs/uploads/${upload.toUpperCase()}`, 'BLOB_UPLOAD_UNKNOWN'],
    ['PATCH', '/v2/a/blobs/uploads/..', 'BLOB_UPLOAD_UNKNOWN'],
    ['PATCH', `/v2/a/blobs/uploads/${'a'.repeat(65)}`, 'BLOB_UPLOAD_UNKNOWN'],
    ['PUT', `/v2/a/blobs/uploads/${upload}`, 'DIGEST_INVALID'],
    ['PUT', `/v2/a/blobs/uploads/${upload}?digest=`, 'DIGEST_INVALID'],
    ['PUT', `/v2/a/blobs/uploads/${upload}?digest=md5:abc`, 'DIGEST_INVALID'],
    ['PUT', `/v2/a/blobs/uploads/${upload}?digest=${sha256}&digest=${sha512}`, 'BAD_REQUEST'],
    ['POST', '/v2/a/blobs/uploads/?digest-algorithm=md5', 'DIGEST_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?mount=x&from=b', 'DIGEST_INVALID'],
    ['POST', `/v2/a/blobs/uploads/?mount=${sha256}&from=../b`, 'NAME_INVALID'],
    ['POST', `/v2/a/blobs/uploads/?mount=${sha256}&from=b&from=c`, 'BAD_REQUEST'],
    // pages and filters
    ['GET', '/v2/a/tags/list?n=-1', 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/a/tags/list?n=', 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/a/tags/list?n=1.5', 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/a/tags/list?n=NaN', 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/a/tags/list?n=1e3', 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/a/tags/list?n=1&n=1', 'PAGINATION_NUMBER_INVALID'],
    ['GET', `/v2/a/tags/list?n=${'9'.repeat(13)}`, 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/_catalog?n=x', 'PAGINATION_NUMBER_INVALID'],
    ['GET', `/v2/a/referrers/${sha256}?n=x`, 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/a/tags/list?last=a%00', 'BAD_REQUEST'],
    ['GET', '/v2/a/tags/list?last=a&last=b', 'BAD_REQUEST'],
    ['GET', `/v2/a/tags/list?last=${'a'.repeat(parameterMaxLength + 1)}`, 'BAD_REQUEST'],
    ['GET', `/v2/a/referrers/${sha256}?artifactType=${'a'.repeat(parameterMaxLength + 1)}`, 'BAD_REQUEST'],
    ['GET', `/v2/a/referrers/${sha256}?artifactType=a%0d%0ab`, 'BAD_REQUEST'],
    ['GET', '/v2/?ns=docker.io%00', 'BAD_REQUEST'],
    ['PUT', `/v2/a/manifests/${sha256}?tag=.x`, 'TAG_INVALID'],
    ['PUT', `/v2/a/manifests/${sha256}?tag=`, 'TAG_INVALID'],
  ])('%s %s gives %s', (method, target, code) => {
    expect(read(method, target)).toBe(code);
  });

  test('any path and query give a route, nothing, or a coded error', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'v2',
        'a',
        '..',
        '.',
        '',
        '%2f',
        '%00',
        '%',
        '%2e%2e',
        'blobs',
        'uploads',
        'manifests',
        'tags',
        'list',
        'referrers',
        '_catalog',
        sha256,
        upload,
        'docker.io',
        'A',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    );
    const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('/')}`);
    const v2 = fc.array(piece, { maxLength: 7 }).map((pieces) => `/v2/${pieces.join('/')}`);
    const query = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.tuple(fc.constantFrom('ns', 'n', 'last', 'digest', 'mount', 'from', 'tag', 'artifactType', 'digest-algorithm'), piece))
        .map((pairs) => pairs.map((pair) => pair.join('=')).join('&')),
    );
    const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'get', '');
    fc.assert(
      fc.property(method, fc.oneof(path, v2), query, (verb, target, parameters) => {
        let route: Route | undefined;
        try {
          route = parseRoute(verb, target, parameters);
        } catch (error) {
          if (!(error instanceof OciError)) throw error;
          return;
        }
        if (route === undefined) return;
        // What was understood is understood alike when written in the one canonical form.
        const written = formatRoute(route);
        expect(parseRoute('head' in route || route.kind === 'api-version' ? verb : written.method, written.path, written.query)).toEqual(
          route,
        );
        if ('name' in route) expect(route.name).toMatch(/^[a-z0-9]+([._/-][a-z0-9]+|__[a-z0-9]+|-+[a-z0-9]+)*$/);
      }),
      { numRuns: 3000 },
    );
  });
});
