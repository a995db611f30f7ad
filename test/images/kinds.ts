// The images the real clients push and pull, one function a kind, each writing one layout. See the table in build.ts.
// Apart from the Debian layer handed in, every byte is the same on every machine.

import { join } from 'node:path';
import { bareDescriptor, createLayout, type Descriptor, type Layer, type LayoutWriter, mediaTypes, packLayer } from './layout-writer.ts';
import { randomBytesOf } from './random-bytes.ts';
import { type TarEntry, writeTar } from './tar.ts';

const mebibyte = 1024 * 1024;

/** `app:1.0`, about 115 MiB in five layers: a 66 MiB one that does not compress, odd files, whiteouts, many small files. */
export function buildApp(root: string, base: Layer): void {
  const layout = createLayout(join(root, 'app'));
  const model = packLayer(tarOf([{ name: 'app/model.bin', data: randomBytesOf('model', 66 * mebibyte) }]), 'stored');
  layout.tag(
    layout.image({ layers: [base, model, packLayer(oddFiles(), 'gzip'), packLayer(whiteouts(), 'gzip'), packLayer(code(), 'gzip')] }),
    '1.0',
  );
  layout.close();
}

/** `big:256m`, about 365 MiB: three layers with the app's model layer and one of 256 MiB. */
export function buildBig(root: string, base: Layer): void {
  const layout = createLayout(join(root, 'big'));
  const model = packLayer(tarOf([{ name: 'app/model.bin', data: randomBytesOf('model', 66 * mebibyte) }]), 'stored');
  const weights = packLayer(tarOf([{ name: 'app/weights.bin', data: randomBytesOf('weights', 256 * mebibyte) }]), 'stored');
  layout.tag(layout.image({ layers: [base, model, weights] }), '256m');
  layout.close();
}

/** `multiarch:latest`, an index of amd64, arm64/v8 and arm/v7 with one attestation manifest for each, as BuildKit writes them. */
export function buildMultiarch(root: string, base: Layer): void {
  const layout = createLayout(join(root, 'multiarch'));
  const named = (name: string): Layer => packLayer(tarOf([{ name: 'etc/architecture', data: `${name}\n` }]), 'gzip');
  const images = [
    layout.image({ layers: [base, named('amd64')] }),
    layout.image({ layers: [named('arm64')], architecture: 'arm64', variant: 'v8' }),
    layout.image({ layers: [named('armv7')], architecture: 'arm', variant: 'v7' }),
  ];
  const manifests = [...images, ...images.map((image) => attestation(layout, image))];
  const annotations = { 'org.opencontainers.image.source': 'https://example.invalid/multiarch' };
  layout.tag(layout.json({ schemaVersion: 2, mediaType: mediaTypes.index, manifests, annotations }, mediaTypes.index), 'latest');
  layout.close();
}

/** `zstd:` zstd, gzip, mixed and uncompressed: the same text under each compression. */
export function buildCompressions(root: string, base: Layer): void {
  const layout = createLayout(join(root, 'zstd'));
  const text = tarOf(Array.from({ length: 200 }, (_, index) => ({ name: `data/${index}.txt`, data: `line ${index}\n`.repeat(2000) })));
  const more = tarOf([{ name: 'data/more.bin', data: randomBytesOf('more', 3 * mebibyte) }]);
  layout.tag(layout.image({ layers: [base, packLayer(text, 'zstd'), packLayer(more, 'zstd')] }), 'mixed');
  layout.tag(layout.image({ layers: [packLayer(more, 'zstd'), packLayer(text, 'zstd')] }), 'zstd');
  layout.tag(layout.image({ layers: [packLayer(more, 'gzip'), packLayer(text, 'gzip')] }), 'gzip');
  layout.tag(layout.image({ layers: [packLayer(more, 'none'), packLayer(text, 'none')] }), 'uncompressed');
  layout.close();
}

/** `manylayers:100`, one hundred small layers. */
export function buildManyLayers(root: string): void {
  const layout = createLayout(join(root, 'manylayers'));
  const layers = Array.from({ length: 100 }, (_, index) =>
    packLayer(tarOf([{ name: `layer/${index}`, data: randomBytesOf(`layer ${index}`, 2000) }]), 'gzip'),
  );
  layout.tag(layout.image({ layers }), '100');
  layout.close();
}

/**
 * `artifacts:` helm, oras, wasm, empty, image, nested (an index in an index), and untagged manifests with a `subject`: a bill of
 * materials, a signature, scans, a referrer of a referrer, one whose subject exists nowhere, one without artifactType, and an index.
 */
