// Images out of one file: an OCI image layout in a tar, as this program, skopeo, podman and `docker save` (25 and newer) write it, its entries in any
// order. Every byte is checked against its digest while it is read. What the archive brings becomes visible only when all of it is there:
// blobs first, then manifests, tags last. Nothing is ever written under a name the archive chose.
//
//   entry blobs/... ──> digest checked ──> here already: not written again
//                                     ──> a known repository wants it: kept at once, so that a broken-off import goes on there
//                                     ──> nobody is known to want it yet: staged until the end
//   end ──> every image whole? ──> manifests, children first, then tags · else: an error, and staged bytes go

import type { ParsedTarEntry } from 'modern-tar';
import type { RepositoryTarget } from '../auth/access.ts';
import { openSpool, type Spool } from '../blobs/spool.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { createUlid } from '../lib/ulid.ts';
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { type ParsedManifest, parseManifest } from '../oci/manifest.ts';
import { hashOnly, readEntries, readSmall, wrongDigest } from './archive-entries.ts';
import {
  digestOfPath,
  fullNameOf,
  indexFile,
  type LayoutImage,
  layoutFile,
  parseIndex,
  requireLayout,
  requirePath,
} from './archive-layout.ts';
import { type ImportWish, nameFor } from './archive-names.ts';
import { asStorageError, type DiskReserve, requireSpace } from './disk-reserve.ts';
import { resolveImage } from './image-name.ts';
import type { Ingest } from './ingest.ts';
import type { NameRules } from './names.ts';
import type { Repositories } from './repositories.ts';
import { formatTrail } from './trail.ts';

export interface ImportedImage {
  /** As the archive names it; its digest when it does not. */
  readonly image: string;
  readonly repository: string;
  readonly tag?: string;
  readonly digest: Digest;
}
export interface Imported {
  readonly images: readonly ImportedImage[];
  readonly manifests: number;
  readonly blobsStored: number;
  readonly blobsPresent: number;
  /** Of blobs, stored or present. */
  readonly sizeBytes: number;
}
export interface Importer {
  /**
   * Reads a tar to its end. BAD_REQUEST for what is no such archive, is truncated, lacks a part, or plays tricks with paths; DIGEST_INVALID,
   * MANIFEST_INVALID, BLOB_TOO_LARGE, INSUFFICIENT_STORAGE, NAME_UNKNOWN; what the stream throws.
   */
  read(tar: ReadableStream<Uint8Array>, wish: ImportWish): Promise<Imported>;
}
export interface ImportLimits {
  readonly blobMaxBytes: number;
  readonly manifestMaxBytes: number;
  readonly minimumFree: DiskReserve;
}
export interface ImportParts {
  readonly database: Database;
  readonly content: ContentQueries;
  readonly store: BlobStore;
  readonly ingest: Ingest;
  readonly repositories: Repositories;
  readonly names: NameRules;
  readonly clock: Clock;
  readonly limits: ImportLimits;
}

const indexMaxBytes = 16 * 1024 * 1024;
/** Manifests of one archive, all together. */
const manifestsMaxBytes = 256 * 1024 * 1024;
/** Staged objects whose files stay open. */
const openMax = 128;

interface Home {
  readonly target: RepositoryTarget;
  readonly repositoryId: number;
}
interface Root {
  readonly listed: LayoutImage;
  readonly home: Home;
  readonly image: string;
  readonly tag?: string;
}
interface Staged {
  readonly id: string;
  /** Undefined when its file was closed. */
  readonly spool: Spool | undefined;
}

export function createImporter(parts: ImportParts): Importer {
  return {
    read: async (tar, wish) => {
      const run = startImport(parts, wish);
      try {
        await readEntries(tar, run.take);
        return await run.finish();
      } catch (error) {
        throw asStorageError(error);
      } finally {
        await run.discard();
      }
    },
  };
}

