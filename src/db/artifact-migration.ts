// Schema step: what listings need beside the manifests, kept up to date by the commands that change content, so that no list counts rows.
//
//   artifact    one narrow row for each manifest: listed by time without touching a manifest's bytes
//   artifact_label  labels it carries
//   repository  artifact_count (listed artifacts), pull_count, description, updated_at_ms

import { type Kysely, sql } from 'kysely';
import { artifactKind, cosignSubject } from '../oci/artifact-kind.ts';
import type { Dialect } from './context.ts';
import type { Schema } from './schema.ts';

const manifestsPerPage = 500;

export async function addArtifacts(db: Kysely<Schema>, dialect: Dialect): Promise<void> {
  const postgres = dialect === 'postgres';
  const text = sql.raw(postgres ? 'text collate "C"' : 'text');
  const number = sql.raw(postgres ? 'bigint' : 'integer');
  const primary = sql.raw(postgres ? 'bigint primary key' : 'integer primary key');
  for (const statement of [
    sql`alter table repository add column description ${text} not null default ''`,
    sql`alter table repository add column artifact_count ${number} not null default 0`,
    sql`alter table repository add column pull_count ${number} not null default 0`,
    sql`alter table repository add column updated_at_ms ${number}`,
    sql`update repository set updated_at_ms = pushed_at_ms`,
    sql`create index repository_created on repository (created_at_ms, id) where pushed_at_ms is not null`,
    sql`create index repository_listed on repository (project_id, created_at_ms, id) where pushed_at_ms is not null`,
    sql`create table artifact (
      manifest_id ${primary} references manifest (id) on delete cascade, project_id ${number} not null, repository_id ${number} not null,
      kind ${text} not null, config_media_type ${text} not null, size_bytes ${number} not null, subject_digest ${text},
      tag_count ${number} not null, is_held ${number} not null, is_listed ${number} not null,
      pushed_at_ms ${number} not null, pulled_at_ms ${number})`,
    // Their order is the lists' order; a count of a filtered list reads one of them and no row.
    sql`create index artifact_listed on artifact (repository_id, pushed_at_ms, manifest_id) where is_listed = 1`,
    sql`create index artifact_tagged on artifact (repository_id, pushed_at_ms, manifest_id) where is_listed = 1 and tag_count > 0`,
    sql`create index artifact_project on artifact (project_id, pushed_at_ms, manifest_id) where is_listed = 1`,
    sql`create index artifact_subject on artifact (repository_id, subject_digest, manifest_id) where subject_digest is not null`,
    sql`create table artifact_label (
      manifest_id ${number} not null references artifact (manifest_id) on delete cascade,
      label_id ${number} not null references label (id) on delete cascade, primary key (manifest_id, label_id))`,
    sql`create index artifact_label_label on artifact_label (label_id)`,
    // The tags of one artifact, newest first; it also serves what asks for a digest alone.
    sql`drop index tag_digest`,
    sql`create index tag_digest on tag (repository_id, digest, pushed_at_ms, id)`,
  ])
    await statement.execute(db);
  await describeManifests(db);
}

/** Rows for the manifests that are here already, and the counters that follow from them. */
export async function describeManifests(db: Kysely<Schema>): Promise<void> {
  let after = 0;
  for (;;) {
    const manifests = await db
      .selectFrom('manifest')
      .innerJoin('repository', 'repository.id', 'manifest.repository_id')
      .select((select) => [
        'manifest.id as id',
        'manifest.repository_id as repositoryId',
        'repository.project_id as projectId',
        'manifest.digest as digest',
        'manifest.media_type as mediaType',
        'manifest.size_bytes as sizeBytes',
        'manifest.subject_digest as subjectDigest',
        'manifest.pushed_at_ms as pushedAtMs',
        'manifest.bytes as bytes',
        select
          .selectFrom('manifest_ref')
          .select((of) => of.fn.sum<number>('size_bytes').as('sum'))
          .whereRef('manifest_ref.manifest_id', '=', 'manifest.id')
          .where('kind', '!=', 'manifest')
          .as('blobBytes'),
        select
          .exists(
            select
              .selectFrom('manifest_ref as holder')
              .select('holder.manifest_id')
              .whereRef('holder.digest', '=', 'manifest.digest')
              .whereRef('holder.repository_id', '=', 'manifest.repository_id')
              .where('holder.kind', '=', 'manifest'),
          )
          .as('isHeld'),
      ])
      .where('manifest.id', '>', after)
      .orderBy('manifest.id')
      .limit(manifestsPerPage)
      .execute();
    for (const manifest of manifests) {
      after = manifest.id;
      const tags = await db
        .selectFrom('tag')
        .select('name')
        .where('repository_id', '=', manifest.repositoryId)
        .where('digest', '=', manifest.digest)
        .where('removed_at_ms', 'is', null)
        .execute();
      const subject = manifest.subjectDigest ?? tags.map(({ name }) => cosignSubject(name)).find((digest) => digest !== undefined) ?? null;
      const isHeld = Boolean(manifest.isHeld);
      const configMediaType = configOf(manifest.bytes);
      await db
        .insertInto('artifact')
        .values({
          manifest_id: manifest.id,
          project_id: manifest.projectId,
          repository_id: manifest.repositoryId,
          kind: artifactKind({ mediaType: manifest.mediaType, ...(configMediaType === undefined ? {} : { configMediaType }) }),
          config_media_type: configMediaType ?? manifest.mediaType,
          size_bytes: manifest.sizeBytes + Number(manifest.blobBytes ?? 0),
          subject_digest: subject,
          tag_count: tags.length,
          is_held: isHeld ? 1 : 0,
          is_listed: subject === null && (tags.length > 0 || !isHeld) ? 1 : 0,
          pushed_at_ms: manifest.pushedAtMs,
          pulled_at_ms: null,
        })
        .execute();
    }
    if (manifests.length < manifestsPerPage) break;
  }
  // An index weighs what its children weigh.
  await sql`update artifact set size_bytes = size_bytes + coalesce((
      select sum(child.size_bytes) from manifest_ref
      join manifest on manifest.repository_id = manifest_ref.repository_id and manifest.digest = manifest_ref.digest
      join artifact as child on child.manifest_id = manifest.id
      where manifest_ref.manifest_id = artifact.manifest_id and manifest_ref.kind = 'manifest'), 0)
    where exists (select 1 from manifest_ref where manifest_ref.manifest_id = artifact.manifest_id and manifest_ref.kind = 'manifest')`.execute(
    db,
  );
  await sql`update repository set artifact_count = (
    select count(*) from artifact where artifact.repository_id = repository.id and artifact.is_listed = 1)`.execute(db);
}

/** The media type of an image's config; undefined for an index. The bytes were parsed when they came. */
function configOf(bytes: Uint8Array): string | undefined {
  try {
    const { config } = JSON.parse(new TextDecoder().decode(bytes)) as { config?: { mediaType?: string } };
    return config?.mediaType;
  } catch {
    return undefined;
  }
}
