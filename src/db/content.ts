// Reads of content. Those that every pull makes are compiled once and touch one row per index; none grows with the size of the store.

import type { Kysely } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import type { Preparer } from './prepared.ts';
import type { BlobOrigin, Schema, TagTrust } from './schema.ts';

export interface StoredManifest {
  readonly repositoryId: number;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly subjectDigest: Digest | null;
}
export interface StoredTag extends StoredManifest {
  readonly verifiedAtMs: number | null;
  readonly checkedAtMs: number | null;
  readonly trust: TagTrust;
  /** When its registry was last heard to say that it has no such tag any more. */
  readonly removedAtMs: number | null;
}
export interface StoredBlob {
  readonly storageKey: string;
  readonly sizeBytes: number;
}

export interface ContentQueries {
  manifestByTag(repository: string, tag: string): Promise<StoredTag | undefined>;
  manifestByDigest(repository: string, digest: Digest): Promise<StoredManifest | undefined>;
  /** A live blob that is a member of the repository. */
  blob(repository: string, digest: Digest): Promise<StoredBlob | undefined>;
  repositoryId(repository: string): Promise<number | undefined>;
  /** The size a cached manifest of the repository states for a digest it refers to. */
  statedSize(repository: string, digest: Digest): Promise<number | undefined>;
  /** Where a live blob came from, whoever holds it. For the mirror's linking rule only; never an answer to a client. */
  originOf(digest: Digest): Promise<BlobOrigin | undefined>;
}

export function prepareContentQueries(database: Preparer): ContentQueries {
  type Named = { repository: string; digest: string };
  // Scalar subqueries instead of joins: in SQLite 3.54 each joined table costs ten times what the same look-up costs as a subquery
  // (5 us against 0.4 us, measured), and these run on every pull.
  const byTag = database.prepare<{ repository: string; tag: string }, StoredTag>((read, value) => {
    const repository = read.selectFrom('repository').select('id').where('name', '=', value('repository'));
    const tag = read.selectFrom('tag').where('repository_id', '=', repository).where('name', '=', value('tag'));
    return read
      .selectFrom('manifest')
      .select([
        'repository_id as repositoryId',
        'digest',
        'media_type as mediaType',
        'subject_digest as subjectDigest',
        tag.select('verified_at_ms').as('verifiedAtMs'),
        tag.select('checked_at_ms').as('checkedAtMs'),
        tag.select('trust').as('trust'),
        tag.select('removed_at_ms').as('removedAtMs'),
        'bytes',
      ])
      .where('repository_id', '=', repository)
      .where('digest', '=', tag.select('digest'))
      .where('state', '=', 'live')
      .$castTo<StoredTag>()
      .compile();
  });
  const byDigest = database.prepare<Named, StoredManifest>((read, value) =>
    read
      .selectFrom('manifest')
      .select(['repository_id as repositoryId', 'digest', 'media_type as mediaType', 'subject_digest as subjectDigest', 'bytes'])
      .where('repository_id', '=', read.selectFrom('repository').select('id').where('name', '=', value('repository')))
      .where('digest', '=', value('digest'))
      .where('state', '=', 'live')
      .$castTo<StoredManifest>()
      .compile(),
  );
  const blob = database.prepare<Named, StoredBlob>((read, value) =>
    read
      .selectFrom('blob')
      .select(['storage_key as storageKey', 'size_bytes as sizeBytes'])
      .where(
        'digest',
        '=',
        read
          .selectFrom('repository_blob')
          .select('digest')
          .where('repository_id', '=', read.selectFrom('repository').select('id').where('name', '=', value('repository')))
          .where('digest', '=', value('digest')),
      )
      .where('state', '=', 'live')
      .compile(),
  );
  const repositoryId = database.prepare<{ repository: string }, { id: number }>((read, value) =>
    read.selectFrom('repository').select('id').where('name', '=', value('repository')).compile(),
  );
  const statedSize = database.prepare<Named, { sizeBytes: number }>((read, value) =>
    read
      .selectFrom('manifest_ref')
      .select('size_bytes as sizeBytes')
      .where('digest', '=', value('digest'))
      .where('repository_id', '=', read.selectFrom('repository').select('id').where('name', '=', value('repository')))
      .limit(1)
      .compile(),
  );
  const originOf = database.prepare<{ digest: string }, { origin: BlobOrigin }>((read, value) =>
    read.selectFrom('blob').select('origin').where('digest', '=', value('digest')).where('state', '=', 'live').compile(),
  );
  return {
    manifestByTag: (repository, tag) => byTag.first({ repository, tag }),
    manifestByDigest: (repository, digest) => byDigest.first({ repository, digest }),
    blob: (repository, digest) => blob.first({ repository, digest }),
    repositoryId: async (repository) => (await repositoryId.first({ repository }))?.id,
    statedSize: async (repository, digest) => (await statedSize.first({ repository, digest }))?.sizeBytes,
    originOf: async (digest) => (await originOf.first({ digest }))?.origin,
  };
}

