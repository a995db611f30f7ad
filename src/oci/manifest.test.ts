import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { OciError } from './errors.ts';
import { type ParsedManifest, parseManifest } from './manifest.ts';
import { configType, layerType, sampleDescriptor, sampleDigest, sampleImage, sampleIndex } from './manifest-samples.ts';
import { mediaTypes } from './media-types.ts';

const { ociManifest, ociIndex, dockerManifest, dockerList, dockerSchema1, dockerSchema1Signed } = mediaTypes;
const parseText = (text: string, contentType?: string): ParsedManifest => parseManifest(new TextEncoder().encode(text), contentType);
const parse = (value: unknown, contentType?: string): ParsedManifest => parseText(JSON.stringify(value), contentType);

function refusalOfText(text: string, contentType?: string): string {
  try {
    parseText(text, contentType);
  } catch (error) {
    if (!(error instanceof OciError) || error.code !== 'MANIFEST_INVALID') throw error;
    return error.message;
  }
  return 'accepted';
}
const refusal = (value: unknown, contentType?: string): string => refusalOfText(JSON.stringify(value), contentType);
/** The document without these members. */
const without = (value: object, ...keys: string[]): object =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));

describe('the four kinds', () => {
  test('an OCI image manifest gives its config and its layers in order', () => {
    expect(parse(sampleImage(), ociManifest)).toEqual({
      mediaType: ociManifest,
      kind: 'image',
      artifactType: configType,
      annotations: {},
      references: [
        { mediaType: configType, digest: sampleDigest(1), sizeBytes: 101, kind: 'config', required: true },
        { mediaType: layerType, digest: sampleDigest(2), sizeBytes: 102, kind: 'layer', required: true },
        { mediaType: layerType, digest: sampleDigest(3), sizeBytes: 103, kind: 'layer', required: true },
      ],
    } as unknown as ParsedManifest);
  });

  test('an OCI index gives its children in order, nested ones too, and has no artifact type of its own', () => {
    expect(parse(sampleIndex(), ociIndex)).toEqual({
      mediaType: ociIndex,
      kind: 'index',
      annotations: {},
      references: [
        { mediaType: ociManifest, digest: sampleDigest(4), sizeBytes: 104, kind: 'manifest', required: true },
        { mediaType: ociIndex, digest: sampleDigest(5), sizeBytes: 105, kind: 'manifest', required: true },
      ],
    } as unknown as ParsedManifest);
  });

  test('a Docker schema 2 manifest and a manifest list are read the same way', () => {
    const docker = parse(
      { ...sampleImage(), mediaType: dockerManifest, config: sampleDescriptor(1, 'application/vnd.docker.container.image.v1+json') },
      dockerManifest,
    );
    expect([docker.mediaType, docker.kind, docker.references.length]).toEqual([dockerManifest, 'image', 3]);
    const list = parse({
      ...sampleIndex(),
      mediaType: dockerList,
      manifests: [sampleDescriptor(4, dockerManifest, { platform: { architecture: 'amd64', os: 'linux' } })],
    });
    expect([list.mediaType, list.kind, list.references[0]?.kind]).toEqual([dockerList, 'index', 'manifest']);
  });

  test('an empty index and an image without layers are whole', () => {
    expect(parse(sampleIndex({ manifests: [] })).references).toEqual([]);
    expect(parse(sampleImage({ layers: [] })).references.length).toBe(1);
  });

  test('sha512 descriptors are read', () => {
    const digest = `sha512:${'c'.repeat(128)}`;
    expect(String(parse(sampleImage({ layers: [{ mediaType: layerType, digest, size: 1 }] })).references[1]?.digest)).toBe(digest);
  });

  test('the blobs that a BuildKit cache lists in an index are layers, Docker schema 1 children are manifests', () => {
    const cache = parse(
      sampleIndex({
        manifests: [
          sampleDescriptor(1, layerType),
          sampleDescriptor(2, 'application/vnd.buildkit.cacheconfig.v0'),
          sampleDescriptor(3, dockerManifest),
          sampleDescriptor(4, dockerSchema1Signed),
        ],
      }),
    );
    expect(cache.references.map((reference) => [reference.kind, reference.required])).toEqual([
      ['layer', true],
      ['layer', true],
      ['manifest', true],
      ['manifest', true],
    ]);
  });
});

