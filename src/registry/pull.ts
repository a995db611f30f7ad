// Pulling: manifests by tag or digest, blobs. Local content first; in an overlay, what is not here is asked of its mirror; in a mirror,
// of the sources. distribution-spec v1.1 "Pull", end-2, end-3. Nothing here grows with the size of the store.

import { type Access, accessFallback, actionOf, decide } from '../auth/access.ts';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { Reference } from '../oci/reference.ts';
import { type BlobAnswer, type BlobRequest, blobUnknown, type ManifestAnswer, manifestUnknown } from './answers.ts';
import type { BlobCheck } from './blob-check.ts';
import type { Mirror } from './mirror.ts';

export interface Pull {
  /** MANIFEST_UNKNOWN, or UNAVAILABLE when no source could be asked. */
  manifest(access: Access<'pull'>, reference: Reference, signal: AbortSignal): Promise<ManifestAnswer>;
  /** BLOB_UNKNOWN, or UNAVAILABLE. */
  blob(access: Access<'pull'>, digest: Digest, request: BlobRequest, signal: AbortSignal): Promise<BlobAnswer>;
}

export function createPull(options: { content: ContentQueries; store: BlobStore; check: BlobCheck; mirror: Mirror }): Pull {
  const { content, store, check, mirror } = options;
  return {
    manifest: async (access, reference, signal) => {
      const { target } = access;
      if (target.upstream !== undefined) return mirror.manifest(access, reference, signal);
      const found =
        reference.kind === 'tag'
          ? await content.manifestByTag(target.name, reference.tag)
          : await content.manifestByDigest(target.name, reference.digest);
      if (found !== undefined) return { digest: found.digest, mediaType: found.mediaType, bytes: found.bytes };
      const fallback = accessFallback(access);
      if (fallback !== undefined) return mirror.manifest(fallback, reference, signal);
      throw manifestUnknown(reference);
    },
    blob: async (access, digest, request, signal) => {
      const { target } = access;
      if (target.upstream !== undefined) return mirror.blob(access, digest, request, signal);
      const found = await content.blob(target.name, digest);
      const isDamaged = found !== undefined && !check.isIntact(digest, found);
      if (found !== undefined && !isDamaged) return { ...store.open(found.storageKey), sizeBytes: found.sizeBytes };
      const fallback = request.head && request.asPusher ? undefined : accessFallback(access);
      if (fallback !== undefined) return mirror.blob(fallback, digest, request, signal);
      // Who looks before pushing is told that it is not here, so that it comes again; who pulls is never told that.
      if (isDamaged && !(request.head && request.asPusher))
        throw new OciError('UNAVAILABLE', 'the bytes of this blob are damaged on the disk; push it again', { detail: { digest } });
      throw blobUnknown(digest);
    },
  };
}

/** Whether this principal could push here too. */
export function mayPush(access: Access): boolean {
  const { project, name } = access.target;
  return decide({ anonymousPull: false }, access.principal, actionOf.push, { kind: 'project', project, repository: name });
}
