import { expect, test } from 'bun:test';
import { bareMediaType, isIndexMediaType, isManifestMediaType, isSchema1MediaType, mediaTypes } from './media-types.ts';

test('the six types are told apart', () => {
  const facts = Object.values(mediaTypes).map((type) => [isManifestMediaType(type), isIndexMediaType(type), isSchema1MediaType(type)]);
  expect(facts).toEqual([
    [true, false, false],
    [true, true, false],
    [true, false, false],
    [true, true, false],
    [false, false, true],
    [false, false, true],
  ]);
});

test('the types are spelled as image-spec and Docker spell them', () => {
  expect(isManifestMediaType('application/vnd.oci.image.manifest.v1+json')).toBe(true);
  expect(isIndexMediaType('application/vnd.oci.image.index.v1+json')).toBe(true);
  expect(isManifestMediaType('application/vnd.docker.distribution.manifest.v2+json')).toBe(true);
  expect(isIndexMediaType('application/vnd.docker.distribution.manifest.list.v2+json')).toBe(true);
  expect(isSchema1MediaType('application/vnd.docker.distribution.manifest.v1+prettyjws')).toBe(true);
});

test('what inherits from Object is no media type', () => {
  for (const text of ['', 'constructor', '__proto__', 'toString', 'application/json']) expect(isManifestMediaType(text)).toBe(false);
});

test.each([
  ['application/json; charset=utf-8', 'application/json'],
  ['  Application/Vnd.OCI.Image.Index.v1+JSON  ', 'application/vnd.oci.image.index.v1+json'],
  ['text/plain;', 'text/plain'],
  [';charset=utf-8', ''],
  ['', ''],
  ['a/b, c/d', 'a/b, c/d'],
])('the bare type of "%s" is "%s"', (header, bare) => {
  expect(bareMediaType(header)).toBe(bare);
});