/** Tags in the spec's order (case-insensitive, then by bytes) behind `after`, at most `limit`. distribution-spec v1.1 "Listing Tags". */
export async function listTags(read: Kysely<Schema>, args: { repositoryId: number; after?: string; limit: number }): Promise<Tag[]> {
  let query = read
    .selectFrom('tag')
    .select('name')
    .where('repository_id', '=', args.repositoryId)
    .where('removed_at_ms', 'is', null)
    .orderBy('name_folded')
    .orderBy('name')
    .limit(args.limit);
  const { after } = args;
  if (after !== undefined) {
    query = query.where((where) => where(where.refTuple('name_folded', 'name'), '>', where.tuple(after.toLowerCase(), after)));
  }
  return (await query.execute()).map((row) => row.name as Tag);
}

export interface ReferrerRow {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly artifactType: string | null;
  /** JSON object. */
  readonly annotations: string;
}

/** Manifests whose subject is the digest, ordered by digest. distribution-spec v1.1 "Listing Referrers". */
export async function listReferrers(
  read: Kysely<Schema>,
  args: { repositoryId: number; subject: Digest; artifactType?: string; after?: string; limit: number },
): Promise<ReferrerRow[]> {
  let query = read
    .selectFrom('manifest')
    .select(['digest', 'media_type as mediaType', 'size_bytes as sizeBytes', 'artifact_type as artifactType', 'annotations'])
    .where('repository_id', '=', args.repositoryId)
    .where('subject_digest', '=', args.subject)
    .where('state', '=', 'live')
    .orderBy('digest')
    .limit(args.limit);
  if (args.artifactType !== undefined) query = query.where('artifact_type', '=', args.artifactType);
  if (args.after !== undefined) query = query.where('digest', '>', args.after);
  return query.$castTo<ReferrerRow>().execute();
}

/** What the registry of a mirror last listed as referrers (JSON), and when; undefined when it was never asked with success. */
export async function readListedReferrers(
  read: Kysely<Schema>,
  repository: string,
  subject: Digest,
): Promise<{ readonly descriptors: string; readonly listedAtMs: number } | undefined> {
  return read
    .selectFrom('listed_referrers')
    .select(['descriptors', 'listed_at_ms as listedAtMs'])
    .where('repository_id', '=', read.selectFrom('repository').select('id').where('name', '=', repository))
    .where('subject_digest', '=', subject)
    .executeTakeFirst();
}

/** Repository names behind `after` that hold something, of public projects only unless `everything`. */
export async function listRepositories(
  read: Kysely<Schema>,
  args: { after?: string; limit: number; everything: boolean },
): Promise<string[]> {
  let query = read
    .selectFrom('repository')
    .innerJoin('project', 'project.id', 'repository.project_id')
    .select('repository.name as name')
    .where((where) =>
      where.exists(where.selectFrom('manifest').select('manifest.id').whereRef('manifest.repository_id', '=', 'repository.id')),
    )
    .orderBy('repository.name')
    .limit(args.limit);
  if (!args.everything) query = query.where('project.is_public', '=', 1);
  if (args.after !== undefined) query = query.where('repository.name', '>', args.after);
  return (await query.execute()).map((row) => row.name);
}

