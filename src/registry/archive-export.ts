// Images as one file: an OCI image layout in a tar, written as it is read, so that nothing is kept twice and memory stays flat. What is
// exported is whole, and every byte is checked on its way out: a damaged blob cuts the archive off instead of passing for a good one.

import { createTarPacker } from 'modern-tar';
import type { RepositoryTarget } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import { type ContentQueries, readTagTrail, type StoredManifest, type StoredTag } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import { type Digest, digestAlgorithm, startDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { PlatformChoice } from '../oci/platform.ts';
import { formatPlatforms } from '../oci/platform.ts';
import type { ManifestAnswer } from './answers.ts';
import { annotations, blobPath, formatIndex, indexFile, type LayoutImage, layoutFile, layoutText } from './archive-layout.ts';
import { walkImage } from './image-graph.ts';
import { resolveImage } from './image-name.ts';
import type { NameRules } from './names.ts';
import { parseTrail } from './trail.ts';

export interface ExportWish {
  readonly image: string;
  readonly platforms: PlatformChoice;
}
export interface Exporter {
  /**
   * What is to be written, settled before the first byte; `write` gives the tar. CONFLICT listing what an image lacks, NAME_UNKNOWN,
   * MANIFEST_UNKNOWN.
   */
  prepare(wishes: readonly ExportWish[]): Promise<PreparedExport>;
}
export interface PreparedExport {
  readonly images: readonly LayoutImage[];
  /** Of all entries, tar headers left out. */
  readonly sizeBytes: number;
  write(signal: AbortSignal): AsyncGenerator<Uint8Array>;
}

const readBytes = 256 * 1024;

interface StoredFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export function createExporter(parts: { database: Database; content: ContentQueries; store: BlobStore; names: NameRules }): Exporter {
  const { database, content, store, names } = parts;

  return {
    prepare: async (wishes) => {
      const manifests = new Map<Digest, Uint8Array>();
      const blobs = new Map<Digest, StoredFile>();
      const listed: LayoutImage[] = [];
      for (const wish of new Map(wishes.map((item) => [item.image, item])).values()) listed.push(await collect(wish, manifests, blobs));
      const sizes = [...[...manifests.values()].map((bytes) => bytes.byteLength), ...[...blobs.values()].map((blob) => blob.sizeBytes)];
      return {
        images: listed,
        sizeBytes: sizes.reduce((sum, size) => sum + size, 0),
        write: (signal) => writeTar(listed, manifests, blobs, signal),
      };
    },
  };

  async function collect(
    { image, platforms }: ExportWish,
    manifests: Map<Digest, Uint8Array>,
    blobs: Map<Digest, StoredFile>,
  ): Promise<LayoutImage> {
    const { target, reference } = await resolveImage(names, image);
    const find = (name: string): Promise<StoredTag | StoredManifest | undefined> =>
      reference.kind === 'tag' ? content.manifestByTag(name, reference.tag) : content.manifestByDigest(name, reference.digest);
    const home = await firstOf(target, async (name) => {
      const found = await find(name);
      return found === undefined ? undefined : { name, found };
    });
    if (home === undefined)
      throw new OciError('MANIFEST_UNKNOWN', `${image} is not here; breakwater warm fetches it`, { detail: { image } });
    const root = answerOf(home.found);
    const graph = await walkImage(root, platforms, async (digest) => {
      const child = await firstOf(target, (name) => content.manifestByDigest(name, digest));
      return child === undefined ? undefined : answerOf(child);
    });
    const missing: string[] = graph.absent.map((digest) => `manifest ${digest}`);
    if (graph.unmet.length > 0) missing.push(`platform ${formatPlatforms(graph.unmet)}`);
    for (const manifest of graph.manifests) manifests.set(manifest.digest, manifest.bytes);
    for (const blob of graph.blobs) {
      const row = await firstOf(target, (name) => content.blob(name, blob.digest));
      const path = row === undefined ? undefined : store.open(row.storageKey).path;
      if (row === undefined || path === undefined || Bun.file(path).size !== row.sizeBytes) {
        if (blob.isRequired || row !== undefined) missing.push(`blob ${blob.digest}`);
      } else blobs.set(blob.digest, { path, sizeBytes: row.sizeBytes });
    }
    if (missing.length > 0) {
      throw new OciError('CONFLICT', `${image} is not here whole (${missing.length} parts are missing); breakwater warm fetches them`, {
        detail: { image, missing: missing.slice(0, 50) },
      });
    }
    return {
      digest: root.digest,
      mediaType: root.mediaType,
      sizeBytes: root.bytes.byteLength,
      annotations: await describe(image, home.name, reference.kind === 'tag' ? reference.tag : undefined, root.digest),
    };
  }

  /** The full name, and who vouched for the tag, when. */
  async function describe(image: string, repository: string, tag: string | undefined, digest: Digest): Promise<Record<string, string>> {
    const full = tag === undefined ? `${repository}@${digest}` : `${repository}:${tag}`;
    const trail = tag === undefined ? undefined : await readTagTrail(database.read, repository, tag);
    const source = parseTrail(trail?.tagTrail ?? null)?.attempts.findLast((attempt) => attempt.verdict === 'ok')?.source;
    const verifiedAtMs = trail?.verifiedAtMs ?? null;
    return {
      [annotations.refName]: full,
      ...(tag === undefined ? {} : { [annotations.imageName]: full }),
      ...(trail === undefined || verifiedAtMs === null
        ? {}
        : { [annotations.trust]: trail.trust, [annotations.verifiedAt]: new Date(verifiedAtMs).toISOString() }),
      ...(source === undefined ? {} : { [annotations.verifiedBy]: source }),
      ...(full === image ? {} : { 'breakwater.asked-for': image }),
    };
  }
}

/** The names first, then manifests, then blobs: so that an import knows at once where each blob belongs, and can go on where it broke off. */
async function* writeTar(
  images: readonly LayoutImage[],
  manifests: ReadonlyMap<Digest, Uint8Array>,
  blobs: ReadonlyMap<Digest, StoredFile>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { readable, controller } = createTarPacker();
  const writeEntry = async (name: string, sizeBytes: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> => {
    const writer = controller.add({ name, size: sizeBytes, type: 'file', mode: 0o644, mtime: new Date(0) }).getWriter();
    for await (const chunk of chunks) await writer.write(chunk);
    await writer.close();
  };
  const writeAll = async (): Promise<void> => {
    await writeEntry(layoutFile, layoutText.length, [Buffer.from(layoutText)]);
    const index = Buffer.from(formatIndex(images));
    await writeEntry(indexFile, index.byteLength, [index]);
    // A root before its children.
    for (const [digest, bytes] of [...manifests].reverse()) await writeEntry(blobPath(digest), bytes.byteLength, [bytes]);
    for (const [digest, { path, sizeBytes }] of blobs)
      await writeEntry(blobPath(digest), sizeBytes, checkedChunks(path, sizeBytes, digest));
    controller.finalize();
  };
  const writing = writeAll().catch((error) => controller.error(error));
  const reader = readable.getReader();
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await reader.read();
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await reader.cancel(new DOMException('the reader left', 'AbortError')).catch(() => undefined);
    await writing;
  }
}

async function* checkedChunks(path: string, sizeBytes: number, digest: Digest): AsyncGenerator<Uint8Array> {
  const hash = startDigest(digestAlgorithm(digest));
  for (let at = 0; at < sizeBytes; at += readBytes) {
    const chunk = await Bun.file(path)
      .slice(at, Math.min(at + readBytes, sizeBytes))
      .bytes();
    hash.update(chunk);
    // The last bytes go out only when all are right.
    if (at + readBytes >= sizeBytes && hash.digest() !== digest) throw new Error(`${path} has other bytes than ${digest}: it is damaged`);
    yield chunk;
  }
}

/** As a pull would look: local content first, then the mirror behind it. */
async function firstOf<T>(target: RepositoryTarget, look: (name: string) => Promise<T | undefined>): Promise<T | undefined> {
  return (await look(target.name)) ?? (target.fallback === undefined ? undefined : look(target.fallback.name));
}

function answerOf({ digest, mediaType, bytes }: StoredManifest): ManifestAnswer {
  return { digest, mediaType, bytes };
}
