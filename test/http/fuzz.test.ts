// Requests put together at random from what the API knows and what it must refuse: whatever they ask, the answer is a coded one, the server
// does not fail, and what was stored before stays as it was.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import fc from 'fast-check';
import { count } from '../support/requirements.ts';
import { basicOf, bytesOf, failuresIn, type Image, imageType, type Registry, sha256, startRegistry } from './registry.ts';

const runs = count({ quick: 2000, full: 50_000, env: 'BREAKWATER_FUZZ_REQUESTS' });

let registry: Registry;
let image: Image;
beforeAll(async () => {
  registry = await startRegistry();
  await registry.createProject('kept');
  image = await registry.pushImage('kept/app', 'v1');
});
afterAll(async () => {
  expect(failuresIn(registry)).toEqual([]);
  expect(await registry.stop()).toBe(0);
});

const digests = [
  sha256(bytesOf('a')),
  `sha512:${'a'.repeat(128)}`,
  'sha256:',
  'sha256:zz',
  'md5:aaaa',
  `sha256:${'A'.repeat(64)}`,
  '..',
  '',
];
const names = [
  'fuzz/app',
  'library/app',
  'fuzz',
  'nowhere/app',
  'Fuzz/app',
  'a//b',
  '.',
  '%2e%2e/kept/app',
  'kept%2fapp',
  'x'.repeat(300),
  '_catalog',
  'é',
];
const references = ['v1', 'latest', 'A_b.c-1', '-x', 'x'.repeat(129), '%00', '%', ...digests];
const uploads = ['a'.repeat(40), 'short', '..', '%2f', ''];
const pick = (values: readonly string[]) => fc.constantFrom(...values);

const path = fc.oneof(
  fc.tuple(pick(names), pick(references)).map(([name, reference]) => `/v2/${name}/manifests/${reference}`),
  fc.tuple(pick(names), pick(digests)).map(([name, digest]) => `/v2/${name}/blobs/${digest}`),
  fc.tuple(pick(names), pick(uploads)).map(([name, upload]) => `/v2/${name}/blobs/uploads/${upload}`),
  fc.tuple(pick(names), pick(digests)).map(([name, digest]) => `/v2/${name}/referrers/${digest}`),
  pick(names).map((name) => `/v2/${name}/tags/list`),
  pick([
    '/v2/',
    '/v2',
    '/v2/_catalog',
    '/service/token',
    '/api/v2.0/projects',
    '/api/v2.0/projects/kept',
    '/api/v2.0/explain',
    '/',
    '/x.io/v2/a/b',
  ]),
  fc
    .array(pick(['v2', 'manifests', 'blobs', 'uploads', 'tags', 'list', 'referrers', '..', '%2e', 'a', '', '%ff', '\u202e']), {
      maxLength: 8,
    })
    .map((parts) => `/${parts.join('/')}`),
);
const parameter = fc.tuple(
  pick([
    'n',
    'last',
    'digest',
    'mount',
    'from',
    'tag',
    'ns',
    'artifactType',
    'digest-algorithm',
    'scope',
    'image',
    '__proto__',
    'page_size',
    'x[]',
  ]),
  fc.oneof(
    pick([...digests, ...names, '0', '-1', '1e9', 'sha512', 'docker.io', 'repository:kept/app:*', '%00', '%0d%0a']),
    fc.string({ unit: 'binary-ascii' }),
  ),
);
const query = fc
  .array(parameter, { maxLength: 4 })
  .map((pairs) => pairs.map(([name, value]) => `${name}=${value.replaceAll(/[#\s]/g, '+')}`).join('&'));
const header = fc.oneof(
  fc.tuple(
    fc.constant('range'),
    pick(['bytes=0-0', 'bytes=-1', 'bytes=9-1', 'bytes=99999999999999999999-', 'x=1', `bytes=${'0-1,'.repeat(500)}`]),
  ),
  fc.tuple(fc.constant('content-range'), pick(['0-3', '4-7', '-1-2', 'bytes 0-3/4', '0-99999999999999999999', 'a-b'])),
  fc.tuple(fc.constant('content-type'), pick([imageType, 'application/json', 'text/html', 'multipart/form-data', 'x'.repeat(300)])),
  fc.tuple(fc.constant('if-none-match'), pick(['*', '"x"', `"${sha256(bytesOf('a'))}"`, ',,,'])),
  fc.tuple(fc.constant('accept'), pick(['*/*', 'text/html', ','.repeat(300)])),
  fc.tuple(fc.constant('content-encoding'), pick(['gzip', 'zstd'])),
  fc.tuple(fc.constant('x-forwarded-host'), pick(['evil.example', 'a"b'])),
);
const body = fc.option(
  fc.oneof(
    pick(['', 'abcd', '{}', '[]', '{"schemaVersion":2}', '{"name":"gained","__proto__":{"admin":true}}', '['.repeat(1000)]),
    fc.string(),
  ),
  { nil: undefined },
);
const login = fc.oneof(fc.constant('admin'), fc.constant('none'), pick(['Basic x', 'Bearer x', 'Bearer a.b.c', 'Basic YTpi', 'x']));
const request = fc.record({
  method: pick(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']),
  path,
  query,
  headers: fc.array(header, { maxLength: 3 }),
  body,
  login,
});

test('any request gets an answer with a code, and harms nothing', async () => {
  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(request, async (wanted) => {
      const isAdmin = wanted.login === 'admin';
      // What an administrator may do to what is kept is no harm.
      fc.pre(!(isAdmin && wanted.path.startsWith('/api') && wanted.method === 'DELETE'));
      const authorization = isAdmin ? basicOf(registry.admin) : wanted.login;
      const response = await fetch(`${registry.url}${wanted.path}${wanted.query === '' ? '' : `?${wanted.query}`}`, {
        method: wanted.method,
        headers: [...wanted.headers, ...(wanted.login === 'none' ? [] : [['authorization', authorization] as [string, string]])] as [
          string,
          string,
        ][],
        redirect: 'manual',
        ...(wanted.body === undefined || wanted.method === 'GET' || wanted.method === 'HEAD' ? {} : { body: wanted.body }),
      });
      seen.set(response.status, (seen.get(response.status) ?? 0) + 1);
      expect(response.status).toBeGreaterThanOrEqual(200);
      expect(response.status).toBeLessThan(500);
      expect(response.headers.get('location') ?? '/').toStartWith('/');
      const text = await response.text();
      if (response.status >= 400 && wanted.method !== 'HEAD') {
        const { errors, error } = JSON.parse(text) as { errors?: { code: string; message: string }[]; error?: string };
        // The form of a token has the errors of OAuth 2.0 (RFC 6749 section 5.2).
        if (wanted.path === '/service/token' && wanted.method === 'POST' && errors === undefined) expect(error).toMatch(/^[a-z_]+$/);
        else expect(errors?.[0]?.code).toMatch(/^[A-Z_]+$/);
      }
    }),
    { numRuns: runs },
  );
  // The pieces fit together often enough to be worth something.
  for (const status of [200, 400, 401, 404, 405]) expect([status, (seen.get(status) ?? 0) > 0]).toEqual([status, true]);
  const kept = await registry.call('/v2/kept/app/manifests/v1');
  expect([kept.status, sha256(await kept.bytes())]).toEqual([200, image.digest]);
  expect(sha256(await (await registry.call(`/v2/kept/app/blobs/${image.layerDigest}`)).bytes())).toBe(image.layerDigest);
}, 600_000);
