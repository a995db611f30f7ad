// Artifacts and tags for the admin API: what a repository holds here. Of a mirror that is what is cached, of an overlay what was pushed to it.
// Rights were decided by the caller; on the source of a copy, too.

import { readLabelsOf } from '../db/artifact-labels.ts';
import type { ArtifactField, ArtifactRecord, ArtifactScope } from '../db/artifact-lists.ts';
import { findArtifact, findTaggedDigest, listAccessoryPage, listArtifactPage, readManifestIds } from '../db/artifact-lists.ts';
import { listArtifactTags, readTagsOf, type TagField, type TagRecord } from '../db/artifact-tags.ts';
import type { Database } from '../db/database.ts';
import type { Label } from '../db/labels.ts';
import type { ListWish } from '../db/listing.ts';
import type { Project } from '../db/projects.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { RepositoryName, Tag } from '../oci/reference.ts';
import { parseTag } from '../oci/reference.ts';
import type { ImageConfigs, JsonObject } from './image-config.ts';
import type { Repositories } from './repositories.ts';
import type { RepositoryCatalog } from './repository-catalog.ts';

/** What to read with each artifact. */
export interface ArtifactParts {
  readonly tags: boolean;
  readonly labels: boolean;
  readonly accessories: boolean;
}
export interface ArtifactDetails {
  readonly artifact: ArtifactRecord;
  readonly tags?: readonly TagRecord[];
  readonly labels?: readonly Label[];
  readonly accessories?: readonly Accessory[];
  /** Ids of the children of an index that are here. */
  readonly childIds: ReadonlyMap<string, number>;
  readonly config?: JsonObject;
}
export interface Accessory {
  readonly artifact: ArtifactRecord;
  /** One of its tags: by it cosign finds what is no referrer. */
  readonly tag?: string;
  readonly subject: ArtifactRecord;
}
export interface Artifacts {
  /** NOT_FOUND when there is no such repository. */
  page(repository: string, wish: ListWish<ArtifactField>, parts: ArtifactParts): Promise<{ artifacts: ArtifactDetails[]; count: number }>;
  pageOfProject(
    scope: { readonly projectId: number; readonly latestOnly: boolean },
    wish: ListWish<ArtifactField>,
    parts: ArtifactParts,
  ): Promise<{ artifacts: ArtifactDetails[]; count: number }>;
  /** By tag or digest. NOT_FOUND, DIGEST_INVALID, TAG_INVALID. */
  find(repository: string, reference: string, parts?: ArtifactParts): Promise<ArtifactDetails>;
  tags(artifact: ArtifactRecord, wish: ListWish<TagField>): Promise<{ tags: TagRecord[]; count: number }>;
  accessories(
    artifact: ArtifactRecord,
    page: { offset: number; limit: number; descending?: boolean },
  ): Promise<{ accessories: Accessory[]; count: number }>;
  /** With its tags, accessories and untagged children. CONFLICT while an index holds it. */
  remove(project: Project, artifact: ArtifactRecord): Promise<void>;
  /** CONFLICT when there is such a tag, TAG_INVALID, UNSUPPORTED in a mirror. */
  addTag(project: Project, artifact: ArtifactRecord, name: string): Promise<void>;
  /** NOT_FOUND when the artifact has no such tag. */
  removeTag(artifact: ArtifactRecord, name: string): Promise<void>;
  addLabel(artifact: ArtifactRecord, labelId: number): Promise<void>;
  removeLabel(artifact: ArtifactRecord, labelId: number): Promise<void>;
  /**
   * Copies an artifact with its tags (those that the source has, at most 1,000; of more, the one it was asked by), its children and accessories.
   * CONFLICT when the source lacks a part of it, UNSUPPORTED into a mirror.
   */
  copy(
    source: ArtifactRecord,
    options: { readonly tag: Tag | undefined; readonly project: Project; readonly target: RepositoryName },
  ): Promise<ArtifactRecord>;
}

/** Tags shown with an artifact of a list, and with one alone; `tag_count` says how many there are. */
const listedTagsMax = 100;
const shownTagsMax = 1000;
const copiedTagsMax = 1000;
const shownAccessoriesMax = 100;
const configsAtOnce = 8;