describe('artifacts', () => {
  const empty = 'application/vnd.oci.empty.v1+json';

  test('the artifact type is the stated one, else the config type, also when the stated one is empty or null', () => {
    const typeOf = (more: object): string | undefined => parse(sampleImage({ config: sampleDescriptor(1, empty), ...more })).artifactType;
    expect(typeOf({ artifactType: 'application/vnd.example.sbom' })).toBe('application/vnd.example.sbom');
    expect(typeOf({})).toBe(empty);
    expect(typeOf({ artifactType: '' })).toBe(empty);
    expect(typeOf({ artifactType: null })).toBe(empty);
  });

  test('an index shows its stated artifact type, and none when it is empty', () => {
    expect(parse(sampleIndex({ artifactType: 'a/b' })).artifactType).toBe('a/b');
    expect('artifactType' in parse(sampleIndex({ artifactType: '' }))).toBe(false);
    expect('artifactType' in parse(sampleIndex())).toBe(false);
  });

  test('the subject is read with all it says, on images and indexes', () => {
    const subject = sampleDescriptor(9, ociManifest, {
      artifactType: 'a/b',
      annotations: { k: 'v' },
      urls: ['https://example.com/x'],
      data: 'e30=',
    });
    for (const document of [sampleImage({ subject }), sampleIndex({ subject })]) {
      expect(parse(document).subject).toEqual({
        mediaType: ociManifest,
        digest: sampleDigest(9),
        sizeBytes: 109,
        artifactType: 'a/b',
        annotations: { k: 'v' },
        urls: ['https://example.com/x'],
      } as unknown as NonNullable<ParsedManifest['subject']>);
    }
    expect('subject' in parse(sampleImage())).toBe(false);
  });

  test('the subject is no reference: it may be absent', () => {
    expect(
      parse(sampleImage({ subject: sampleDescriptor(9, ociManifest) })).references.some(
        (reference) => reference.digest === sampleDigest(9),
      ),
    ).toBe(false);
  });
});

describe('what Go writes for nil', () => {
  test('an optional member that is null is absent', () => {
    const nulls = { subject: null, annotations: null, artifactType: null };
    expect(parse(sampleImage(nulls))).toEqual(parse(sampleImage()));
    expect(parse(sampleIndex(nulls))).toEqual(parse(sampleIndex()));
    expect(parse(without(sampleImage(), 'mediaType'), ociManifest)).toEqual(parse(sampleImage({ mediaType: null }), ociManifest));
    const layers = [sampleDescriptor(2, layerType, { urls: null, annotations: null, artifactType: null })];
    expect(parse(sampleImage({ layers }))).toEqual(parse(sampleImage({ layers: [sampleDescriptor(2, layerType)] })));
  });

  test('a list that is null is empty', () => {
    expect(parse(sampleImage({ layers: null }))).toEqual(parse(sampleImage({ layers: [] })));
    expect(parse(sampleIndex({ manifests: null }))).toEqual(parse(sampleIndex({ manifests: [] })));
  });

  test('a required member that is null is missing', () => {
    expect(refusal(sampleImage({ config: null }))).toContain('config must be a descriptor');
    expect(refusal(sampleImage({ layers: [null] }))).toContain('layers[0] must be a descriptor');
    expect(refusal(sampleImage({ schemaVersion: null }))).toContain('schemaVersion');
    for (const key of ['mediaType', 'digest', 'size'])
      expect(refusal(sampleImage({ config: sampleDescriptor(1, configType, { [key]: null }) }))).toContain(`config.${key}`);
  });
});

describe('the media type', () => {
  test('comes from the document, and a Content-Type must agree', () => {
    expect(parse(sampleImage()).mediaType).toBe(ociManifest);
    expect(parse(sampleImage(), `${ociManifest}; charset=utf-8`).mediaType).toBe(ociManifest);
    expect(parse(sampleImage(), ociManifest.toUpperCase()).mediaType).toBe(ociManifest);
    for (const other of [ociIndex, dockerManifest, 'application/json', 'text/plain', dockerSchema1]) {
      expect(refusal(sampleImage(), other)).toContain('differs from Content-Type');
    }
  });

  test('comes from the Content-Type when an OCI document states none', () => {
    expect(parse(without(sampleImage(), 'mediaType'), ociManifest).mediaType).toBe(ociManifest);
    expect(parse(without(sampleIndex(), 'mediaType'), ociIndex).mediaType).toBe(ociIndex);
  });

  test('must be known from somewhere, and an empty Content-Type says nothing', () => {
    for (const contentType of [undefined, '', ' ', '; charset=utf-8']) {
      expect(refusal(without(sampleImage(), 'mediaType'), contentType)).toContain('no mediaType');
      expect(parse(sampleImage(), contentType).mediaType).toBe(ociManifest);
    }
  });

  test('must be stated by Docker documents', () => {
    expect(refusal(without(sampleImage(), 'mediaType'), dockerManifest)).toContain('must state its mediaType');
    expect(refusal(without(sampleIndex(), 'mediaType'), dockerList)).toContain('must state its mediaType');
  });

  test.each([
    'application/json',
    'application/vnd.oci.artifact.manifest.v1+json',
    'application/vnd.oci.image.config.v1+json',
    'constructor',
    ociManifest.toUpperCase(),
  ])('%s is no manifest type', (mediaType) => {
    expect(refusal(sampleImage({ mediaType }))).toContain('not a manifest type');
    expect(refusal(sampleImage({ mediaType: 7 }))).toContain('mediaType must be a string');
  });

  test('Docker schema 1 is refused by name, however it is marked', () => {
    const schema1 = { schemaVersion: 1, name: 'a', tag: 'b', architecture: 'amd64', fsLayers: [], history: [] };
    expect(refusal(schema1, dockerSchema1)).toContain('schema 1');
    expect(refusal(schema1, dockerSchema1Signed)).toContain('schema 1');
    expect(refusal(schema1)).toContain('schema 1');
    expect(refusal(sampleImage({ mediaType: dockerSchema1 }))).toContain('schema 1');
    expect(refusal(sampleImage({ schemaVersion: 1 }), ociManifest)).toContain('schema 1');
  });

  test.each([undefined, 0, 3, '2', 2.5, true, [[2]], {}])('schemaVersion %j is refused', (schemaVersion) => {
    expect(refusal(sampleImage({ schemaVersion }))).toContain('schemaVersion must be 2');
  });
});