export function buildArtifacts(root: string): void {
  const layout = createLayout(join(root, 'artifacts'));
  const chart = packLayer(tarOf([{ name: 'demo/Chart.yaml', data: 'apiVersion: v2\nname: demo\nversion: 0.1.0\n' }]), 'gzip').bytes;
  const helmConfig = layout.json({ name: 'demo', version: '0.1.0', apiVersion: 'v2' }, 'application/vnd.cncf.helm.config.v1+json');
  const helm = manifest(layout, {
    config: helmConfig,
    layers: [layout.blob(chart, 'application/vnd.cncf.helm.chart.content.v1.tar+gzip')],
  });
  layout.tag(helm, 'helm');
  const titled = (title: string): Partial<Descriptor> => ({ annotations: { 'org.opencontainers.image.title': title } });
  const files = [
    layout.blob(randomBytesOf('artifact', 300_000), 'application/octet-stream', titled('file.bin')),
    layout.blob(Buffer.from('hello\n'), 'text/plain', titled('hello.txt')),
  ];
  layout.tag(manifest(layout, { config: empty(layout), layers: files, artifactType: 'application/vnd.example.generic' }), 'oras');
  const wasmConfig = layout.json({ architecture: 'wasm', os: 'wasip2' }, 'application/vnd.wasm.config.v0+json');
  layout.tag(manifest(layout, { config: wasmConfig, layers: [layout.blob(randomBytesOf('wasm', 5000), 'application/wasm')] }), 'wasm');
  layout.tag(
    manifest(layout, {
      config: empty(layout),
      layers: [empty(layout)],
      artifactType: 'application/vnd.example.empty',
      annotations: { k: 'v' },
    }),
    'empty',
  );
  const image = layout.image({ layers: [packLayer(tarOf([{ name: 'hello', data: 'hello\n' }]), 'gzip')] });
  layout.tag(image, 'image');
  const inner = layout.json({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [image] }, mediaTypes.index);
  layout.tag(layout.json({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [inner, helm] }, mediaTypes.index), 'nested');
  addReferrers(layout, image);
  layout.close();
}

function addReferrers(layout: LayoutWriter, image: Descriptor): void {
  const refer = (subject: Descriptor, artifactType: string, layers: readonly Descriptor[]): Descriptor => {
    const referrer = manifest(layout, { config: empty(layout), layers, artifactType, subject: bareDescriptor(subject) });
    layout.add({ ...referrer, artifactType });
    return referrer;
  };
  const bill = refer(image, 'application/spdx+json', [layout.json({ spdxVersion: 'SPDX-2.3', name: 'image' }, 'application/spdx+json')]);
  const signatureType = 'application/vnd.cncf.notary.signature';
  const signature = refer(image, signatureType, [layout.blob(randomBytesOf('signature', 1500), 'application/jose+json')]);
  refer(bill, signatureType, [layout.blob(randomBytesOf('signature of a bill', 1500), 'application/jose+json')]);
  for (const scan of [0, 1, 2]) refer(image, 'application/vnd.example.scan', [layout.json({ scan }, 'application/json')]);
  const absent = { mediaType: mediaTypes.manifest, digest: `sha256:${'ab'.repeat(32)}`, size: 999 };
  refer(absent, 'application/vnd.example.early', [empty(layout)]);
  const config = layout.json({ a: 1 }, 'application/vnd.example.config.v1+json');
  layout.add(manifest(layout, { config, layers: [layout.blob(Buffer.from('x'), 'text/plain')], subject: bareDescriptor(image) }));
  const bundle = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    artifactType: 'application/vnd.example.bundle',
    manifests: [bill, signature],
  };
  layout.add(layout.json({ ...bundle, subject: bareDescriptor(image), annotations: { b: '1' } }, mediaTypes.index));
}

interface ManifestFields {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

function manifest(layout: LayoutWriter, fields: ManifestFields): Descriptor {
  return layout.json({ schemaVersion: 2, mediaType: mediaTypes.manifest, ...fields }, mediaTypes.manifest);
}

function empty(layout: LayoutWriter): Descriptor {
  return layout.blob(Buffer.from('{}'), mediaTypes.empty);
}

function attestation(layout: LayoutWriter, image: Descriptor): Descriptor {
  const predicateType = 'https://slsa.dev/provenance/v0.2';
  const subject = [{ name: 'multiarch', digest: { sha256: image.digest.slice('sha256:'.length) } }];
  const statement = { _type: 'https://in-toto.io/Statement/v0.1', predicateType, subject, predicate: { buildType: 'test' } };
  const layer = layout.json(statement, 'application/vnd.in-toto+json', { annotations: { 'in-toto.io/predicate-type': predicateType } });
  const unknown = { architecture: 'unknown', os: 'unknown' };
  const config = layout.json({ ...unknown, config: {}, rootfs: { type: 'layers', diff_ids: [layer.digest] } }, mediaTypes.config);
  return layout.json({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] }, mediaTypes.manifest, {
    platform: unknown,
    annotations: { 'vnd.docker.reference.digest': image.digest, 'vnd.docker.reference.type': 'attestation-manifest' },
  });
}

function tarOf(entries: readonly TarEntry[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(writeTar(entries));
}

function code(): Uint8Array<ArrayBuffer> {
  return tarOf(
    Array.from({ length: 800 }, (_, index) => ({ name: `app/m_${index}.py`, data: `def f_${index}(x): return x + ${index}\n` })),
  );
}

function oddFiles(): Uint8Array<ArrayBuffer> {
  const long = 'd'.repeat(200);
  return tarOf([
    { name: 'srv/ünïcödé/日本語/файл.txt', data: 'x\n' },
    { name: `srv/${long}/${'f'.repeat(200)}`, data: 'y\n' },
    { name: 'srv/a', data: 'h\n' },
    { name: 'srv/hardlink', type: 'hardlink', target: 'srv/a' },
    { name: 'srv/symlink', type: 'symlink', target: '../srv/a' },
    { name: 'srv/setuid', data: '#!/bin/sh\n', mode: 0o4755 },
    { name: 'srv/fifo', type: 'fifo' },
    { name: 'srv/opaque/old', data: 'old\n' },
    { name: 'srv/empty', data: '' },
  ]);
}

function whiteouts(): Uint8Array<ArrayBuffer> {
  return tarOf([
    { name: 'srv/.wh.hardlink', data: '' },
    { name: 'srv/opaque/.wh..wh..opq', data: '' },
    { name: 'srv/opaque/new', data: 'new\n' },
  ]);
}