export function createArtifacts(options: {
  database: Database;
  repositories: Repositories;
  catalog: RepositoryCatalog;
  configs: ImageConfigs;
}): Artifacts {
  const { database, repositories, catalog, configs } = options;
  const { read } = database;

  const find: Artifacts['find'] = async (repository, text, parts) => {
    const { id } = await catalog.find(repository);
    const digest = text.includes(':') ? requireDigest(text) : await findTaggedDigest(read, id, requireTag(text));
    const artifact = digest === undefined ? undefined : await findArtifact(read, id, digest);
    if (artifact === undefined) throw new OciError('NOT_FOUND', `there is no artifact ${text} in ${repository}`);
    const [details] = await withParts([artifact], parts ?? { tags: false, labels: false, accessories: false }, shownTagsMax);
    if (details === undefined) throw new Error('an artifact has no details');
    return details;
  };

  return {
    page: async (repository, wish, parts) => {
      const { id } = await catalog.find(repository);
      return pageOf({ repositoryId: id }, wish, parts);
    },
    pageOfProject: pageOf,
    find,
    tags: (artifact, wish) => listArtifactTags(database, { artifact, wish }),
    accessories: async (artifact, page) => {
      const { accessories, count } = await listAccessoryPage(read, {
        ...page,
        repositoryId: artifact.repositoryId,
        subject: artifact.digest,
      });
      return { accessories: await describeAccessories(artifact, accessories), count };
    },
    remove: async (project, artifact) => {
      const allowsSparse = project.allowsSparse || project.kind === 'mirror';
      await database
        .run('deleteArtifact', { repositoryId: artifact.repositoryId, digest: artifact.digest, allowsSparse })
        .catch((error) => {
          throw asApiError(error);
        });
    },
    addTag: async (project, artifact, name) => {
      refuseMirror(project, 'tags of a mirror are those of its registry');
      const tag = requireTag(name);
      await database.run('createTag', { repositoryId: artifact.repositoryId, digest: artifact.digest, tag }).catch((error) => {
        throw asApiError(error);
      });
    },
    removeTag: async (artifact, name) => {
      const tag = requireTag(name);
      const digest = await findTaggedDigest(read, artifact.repositoryId, tag);
      if (digest !== artifact.digest) throw new OciError('NOT_FOUND', `the artifact has no tag ${tag}`);
      await database.run('deleteTag', { repositoryId: artifact.repositoryId, tag }).catch((error) => {
        throw asApiError(error);
      });
    },
    addLabel: async (artifact, labelId) => {
      const { repositoryId, digest } = artifact;
      await database.run('addArtifactLabel', { repositoryId, digest, labelId }).catch((error) => {
        throw asApiError(error);
      });
    },
    removeLabel: async (artifact, labelId) => {
      const { repositoryId, digest } = artifact;
      await database.run('removeArtifactLabel', { repositoryId, digest, labelId }).catch((error) => {
        throw asApiError(error);
      });
    },
    copy: async (source, { tag, project, target }) => {
      refuseMirror(project, 'nothing is copied into a mirror; copy into a local project');
      const all = source.tagCount > copiedTagsMax ? [] : ((await readTagsOf(read, [source], copiedTagsMax)).get(source.id) ?? []);
      const tags = [...new Set([...all.map(({ name }) => name), ...(tag === undefined ? [] : [tag])])];
      const repositoryId = await repositories.ensure(project.id, target);
      await database
        .run('copyArtifact', {
          fromRepositoryId: source.repositoryId,
          repositoryId,
          digest: source.digest,
          tags,
          completeness: project.allowsSparse ? 'sparse' : 'complete',
        })
        .catch((error) => {
          if (error instanceof OciError && error.code === 'MANIFEST_BLOB_UNKNOWN')
            throw new OciError('CONFLICT', `${source.repository} lacks parts of this artifact: pull it whole first`, {
              detail: error.detail,
            });
          throw asApiError(error);
        });
      return (await find(target, source.digest)).artifact;
    },
  };

  async function pageOf(
    scope: ArtifactScope,
    wish: ListWish<ArtifactField>,
    parts: ArtifactParts,
  ): Promise<{ artifacts: ArtifactDetails[]; count: number }> {
    const { artifacts, count } = await listArtifactPage(database, { scope, wish });
    return { artifacts: await withParts(artifacts, parts, listedTagsMax), count };
  }

  async function withParts(artifacts: readonly ArtifactRecord[], parts: ArtifactParts, tagsMax: number): Promise<ArtifactDetails[]> {
    const ids = artifacts.map(({ id }) => id);
    const tags = parts.tags ? await readTagsOf(read, artifacts, tagsMax) : undefined;
    const labels = parts.labels ? await readLabelsOf(read, ids) : undefined;
    const more = await inTurns(artifacts, configsAtOnce, async (artifact) => ({
      config: artifact.configDigest === null ? undefined : await configs.read(artifact.repository, artifact.configDigest),
      childIds:
        artifact.index === null
          ? new Map<string, number>()
          : await readManifestIds(read, artifact.repositoryId, childrenOf(artifact.index)),
      accessories: parts.accessories ? await accessoriesOf(artifact) : undefined,
    }));
    return artifacts.map((artifact, index) => {
      const { config, childIds = new Map<string, number>(), accessories } = more[index] ?? {};
      return {
        artifact,
        childIds,
        ...(config === undefined ? {} : { config }),
        ...(tags === undefined ? {} : { tags: tags.get(artifact.id) ?? [] }),
        ...(labels === undefined ? {} : { labels: labels.get(artifact.id) ?? [] }),
        ...(accessories === undefined ? {} : { accessories }),
      };
    });
  }

  async function accessoriesOf(artifact: ArtifactRecord): Promise<Accessory[]> {
    const { accessories } = await listAccessoryPage(read, {
      repositoryId: artifact.repositoryId,
      subject: artifact.digest,
      offset: 0,
      limit: shownAccessoriesMax,
    });
    return describeAccessories(artifact, accessories);
  }

  async function describeAccessories(subject: ArtifactRecord, accessories: readonly ArtifactRecord[]): Promise<Accessory[]> {
    const tags = await readTagsOf(read, accessories, 1);
    return accessories.map((artifact) => {
      const tag = tags.get(artifact.id)?.[0]?.name;
      return { artifact, subject, ...(tag === undefined ? {} : { tag }) };
    });
  }
}

