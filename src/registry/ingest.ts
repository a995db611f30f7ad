// The one door in: every byte that becomes content passes here, whether pushed, mirrored, restored or imported. It checks digest and
// size, makes the bytes durable, then records them in one transaction. Nothing else may make a blob live (design 2.2, section 5).

import type { Spool } from '../blobs/spool.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { Database } from '../db/database.ts';
import type { BlobOrigin, TagTrust } from '../db/schema.ts';
import type { Log } from '../lib/log.ts';
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { type ParsedManifest, parseManifest } from '../oci/manifest.ts';

export interface IncomingBlob {
  readonly repositoryId: number;
  readonly spool: Spool;
  readonly digest: Digest;
  readonly origin: BlobOrigin;
  readonly uploadId?: string;
  /** JSON, from a mirror. */
  readonly trail?: string;
}
export interface IncomingManifest {
  readonly repositoryId: number;
  readonly bytes: Uint8Array;
  readonly contentType: string | undefined;
  /** The digest the caller asked for; undefined when a push goes by tag. */
  readonly digest?: Digest;
  readonly tags: readonly string[];
  readonly completeness: 'complete' | 'sparse' | 'mirror';
  readonly tagTrust?: TagTrust;
  readonly trail?: string;
}
export interface StoredManifestResult {
  readonly digest: Digest;
  readonly manifest: ParsedManifest;
}

export interface Ingest {
  /**
   * Makes the spool's bytes a durable member of the repository. DIGEST_INVALID when they are others than promised (nothing is stored, the
   * spool is the caller's to discard). Returns only after the commit.
   */
  blob(incoming: IncomingBlob): Promise<void>;
  /** Stores a manifest exactly as it came, and its tags. DIGEST_INVALID, MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN. */
  manifest(incoming: IncomingManifest): Promise<StoredManifestResult>;
}

/** Bytes up to here are read and compared, off no pull's way. */
const comparedMaxBytes = 1024 * 1024;

export function createIngest({ store, database, log }: { store: BlobStore; database: Database; log?: Log }): Ingest {
  return {
    blob: async ({ repositoryId, spool, digest, origin, uploadId, trail }) => {
      const actual = spool.digest();
      if (actual !== digest) throw digestMismatch(digest, actual);
      spool.complete();
      const sizeBytes = spool.acceptedBytes;
      const storageKey = await spool.commit(digest);
      const record = (damagedKey?: string): Promise<{ readonly storageKey: string }> =>
        database
          .run('recordBlob', {
            repositoryId,
            digest,
            storageKey,
            sizeBytes,
            origin,
            ...(uploadId === undefined ? {} : { uploadId }),
            ...(trail === undefined ? {} : { trail }),
            ...(damagedKey === undefined ? {} : { damagedKey }),
          })
          .catch(async (error) => {
            // A coded refusal means that no row points at the bytes. After anything else a row may: the bytes stay.
            if (error instanceof OciError) await removeSurplus(store, storageKey);
            throw error;
          });
      const recorded = await record();
      if (recorded.storageKey === storageKey) return;
      // It was here before: the older bytes stay, unless the disk has lost or changed them.
      const isSame = sizeBytes > comparedMaxBytes || store.holds(recorded.storageKey, digest);
      if (isSame && store.inspect(recorded.storageKey)?.sizeBytes === sizeBytes) {
        await removeSurplus(store, storageKey);
        return;
      }
      log?.warn('blob.healed', { digest, damaged: recorded.storageKey });
      const healed = await record(recorded.storageKey);
      await removeSurplus(store, healed.storageKey === storageKey ? recorded.storageKey : storageKey);
    },
    manifest: async ({ repositoryId, bytes, contentType, digest: promised, tags, completeness, tagTrust, trail }) => {
      const digest = digestOf(bytes, promised === undefined ? 'sha256' : digestAlgorithm(promised));
      if (promised !== undefined && digest !== promised) throw digestMismatch(promised, digest);
      const manifest = parseManifest(bytes, contentType);
      const config = manifest.references.find((reference) => reference.kind === 'config');
      await database.run('putManifest', {
        repositoryId,
        digest,
        mediaType: manifest.mediaType,
        ...(config === undefined ? {} : { configMediaType: config.mediaType }),
        ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
        ...(manifest.subject === undefined ? {} : { subjectDigest: manifest.subject.digest }),
        annotations: JSON.stringify(manifest.annotations),
        bytes,
        references: manifest.references.map(({ digest: child, kind, sizeBytes, required }) => ({
          digest: child,
          kind,
          sizeBytes,
          required,
        })),
        tags,
        completeness,
        ...(tagTrust === undefined ? {} : { tagTrust }),
        ...(trail === undefined ? {} : { trail }),
      });
      return { digest, manifest };
    },
  };
}

/** The outcome is settled whether the bytes go or stay: what stays is found as a file without a row. */
async function removeSurplus(store: BlobStore, storageKey: string): Promise<void> {
  await store.remove(storageKey).catch(() => undefined);
}

function digestMismatch(expected: Digest, actual: Digest): OciError {
  return new OciError('DIGEST_INVALID', 'the content has another digest than stated', { detail: { expected, actual } });
}