function startImport(parts: ImportParts, wish: ImportWish) {
  const { database, content, store, ingest, repositories, names, clock, limits } = parts;
  const staged = new Map<Digest, Staged>();
  /** Checked, and live here. */
  const present = new Set<Digest>();
  const manifests = new Map<Digest, Uint8Array>();
  /** Repositories that want a blob, and what each manifest was walked for. */
  const wanted = new Map<Digest, Map<number, Home>>();
  const walked = new Set<string>();
  const expected = new Map<Digest, readonly { readonly home: Home; readonly mediaType: string }[]>();
  let roots: readonly Root[] | undefined;
  let manifestBytes = 0;
  let hasLayout = false;
  const totals = { blobsStored: 0, blobsPresent: 0, sizeBytes: 0 };

  const take = async ({ header, body }: ParsedTarEntry): Promise<void> => {
    const path = requirePath(header.name);
    const digest = digestOfPath(path);
    const isContent = path === layoutFile || path === indexFile || digest !== undefined;
    if (isContent && header.type !== 'file') throw new OciError('BAD_REQUEST', `${path} of the archive is no plain file`);
    if (path === layoutFile) {
      requireLayout(await readSmall(body, header.size, 64 * 1024, path));
      hasLayout = true;
    } else if (path === indexFile) {
      if (roots !== undefined) throw new OciError('BAD_REQUEST', `the archive has ${indexFile} twice`);
      roots = await placeImages(parseIndex(await readSmall(body, header.size, indexMaxBytes, path)));
      for (const { listed, home } of roots) await expectManifest(listed.digest, listed.mediaType, home);
    } else if (digest !== undefined) await takeBlob(digest, header.size, body);
    else await body.cancel();
  };

  const takeBlob = async (digest: Digest, sizeBytes: number, body: ReadableStream<Uint8Array>): Promise<void> => {
    if (sizeBytes > limits.blobMaxBytes)
      throw new OciError('BLOB_TOO_LARGE', `${digest} has ${sizeBytes} bytes, more than the limit for blobs`);
    if (staged.has(digest) || present.has(digest) || (manifests.has(digest) && !wanted.has(digest))) return body.cancel();
    if (sizeBytes <= limits.manifestMaxBytes) return takeSmall(digest, await readSmall(body, sizeBytes, sizeBytes, digest));
    if ((await content.originOf(digest)) !== undefined) {
      await hashOnly(digest, body);
      present.add(digest);
      totals.blobsPresent++;
      totals.sizeBytes += sizeBytes;
    } else await stage(digest, sizeBytes, body);
    await settle(digest);
  };

  /** It may be a manifest: that is told by who refers to it, which may be known only later. */
  const takeSmall = async (digest: Digest, bytes: Uint8Array): Promise<void> => {
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) throw wrongDigest(digest);
    if (looksLikeManifest(bytes)) {
      manifestBytes += bytes.byteLength;
      if (manifestBytes > manifestsMaxBytes)
        throw new OciError('BAD_REQUEST', 'the manifests of the archive are larger than 256 MiB together');
      manifests.set(digest, bytes);
      const places = expected.get(digest);
      if (places !== undefined) {
        for (const { home, mediaType } of places) await walk(digest, mediaType, home);
        return;
      }
    }
    if ((await content.originOf(digest)) !== undefined) {
      present.add(digest);
      totals.blobsPresent++;
      totals.sizeBytes += bytes.byteLength;
    } else await stage(digest, bytes.byteLength, new Blob([new Uint8Array(bytes)]).stream());
    await settle(digest);
  };

  const stage = async (digest: Digest, sizeBytes: number, body: ReadableStream<Uint8Array>): Promise<void> => {
    await requireSpace(store, limits.minimumFree, sizeBytes);
    const spool = await openSpool(await store.stage(`import-${createUlid(clock.nowMs())}`), digestAlgorithm(digest));
    staged.set(digest, { id: spool.id, spool });
    for await (const chunk of body) await spool.append(chunk);
    await spool.flush();
    if (spool.digest() !== digest) throw wrongDigest(digest);
    if (staged.size <= openMax) return;
    await spool.close();
    staged.set(digest, { id: spool.id, spool: undefined });
  };

  /** Keeps a blob in every repository that is known to want it. */
  const settle = async (digest: Digest): Promise<void> => {
    const homes = [...(wanted.get(digest)?.values() ?? [])];
    const item = staged.get(digest);
    const [first] = homes;
    if (first === undefined) return;
    if (item !== undefined) {
      const spool = item.spool ?? (await reopen(item.id, digest));
      const sizeBytes = spool.acceptedBytes;
      await ingest.blob({ repositoryId: first.repositoryId, spool, digest, origin: 'restricted' });
      await spool.close();
      staged.delete(digest);
      present.add(digest);
      totals.blobsStored++;
      totals.sizeBytes += sizeBytes;
    }
    if (!present.has(digest)) return;
    for (const { repositoryId } of homes) {
      if (!(await database.run('adoptBlob', { repositoryId, digest })))
        throw new OciError('UNAVAILABLE', `${digest} went away during the import; import the archive again`);
    }
    wanted.delete(digest);
  };

  const reopen = async (id: string, digest: Digest): Promise<Spool> => {
    const object = await store.resume(id);
    if (object === undefined) throw new OciError('UNAVAILABLE', `${digest} is no longer staged; import the archive again`);
    return openSpool(object, digestAlgorithm(digest));
  };

  /** A repository refers to this manifest: its parts are wanted there, as soon as it has been read. */
  const expectManifest = async (digest: Digest, mediaType: string, home: Home): Promise<void> => {
    expected.set(digest, [...(expected.get(digest) ?? []), { home, mediaType }]);
    if (manifests.has(digest)) await walk(digest, mediaType, home);
  };

  const walk = async (digest: Digest, mediaType: string, home: Home): Promise<void> => {
    const key = `${home.repositoryId} ${digest}`;
    if (walked.has(key)) return;
    walked.add(key);
    for (const reference of parse(digest, mediaType).references) {
      if (reference.kind === 'manifest') await expectManifest(reference.digest, reference.mediaType, home);
      else {
        const homes = wanted.get(reference.digest) ?? new Map<number, Home>();
        wanted.set(reference.digest, homes.set(home.repositoryId, home));
        await settle(reference.digest);
      }
    }
  };

  const parse = (digest: Digest, mediaType: string): ParsedManifest => {
    const bytes = manifests.get(digest);
    if (bytes === undefined) throw new OciError('BAD_REQUEST', `the archive lacks the manifest ${digest}`);
    return parseManifest(bytes, mediaType);
  };

  const placeImages = async (listed: readonly LayoutImage[]): Promise<readonly Root[]> => {
    if (listed.length === 0) throw new OciError('BAD_REQUEST', 'the archive lists no image');
    if (wish.as !== undefined && listed.length > 1)
      throw new OciError(
        'BAD_REQUEST',
        `the archive has ${listed.length} images, so they cannot all have one name; name a project instead`,
      );
    const { project } = wish;
    if (project !== undefined && (await names.projects.byName(project)) === undefined) {
      const hint = `breakwater project create ${project.slice(0, 128)}`;
      throw new OciError('NAME_UNKNOWN', `there is no project named ${project.slice(0, 128)} here; create it first: ${hint}`);
    }
    const homes = new Map<string, Home>();
    const placed: Root[] = [];
    for (const image of listed) {
      const { name, tag } = nameFor(image, wish);
      const { target } = await resolveImage(names, name);
      const home = homes.get(target.name) ?? { target, repositoryId: await repositories.ensure(target.project.id, target.name) };
      homes.set(target.name, home);
      placed.push({ listed: image, home, image: fullNameOf(image) ?? image.digest, ...(tag === undefined ? {} : { tag }) });
    }
    return placed;
  };

  const finish = async (): Promise<Imported> => {
    if (roots === undefined || !hasLayout)
      throw new OciError(
        'BAD_REQUEST',
        `this is no OCI image layout: it has no ${roots === undefined ? indexFile : layoutFile} (docker save writes one from version 25 on)`,
      );
    // All of it is looked at before the first manifest is stored.
    const plans = await Promise.all(roots.map(async (root) => ({ root, order: await plan(root) })));
    const stored = new Set<string>();
    const images: ImportedImage[] = [];
    for (const { root, order } of plans) {
      const { target, repositoryId } = root.home;
      for (const item of order) {
        const isRoot = item.digest === root.listed.digest;
        const key = `${repositoryId} ${item.digest}`;
        if (stored.has(key) && !isRoot) continue;
        stored.add(key);
        await ingest.manifest({
          repositoryId,
          bytes: item.bytes,
          contentType: item.mediaType,
          digest: item.digest,
          tags: isRoot && root.tag !== undefined ? [root.tag] : [],
          completeness: target.project.kind === 'mirror' ? 'mirror' : target.project.allowsSparse ? 'sparse' : 'complete',
          // The administrator brought it: his word stands for the registry's.
          ...(target.project.kind === 'mirror'
            ? { tagTrust: 'confirmed' as const, trail: formatTrail({ atMs: clock.nowMs(), attempts: [], reason: originOf(root.listed) }) }
            : {}),
        });
      }
      images.push({
        image: root.image,
        repository: target.name,
        ...(root.tag === undefined ? {} : { tag: root.tag }),
        digest: root.listed.digest,
      });
    }
    return { images, manifests: stored.size, ...totals };
  };

  /** The manifests of an image in the order of storing. BAD_REQUEST when the archive, and this server, lack a part. */
  const plan = async (root: Root): Promise<readonly { digest: Digest; mediaType: string; bytes: Uint8Array }[]> => {
    const { target } = root.home;
    const order: { digest: Digest; mediaType: string; bytes: Uint8Array }[] = [];
    const seen = new Set<Digest>();
    const missing: string[] = [];
    const visit = async (digest: Digest, mediaType: string): Promise<boolean> => {
      if (seen.has(digest)) return true;
      const bytes = manifests.get(digest);
      if (bytes === undefined) return (await content.manifestByDigest(target.name, digest)) !== undefined;
      seen.add(digest);
      let children = 0;
      let brought = 0;
      for (const reference of parseManifest(bytes, mediaType).references) {
        if (reference.kind === 'manifest') {
          children++;
          if (await visit(reference.digest, reference.mediaType)) brought++;
          else if (target.project.kind !== 'mirror' && !target.project.allowsSparse) missing.push(`manifest ${reference.digest}`);
        } else if (
          reference.required &&
          !present.has(reference.digest) &&
          (await content.blob(target.name, reference.digest)) === undefined
        )
          missing.push(`blob ${reference.digest}`);
      }
      if (children > 0 && brought === 0) missing.push(`every manifest that ${digest} lists`);
      order.push({ digest, mediaType, bytes });
      return true;
    };
    if (!(await visit(root.listed.digest, root.listed.mediaType))) missing.push(`manifest ${root.listed.digest}`);
    if (missing.length > 0) {
      throw new OciError(
        'BAD_REQUEST',
        `the archive is not whole: of ${root.image} it lacks ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', ...' : ''}`,
        {
          detail: { image: root.image, missing: missing.slice(0, 50) },
        },
      );
    }
    if (order.length === 0) {
      // A manifest that is here already: only its tag is new.
      const known = await content.manifestByDigest(target.name, root.listed.digest);
      if (known !== undefined) order.push({ digest: known.digest, mediaType: known.mediaType, bytes: known.bytes });
    }
    return order;
  };

  const discard = async (): Promise<void> => {
    for (const { id, spool } of staged.values()) {
      if (spool !== undefined) await spool.fail(new Error('the import has ended')).catch(() => undefined);
      else
        await store
          .resume(id)
          .then((object) => object?.discard())
          .catch(() => undefined);
    }
    staged.clear();
  };

  return { take, finish, discard };
}

function originOf({ annotations: words }: LayoutImage): string {
  const at = words['breakwater.tag.verified-at'];
  const by = words['breakwater.tag.verified-by'];
  const told =
    at === undefined ? '' : `; there it was last verified at ${at.slice(0, 40)}${by === undefined ? '' : ` by ${by.slice(0, 200)}`}`;
  return `imported from an archive by the administrator${told}`;
}

function looksLikeManifest(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x7b) return false;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null && 'schemaVersion' in value && ('manifests' in value || 'config' in value);
  } catch {
    return false;
  }
}