/** The children that an index lists; it was parsed when it came. */
export function readIndexEntries(index: Uint8Array): readonly JsonObject[] {
  const { manifests } = JSON.parse(new TextDecoder().decode(index)) as { manifests?: unknown };
  return Array.isArray(manifests) ? manifests.filter((entry) => typeof entry === 'object' && entry !== null) : [];
}

function childrenOf(index: Uint8Array): Digest[] {
  return readIndexEntries(index).flatMap(({ digest }) => (typeof digest === 'string' ? (parseDigest(digest) ?? []) : []));
}

function requireDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === undefined) throw new OciError('DIGEST_INVALID', 'a digest is sha256: or sha512: and its hex digits');
  return digest;
}

function requireTag(text: string): Tag {
  const tag = parseTag(text);
  if (tag === undefined)
    throw new OciError(
      'BAD_REQUEST',
      'a tag has up to 128 letters, digits, underscores, dots and dashes, and begins with none of the last two',
    );
  return tag;
}

function refuseMirror(project: Project, reason: string): void {
  if (project.kind === 'mirror') throw new OciError('UNSUPPORTED', `${project.name} is a mirror: ${reason}`);
}

/** The registry API's codes in the admin API's: what is gone meanwhile is not found, what is held is a conflict. */
function asApiError(error: unknown): unknown {
  if (!(error instanceof OciError)) return error;
  const { message, detail } = error;
  if (error.code === 'MANIFEST_UNKNOWN' || error.code === 'NAME_UNKNOWN') return new OciError('NOT_FOUND', message, { detail });
  if (error.code === 'UNSUPPORTED') return new OciError('CONFLICT', message, { detail });
  return error;
}

/** The results in the order of the items, at most `width` at a time. */
async function inTurns<T, R>(items: readonly T[], width: number, task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += width) results.push(...(await Promise.all(items.slice(at, at + width).map(task))));
  return results;
}