export interface TagTrail {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly verifiedAtMs: number | null;
  readonly checkedAtMs: number | null;
  readonly trust: TagTrust;
  readonly removedAtMs: number | null;
  readonly tagTrail: string | null;
}

/** Why a tag points where it does, for `explain`. */
export async function readTagTrail(read: Kysely<Schema>, repository: string, tag: string): Promise<TagTrail | undefined> {
  return read
    .selectFrom('tag')
    .innerJoin('repository', 'repository.id', 'tag.repository_id')
    .innerJoin('manifest', (join) =>
      join.onRef('manifest.repository_id', '=', 'tag.repository_id').onRef('manifest.digest', '=', 'tag.digest'),
    )
    .select([
      'tag.digest as digest',
      'manifest.media_type as mediaType',
      'tag.verified_at_ms as verifiedAtMs',
      'tag.checked_at_ms as checkedAtMs',
      'tag.trust as trust',
      'tag.removed_at_ms as removedAtMs',
      'tag.trail as tagTrail',
    ])
    .where('repository.name', '=', repository)
    .where('tag.name', '=', tag)
    .$castTo<TagTrail>()
    .executeTakeFirst();
}

/** Manifests of the repository that refer to a blob or manifest. */
export async function readManifestsNaming(
  read: Kysely<Schema>,
  repository: string,
  digest: Digest,
  limit: number,
): Promise<{ readonly bytes: Uint8Array; readonly mediaType: string }[]> {
  return read
    .selectFrom('manifest_ref')
    .innerJoin('repository', 'repository.id', 'manifest_ref.repository_id')
    .innerJoin('manifest', 'manifest.id', 'manifest_ref.manifest_id')
    .select(['manifest.bytes as bytes', 'manifest.media_type as mediaType'])
    .where('manifest_ref.digest', '=', digest)
    .where('repository.name', '=', repository)
    .limit(limit)
    .execute();
}

export interface ReferenceTrail {
  readonly digest: Digest;
  readonly kind: 'config' | 'layer' | 'manifest';
  readonly sizeBytes: number;
  /** Null when it is not here. */
  readonly linkedAtMs: number | null;
  readonly trail: string | null;
}

/** What a manifest is made of and how each part came here, for `explain`. */
export async function readReferenceTrails(read: Kysely<Schema>, repository: string, manifest: Digest): Promise<ReferenceTrail[]> {
  return read
    .selectFrom('manifest')
    .innerJoin('repository', 'repository.id', 'manifest.repository_id')
    .innerJoin('manifest_ref', 'manifest_ref.manifest_id', 'manifest.id')
    .leftJoin('repository_blob', (join) =>
      join.onRef('repository_blob.repository_id', '=', 'repository.id').onRef('repository_blob.digest', '=', 'manifest_ref.digest'),
    )
    .leftJoin('manifest as child', (join) =>
      join.onRef('child.repository_id', '=', 'repository.id').onRef('child.digest', '=', 'manifest_ref.digest'),
    )
    .select((select) => [
      'manifest_ref.digest as digest',
      'manifest_ref.kind as kind',
      'manifest_ref.size_bytes as sizeBytes',
      select.fn.coalesce('repository_blob.linked_at_ms', 'child.pushed_at_ms').as('linkedAtMs'),
      select.fn.coalesce('repository_blob.trail', 'child.trail').as('trail'),
    ])
    .where('repository.name', '=', repository)
    .where('manifest.digest', '=', manifest)
    .orderBy('manifest_ref.kind')
    .orderBy('manifest_ref.digest')
    .$castTo<ReferenceTrail>()
    .execute();
}
