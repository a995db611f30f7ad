// Pushing and deleting manifests, tags and blobs of one repository. distribution-spec v1.1 "Pushing manifests" (end-7, and `?tag=` of its
// main branch), "Deleting" (end-9, end-10).

import type { Access } from '../auth/access.ts';
import type { ContentQueries } from '../db/content.ts';
import type { Database } from '../db/database.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { Reference, Tag } from '../oci/reference.ts';
import { blobUnknown, manifestUnknown } from './answers.ts';
import type { Ingest } from './ingest.ts';
import type { Repositories } from './repositories.ts';

export interface PushedManifest {
  readonly digest: Digest;
  readonly subjectDigest?: Digest;
  /** Tags that meant another manifest before. */
  readonly moved: readonly { readonly tag: Tag; readonly from: Digest }[];
}

export interface Push {
  /** Stores the manifest and sets its tags. */
  manifest(
    access: Access<'push'>,
    reference: Reference,
    tags: readonly Tag[],
    body: { bytes: Uint8Array; contentType: string | undefined },
  ): Promise<PushedManifest>;
  /** By tag: the tag goes, the manifest stays. By digest: the manifest goes with all its tags. */
  deleteManifest(access: Access<'delete'>, reference: Reference): Promise<void>;
  deleteBlob(access: Access<'delete'>, digest: Digest): Promise<void>;
}

export function createPush(options: { database: Database; content: ContentQueries; repositories: Repositories; ingest: Ingest }): Push {
  const { database, content, repositories, ingest } = options;
  return {
    manifest: async (access, reference, tags, body) => {
      const { project, name } = access.target;
      const before = await Promise.all(tags.map(async (tag) => ({ tag, from: (await content.manifestByTag(name, tag))?.digest })));
      const { digest, manifest } = await ingest.manifest({
        repositoryId: await repositories.ensure(project.id, name),
        bytes: body.bytes,
        contentType: body.contentType,
        ...(reference.kind === 'digest' ? { digest: reference.digest } : {}),
        tags,
        completeness: project.allowsSparse ? 'sparse' : 'complete',
      });
      const moved = before.flatMap(({ tag, from }) => (from === undefined || from === digest ? [] : [{ tag, from }]));
      return { digest, moved, ...(manifest.subject === undefined ? {} : { subjectDigest: manifest.subject.digest }) };
    },
    deleteManifest: async (access, reference) => {
      const { project, name } = access.target;
      const repositoryId = await content.repositoryId(name);
      if (repositoryId === undefined) throw manifestUnknown(reference);
      if (reference.kind === 'tag') await database.run('deleteTag', { repositoryId, tag: reference.tag });
      else
        await database.run('deleteManifest', {
          repositoryId,
          digest: reference.digest,
          allowsSparse: project.allowsSparse || project.kind === 'mirror',
        });
    },
    deleteBlob: async (access, digest) => {
      if (access.target.project.kind === 'mirror') {
        throw new OciError('UNSUPPORTED', 'blobs of a mirror go by themselves when nothing uses them');
      }
      const repositoryId = await content.repositoryId(access.target.name);
      if (repositoryId === undefined) throw blobUnknown(digest);
      await database.run('deleteBlob', { repositoryId, digest });
    },
  };
}
