// Artifacts as Harbor's clients know them: pure, from what the use-case read to what goes over the wire.

import type { ArtifactRecord } from '../db/artifact-lists.ts';
import type { TagRecord } from '../db/artifact-tags.ts';
import type { Label } from '../db/labels.ts';
import type { RepositoryRecord } from '../db/repository-lists.ts';
import { accessoryKind } from '../oci/artifact-kind.ts';
import { type Accessory, type ArtifactDetails, readIndexEntries } from '../registry/artifacts.ts';
import type { JsonObject } from '../registry/image-config.ts';
import type { AccessoryBody, ArtifactBody, ReferenceBody, RepositoryBody, TagBody } from './artifact-schemas.ts';
import { apiPrefix } from './policy.ts';

/** What Harbor says for a time that never was. */
const neverText = '0001-01-01T00:00:00.000Z';

export function presentRepository(record: RepositoryRecord): RepositoryBody {
  return {
    id: record.id,
    project_id: record.projectId,
    name: record.name,
    description: record.description,
    artifact_count: record.artifactCount,
    pull_count: record.pullCount,
    creation_time: timeText(record.createdAtMs),
    update_time: timeText(record.updatedAtMs),
  };
}

export function presentArtifact(details: ArtifactDetails): ArtifactBody {
  const { artifact, config } = details;
  const attributes = config === undefined ? undefined : attributesOf(artifact, config);
  const annotations = JSON.parse(artifact.annotations) as Record<string, string>;
  const hasHistory = artifact.kind === 'IMAGE' && artifact.index === null;
  return {
    id: artifact.id,
    type: artifact.kind,
    media_type: artifact.configMediaType,
    manifest_media_type: artifact.mediaType,
    ...(artifact.artifactType === null ? {} : { artifact_type: artifact.artifactType }),
    project_id: artifact.projectId,
    repository_id: artifact.repositoryId,
    repository_name: artifact.repository,
    digest: artifact.digest,
    size: artifact.sizeBytes,
    icon: '',
    push_time: timeText(artifact.pushedAtMs),
    pull_time: timeText(artifact.pulledAtMs),
    ...(attributes === undefined ? {} : { extra_attrs: attributes }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(artifact.index === null ? {} : { references: referencesOf(artifact, artifact.index, details.childIds) }),
    ...(details.tags === undefined ? {} : { tags: orNull(details.tags.map((tag) => presentTag(artifact, tag))) }),
    tag_count: artifact.tagCount,
    ...(details.labels === undefined ? {} : { labels: orNull(details.labels.map(presentLabel)) }),
    ...(details.accessories === undefined ? {} : { accessories: orNull(details.accessories.map(presentAccessory)) }),
    addition_links: hasHistory ? { build_history: { href: `${artifactPath(artifact)}/additions/build_history`, absolute: false } } : {},
  };
}

export function presentTag(artifact: Pick<ArtifactRecord, 'id' | 'repositoryId'>, tag: TagRecord): TagBody {
  return {
    id: tag.id,
    repository_id: artifact.repositoryId,
    artifact_id: artifact.id,
    name: tag.name,
    push_time: timeText(tag.pushedAtMs),
    pull_time: timeText(tag.pulledAtMs),
    immutable: false,
    signed: false,
  };
}

export function presentAccessory({ artifact, subject, tag }: Accessory): AccessoryBody {
  return {
    id: artifact.id,
    artifact_id: artifact.id,
    subject_artifact_id: subject.id,
    subject_artifact_digest: subject.digest,
    subject_artifact_repo: subject.repository,
    type: accessoryKind({ artifactType: artifact.artifactType, ...(tag === undefined ? {} : { tag }) }),
    digest: artifact.digest,
    size: artifact.sizeBytes,
    icon: '',
    ...(artifact.artifactType === null ? {} : { artifact_type: artifact.artifactType }),
    creation_time: timeText(artifact.pushedAtMs),
  };
}

/** The path of an artifact: the slashes of its repository are encoded twice. */
export function artifactPath(artifact: Pick<ArtifactRecord, 'repository' | 'digest'>): string {
  return `${repositoryPath(artifact.repository)}/artifacts/${artifact.digest}`;
}

function repositoryPath(name: string): string {
  const at = name.indexOf('/');
  const [project, rest] = [name.slice(0, at), name.slice(at + 1)];
  return `${apiPrefix}/projects/${project}/repositories/${encodeURIComponent(encodeURIComponent(rest))}`;
}

/** What is worth showing of a config: of an image what Harbor shows, of a chart its whole metadata. */
function attributesOf(artifact: ArtifactRecord, config: JsonObject): JsonObject | undefined {
  if (artifact.kind === 'CHART') return config;
  if (artifact.kind !== 'IMAGE') return undefined;
  const shown = ['architecture', 'os', 'variant', 'os.version', 'author', 'created', 'config'];
  return Object.fromEntries(Object.entries(config).filter(([key, value]) => shown.includes(key) && value !== null));
}

function referencesOf(artifact: ArtifactRecord, index: Uint8Array, childIds: ReadonlyMap<string, number>): ReferenceBody[] {
  return readIndexEntries(index).flatMap((entry): ReferenceBody[] => {
    const { digest, platform, annotations, urls } = entry;
    if (typeof digest !== 'string') return [];
    const childId = childIds.get(digest);
    return [
      {
        parent_id: artifact.id,
        ...(childId === undefined ? {} : { child_id: childId }),
        child_digest: digest,
        ...(isObject(platform) ? { platform: platformOf(platform) } : {}),
        ...(isObject(annotations) ? { annotations: annotations as Record<string, string> } : {}),
        ...(Array.isArray(urls) ? { urls: urls as string[] } : {}),
      },
    ];
  });
}

function platformOf(platform: JsonObject): NonNullable<ReferenceBody['platform']> {
  const text = (key: string): string | undefined => (typeof platform[key] === 'string' && platform[key] !== '' ? platform[key] : undefined);
  const [variant, version] = [text('variant'), text('os.version')];
  const features = platform['os.features'];
  return {
    architecture: text('architecture') ?? '',
    os: text('os') ?? '',
    ...(variant === undefined ? {} : { variant }),
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(Array.isArray(features) && features.every((feature) => typeof feature === 'string') ? { 'os.features': features } : {}),
  };
}

function presentLabel(label: Label) {
  return {
    id: label.id,
    name: label.name,
    description: label.description,
    color: label.color,
    scope: label.projectId === undefined ? ('g' as const) : ('p' as const),
    project_id: label.projectId ?? 0,
    creation_time: timeText(label.createdAtMs),
    update_time: timeText(label.updatedAtMs),
  };
}

/** Harbor writes an empty list inside an artifact so. */
function orNull<T>(items: readonly T[]): readonly T[] | null {
  return items.length === 0 ? null : items;
}

function timeText(ms: number | null): string {
  return ms === null ? neverText : new Date(ms).toISOString();
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
