// Fills a database file with many repositories, artifacts and tags, straight by SQL and quickly: for measuring lists and for looking at their
// plans. What it writes is what the commands would have written; the blobs have rows and no bytes.

import type { Database as SqliteFile } from 'bun:sqlite';

export interface SeedSize {
  readonly projects: number;
  readonly repositories: number;
  readonly artifacts: number;
  readonly tags: number;
}
export interface Seeded {
  readonly projectIds: readonly number[];
  /** Holds a tenth of all artifacts and a fifth of all tags, a twentieth of them on one artifact. */
  readonly large: { readonly project: string; readonly name: string; readonly taggedMost: string };
}

/** What lists have to be quick with. */
export const fullSize: SeedSize = { projects: 100, repositories: 10_000, artifacts: 100_000, tags: 500_000 };

const imageType = 'application/vnd.oci.image.manifest.v1+json';
const configType = 'application/vnd.oci.image.config.v1+json';
const startMs = Date.UTC(2026, 0, 1);

/** One transaction; the schema is there already. About 20 s for the full size. */
export function seedContent(file: SqliteFile, size: SeedSize): Seeded {
  const insert = {
    project: file.prepare(
      `insert into project (name, kind, is_public, registry, allows_sparse, created_at_ms, updated_at_ms) values (?, 'local', ?, null, 0, ?, ?) returning id`,
    ),
    repository: file.prepare(
      `insert into repository (project_id, name, created_at_ms, pushed_at_ms, updated_at_ms, artifact_count) values (?, ?, ?, ?, ?, ?) returning id`,
    ),
    manifest: file.prepare(
      `insert into manifest (repository_id, digest, media_type, artifact_type, subject_digest, annotations, size_bytes, state, lease_until_ms, pushed_at_ms, bytes)
       values (?, ?, '${imageType}', '${configType}', null, '{}', ?, 'live', 0, ?, ?) returning id`,
    ),
    artifact: file.prepare(
      `insert into artifact (manifest_id, project_id, repository_id, kind, config_media_type, size_bytes, subject_digest, tag_count, is_held, is_listed, pushed_at_ms)
       values (?, ?, ?, 'IMAGE', '${configType}', ?, null, ?, 0, 1, ?)`,
    ),
    reference: file.prepare(
      `insert into manifest_ref (manifest_id, repository_id, digest, kind, size_bytes, is_present) values (?, ?, ?, 'config', 2, 1)`,
    ),
    blob: file.prepare(
      `insert into blob (digest, generation, storage_key, size_bytes, state, origin, lease_until_ms, touch_epoch, created_at_ms)
       values (?, 1, ?, 2, 'live', 'public', 0, 0, ?) on conflict (digest) do nothing`,
    ),
    member: file.prepare('insert into repository_blob (repository_id, digest, linked_at_ms) values (?, ?, ?)'),
    tag: file.prepare(
      `insert into tag (repository_id, name, name_folded, digest, created_at_ms, pushed_at_ms, trust) values (?, ?, ?, ?, ?, ?, 'confirmed')`,
    ),
  };
  const config = sha256('{}');
  const largeArtifacts = Math.floor(size.artifacts / 10);
  const largeTags = Math.floor(size.tags / 5);
  const mostTags = Math.floor(size.tags / 20);
  const projectIds: number[] = [];
  let taggedMost = '';
  const fill = (of: { repository: number; project: number; index: number; artifacts: number; tags: number; most: number }): void => {
    insert.member.run(of.repository, config, startMs);
    let tag = 0;
    for (let at = 0; at < of.artifacts; at++) {
      const bytes = Buffer.from(
        `{"schemaVersion":2,"mediaType":"${imageType}","config":{"mediaType":"${configType}","digest":"${config}","size":2},"layers":[],"annotations":{"n":"${of.index}-${at}"}}`,
      );
      const digest = sha256(bytes);
      const atMs = startMs + of.index * 1000 + at;
      const rest = of.tags - of.most;
      const count =
        at === 0 ? of.most : Math.floor((rest * at) / (of.artifacts - 1 || 1)) - Math.floor((rest * (at - 1)) / (of.artifacts - 1 || 1));
      const own = of.artifacts === 1 ? of.tags : count;
      const manifest = idOf(insert.manifest.get(of.repository, digest, bytes.byteLength, atMs, bytes));
      insert.artifact.run(manifest, of.project, of.repository, bytes.byteLength + 2, own, atMs);
      insert.reference.run(manifest, of.repository, config);
      for (let more = 0; more < own; more++, tag++) {
        const name = `v${tag}-${(tag * 7919) % 1000}`;
        insert.tag.run(of.repository, name, name, digest, atMs, atMs + more);
      }
      if (of.most > 0 && at === 0) taggedMost = digest;
    }
  };
  const largeName = 'project-0/large/repository';
  file.transaction(() => {
    insert.blob.run(config, 'seeded', startMs);
    for (let index = 0; index < size.projects; index++)
      projectIds.push(idOf(insert.project.get(`project-${index}`, index % 2, startMs + index, startMs + index)));
    const others = size.repositories - 1;
    for (let index = 0; index < size.repositories; index++) {
      const project = projectIds[index % size.projects] ?? 0;
      const isLarge = index === 0;
      const share = (total: number): number => Math.floor((total * index) / others) - Math.floor((total * (index - 1)) / others);
      const artifacts = isLarge ? largeArtifacts : share(size.artifacts - largeArtifacts);
      const name = isLarge ? largeName : `project-${index % size.projects}/app-${index}/${index % 3 === 0 ? 'web' : 'worker'}`;
      const atMs = startMs + index * 1000;
      const repository = idOf(insert.repository.get(project, name, atMs, atMs, atMs, artifacts));
      fill({
        repository,
        project,
        index,
        artifacts,
        tags: isLarge ? largeTags : share(size.tags - largeTags),
        most: isLarge ? mostTags : 0,
      });
    }
  })();
  return { projectIds, large: { project: 'project-0', name: largeName, taggedMost } };
}

function idOf(row: unknown): number {
  return (row as { id: number }).id;
}

function sha256(bytes: Uint8Array | string): string {
  return `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
}