describe('documents with two meanings', () => {
  test('an index with the members of an image, and the reverse, are refused, even when they are null', () => {
    for (const value of [[], null, [sampleDescriptor(2, layerType)]]) {
      expect(refusal(sampleIndex({ layers: value }))).toContain('must not have layers or config');
      expect(refusal(sampleIndex({ config: value }))).toContain('must not have layers or config');
      expect(refusal(sampleImage({ manifests: value }))).toContain('must not have manifests');
      expect(refusal(sampleImage({ fsLayers: value }))).toContain('fsLayers');
      expect(refusal(sampleIndex({ fsLayers: value }))).toContain('fsLayers');
    }
  });

  test('the same bytes are never an image under one Content-Type and an index under another', () => {
    const member = fc.constantFrom('config', 'layers', 'manifests', 'mediaType');
    fc.assert(
      fc.property(fc.subarray(['config', 'layers', 'manifests']), fc.option(member), (keys, extra) => {
        const whole: Record<string, unknown> = { ...sampleImage(), ...sampleIndex() };
        const document = Object.fromEntries(['schemaVersion', ...keys, ...(extra === null ? [] : [extra])].map((key) => [key, whole[key]]));
        const kinds = new Set(
          [ociManifest, ociIndex, undefined]
            .filter((type) => refusal(document, type) === 'accepted')
            .map((type) => parse(document, type).kind),
        );
        expect(kinds.size).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('a key that Go takes for a known one is refused, with and without the known one', () => {
    for (const key of [
      'Layers',
      'LAYERS',
      'layer\u017f',
      'Subject',
      'mediatype',
      'Annotations',
      'artifacttype',
      'FSLayers',
      'schemaversion',
      'Config',
      'Manifests',
    ]) {
      expect(refusal(sampleImage({ [key]: [] }))).toContain('to some readers');
      expect(refusal(sampleIndex({ [key]: [] }))).toContain('to some readers');
    }
    for (const key of ['Digest', 'SIZE', '\u017fize', 'MediaType', 'URLs', 'Platform', 'Data']) {
      expect(refusal(sampleImage({ layers: [sampleDescriptor(2, layerType, { [key]: 1 })] }))).toContain('to some readers');
      expect(refusal(sampleImage({ config: sampleDescriptor(1, configType, { [key]: 1 }) }))).toContain('config: the key');
      expect(refusal(sampleImage({ subject: sampleDescriptor(1, ociManifest, { [key]: 1 }) }))).toContain('subject: the key');
      expect(refusal(sampleIndex({ manifests: [sampleDescriptor(4, ociManifest, { [key]: 1 })] }))).toContain('manifests[0]: the key');
    }
  });

  test('unknown members and annotations that differ in case are left alone', () => {
    const annotations = { Layers: 'a', layers: 'b', Digest: 'c' };
    expect(parse(sampleImage({ annotations, 'com.example.extra': { Layers: [] } })).annotations).toEqual(annotations);
  });

  test('a duplicate key is refused', () => {
    expect(refusalOfText(JSON.stringify(sampleImage()).replace('"layers":', '"layers":[],"layers":'))).toContain('stands twice');
    expect(refusalOfText(JSON.stringify(sampleImage()).replace('"size":102', '"size":102,"size":102'))).toContain('stands twice');
  });

  test.each(['[]', 'null', '1', '"x"', 'true', '[{"schemaVersion":2}]'])('%s is no manifest', (text) => {
    expect(refusalOfText(text, ociManifest)).toBe('manifest must be a JSON object');
  });
});
