import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { OciError } from './errors.ts';
import { manifestReferencesMax, mediaTypeMaxLength, type ParsedManifest, parseManifest } from './manifest.ts';
import { configType, layerType, sampleDescriptor, sampleDigest, sampleImage, sampleIndex } from './manifest-samples.ts';
import { mediaTypes } from './media-types.ts';

const { ociManifest, ociIndex, dockerManifest } = mediaTypes;
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
describe('layers that may be elsewhere', () => {
  const urls = ['https://go.microsoft.com/fwlink/?linkid=1'];
  test.each([
    ['a Docker foreign layer with urls', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', urls, false],
    ['an OCI non-distributable layer with urls', 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', urls, false],
    ['a foreign layer that does not say where it is', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', undefined, true],
    ['a non-distributable layer with an empty list', 'application/vnd.oci.image.layer.nondistributable.v1.tar', [], true],
    ['an ordinary layer with urls', layerType, urls, true],
    ['an ordinary layer', layerType, undefined, true],
  ])('%s', (_, mediaType, where, required) => {
    const layer = parse(sampleImage({ layers: [sampleDescriptor(2, mediaType, where === undefined ? {} : { urls: where })] }))
      .references[1];
    expect(layer?.required).toBe(required);
    expect(layer?.urls).toEqual(where as string[]);
  });

  test('a config is required, whatever its urls', () => {
    expect(parse(sampleImage({ config: sampleDescriptor(1, 'application/x.nondistributable.y', { urls }) })).references[0]?.required).toBe(
      true,
    );
  });
});

describe('descriptors', () => {
  const layer = (more: object): string => refusal(sampleImage({ layers: [sampleDescriptor(2, layerType, more)] }));

  test.each(['0', '-0', '1', '9007199254740991', '1e3'])('size %s is read', (size) => {
    const sizeBytes = parseText(JSON.stringify(sampleImage()).replace('"size":102', `"size":${size}`)).references[1]?.sizeBytes;
    expect(sizeBytes).toBe(Math.abs(Number(size)));
  });

  test.each(['-1', '1.5', '9007199254740992', '9007199254740993', '18446744073709551616', '1e400', '-1e400', '"1"', 'true', '[]', '{}'])(
    'size %s is refused',
    (size) => {
      expect(refusalOfText(JSON.stringify(sampleImage()).replace('"size":102', `"size":${size}`))).toBe(
        'manifest layers[0].size must be a whole number of bytes',
      );
    },
  );

  test.each(['', 'sha256:abc', `sha1:${'a'.repeat(40)}`, `sha256:${'A'.repeat(64)}`, 7, {}])('digest %j is refused', (digest) => {
    expect(layer({ digest })).toBe('manifest layers[0].digest must be a sha256 or sha512 digest');
  });

  test.each(['', 'a/b\n', 'a/b\u0000', 'a/ä', 'x'.repeat(mediaTypeMaxLength + 1)])('media type %j is refused', (mediaType) => {
    expect(layer({ mediaType })).toBe('manifest layers[0].mediaType must be a media type');
    if (mediaType !== '') {
      expect(layer({ artifactType: mediaType })).toBe('manifest layers[0].artifactType must be a media type');
      expect(refusal(sampleImage({ artifactType: mediaType }))).toBe('manifest artifactType must be a media type');
    }
  });

  test('a media type that is unknown, has parameters or 255 characters is kept as it is', () => {
    for (const mediaType of ['x', 'text/plain; charset=utf-8', `a/${'b'.repeat(253)}`]) {
      expect(parse(sampleImage({ layers: [sampleDescriptor(2, mediaType)] })).references[1]?.mediaType).toBe(mediaType);
    }
  });

  test.each([
    [{ urls: 'https://x' }, 'urls must be a list of strings'],
    [{ urls: [1] }, 'urls must be a list of strings'],
    [{ urls: { 0: 'x' } }, 'urls must be a list of strings'],
    [{ annotations: [] }, 'annotations must be an object of strings'],
    [{ annotations: 'x' }, 'annotations must be an object of strings'],
    [{ annotations: { a: 1 } }, 'annotations must be an object of strings'],
    [{ annotations: { a: null } }, 'annotations must be an object of strings'],
    [{ artifactType: 1 }, 'artifactType must be a string'],
    [{ mediaType: 1 }, 'mediaType must be a string'],
  ])('%j is refused', (more, reason) => {
    expect(layer(more)).toBe(`manifest layers[0].${reason}`);
  });

  test.each([
    [{ layers: {} }, 'layers must be a list'],
    [{ layers: 'x' }, 'layers must be a list'],
    [{ layers: undefined }, 'layers must be a list'],
    [{ layers: ['x'] }, 'layers[0] must be a descriptor'],
    [{ config: undefined }, 'config must be a descriptor'],
    [{ config: [] }, 'config must be a descriptor'],
    [{ subject: 'x' }, 'subject must be a descriptor'],
    [{ subject: {} }, 'subject.mediaType must be a media type'],
    [{ annotations: { a: [] } }, 'annotations must be an object of strings'],
  ])('an image with %j is refused', (more, reason) => {
    expect(refusal(sampleImage(more))).toBe(`manifest ${reason}`);
  });

  test('an index without a list of manifests is refused', () => {
    for (const manifests of [undefined, {}, 'x']) expect(refusal(sampleIndex({ manifests }))).toBe('manifest manifests must be a list');
  });

  test('10,000 references are read and one more is refused', () => {
    expect(manifestReferencesMax).toBe(10_000);
    const children = Array.from({ length: 10_001 }, (_, at) => sampleDescriptor(at, ociManifest));
    expect(parse(sampleIndex({ manifests: children.slice(1) })).references.length).toBe(10_000);
    expect(refusal(sampleIndex({ manifests: children }))).toBe('manifest refers to more than 10000 items');
    expect(refusal(sampleImage({ layers: children.slice(1) }))).toBe('manifest refers to more than 10000 items');
  });

  test('the message quotes at most 200 characters of what was sent', () => {
    expect(refusal(sampleImage({ mediaType: 'x'.repeat(100_000) })).length).toBeLessThan(400);
    expect(refusal(sampleImage({ mediaType: 'a"\n' }))).toContain('"a\\"\\n"');
  });
});

describe('annotation names', () => {
  const proto = '__proto__';

  test('__proto__ and what Object inherits are names like others, and change nothing else', () => {
    const text = '{"__proto__":"p","constructor":"c","toString":"t","hasOwnProperty":"h"}';
    const parsed = parseText(JSON.stringify(sampleImage()).replace('"layers"', `"annotations":${text},"layers"`));
    expect(JSON.stringify(parsed.annotations)).toBe(text);
    expect(parsed.annotations[proto]).toBe('p');
    expect(({} as Record<string, unknown>)['p']).toBeUndefined();
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  test('a name that was not written is not found, on the manifest and on its descriptors', () => {
    const layers = [sampleDescriptor(2, layerType, { annotations: { a: 'b' } })];
    for (const annotations of [undefined, { a: 'b' }]) {
      const parsed = parse(sampleImage({ annotations, layers }));
      for (const name of ['constructor', 'toString', '__proto__', 'valueOf']) {
        expect(parsed.annotations[name]).toBeUndefined();
        expect(parsed.references[1]?.annotations?.[name]).toBeUndefined();
      }
    }
  });

  test('an object as the value of __proto__ is refused and never becomes a prototype', () => {
    expect(refusalOfText(JSON.stringify(sampleImage()).replace('"layers"', '"annotations":{"__proto__":{"x":"y"}},"layers"'))).toContain(
      'annotations must be',
    );
    // Members given only through a __proto__ key are not there.
    expect(refusalOfText(`{"__proto__":${JSON.stringify(sampleImage())}}`, ociManifest)).toContain('schemaVersion must be 2');
    expect(
      refusalOfText(
        JSON.stringify(sampleImage({ config: {} })).replace('{}', `{"__proto__":${JSON.stringify(sampleDescriptor(1, configType))}}`),
      ),
    ).toContain('config.mediaType');
  });

  test('any names and texts are given back', () => {
    const name = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', 'a'));
    fc.assert(
      fc.property(fc.dictionary(name, fc.string({ unit: 'grapheme' })), (annotations) => {
        const json = JSON.stringify(annotations);
        const parsed = parseText(JSON.stringify(sampleImage()).replace('"layers"', () => `"annotations":${json},"layers"`));
        expect(JSON.parse(JSON.stringify(parsed.annotations))).toEqual(JSON.parse(json));
      }),
    );
  });
});

describe('any document', () => {
  const sizeBytes = fc.nat();
  const anyDescriptor = fc.record(
    {
      mediaType: fc.constantFrom(layerType, configType, ociManifest, ociIndex, 'x'),
      digest: fc.nat().map(sampleDigest),
      size: sizeBytes,
      urls: fc.array(fc.webUrl(), { maxLength: 2 }),
    },
    { requiredKeys: ['mediaType', 'digest', 'size'] },
  );

  test('that is well-formed gives each descriptor once, in order, with its size', () => {
    fc.assert(
      fc.property(anyDescriptor, fc.array(anyDescriptor, { maxLength: 6 }), fc.boolean(), (config, items, isIndex) => {
        const parsed = parse(isIndex ? sampleIndex({ manifests: items }) : sampleImage({ config, layers: items }));
        const expected = (isIndex ? items : [config, ...items]).map((item) => [item.digest, item.size, item.mediaType]);
        expect(parsed.references.map((reference) => [reference.digest as string, reference.sizeBytes, reference.mediaType])).toEqual(
          expected,
        );
      }),
    );
  });

  test('with one member replaced by anything gives a manifest or MANIFEST_INVALID', () => {
    const junk = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(null, -1, 2 ** 53, '', [], {}));
    const key = fc.constantFrom('schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'subject', 'annotations', 'artifactType');
    const inner = fc.constantFrom('mediaType', 'digest', 'size', 'urls', 'annotations', 'artifactType');
    fc.assert(
      fc.property(
        fc.boolean(),
        key,
        inner,
        fc.boolean(),
        junk,
        fc.constantFrom(undefined, ociManifest, ociIndex, dockerManifest, 'x'),
        (isIndex, outer, field, isDeep, value, type) => {
          const damaged = isDeep ? [sampleDescriptor(1, ociManifest, { [field]: value })] : value;
          const document = (isIndex ? sampleIndex : sampleImage)({ [isDeep ? (isIndex ? 'manifests' : 'layers') : outer]: damaged });
          const reason = refusal(document, type);
          if (reason === 'accepted') {
            for (const reference of parse(document, type).references) {
              expect(Number.isSafeInteger(reference.sizeBytes) && reference.sizeBytes >= 0).toBe(true);
              expect(reference.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
            }
          } else expect(reason).toStartWith('manifest ');
        },
      ),
      { numRuns: 500 },
    );
  });
});
