// Repositories, artifacts and tags over the admin API: Harbor's v2.0 shapes, and what clients may send. Fields of Harbor's models that a client sends
// back unchanged are accepted and have no effect; unknown ones are refused.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });
const id = z.number().int();

export const repositorySchema = z
  .object({
    id,
    project_id: id,
    name: z.string().meta({ description: 'with its project', example: 'team-a/web/app' }),
    description: z.string(),
    artifact_count: id.meta({
      description: 'as its list of artifacts has them: without accessories, and without untagged children of an index',
    }),
    pull_count: id.meta({ description: 'manifests pulled (GET, not HEAD), written down once a minute' }),
    creation_time: time,
    update_time: time,
  })
  .meta({ id: 'Repository' });
export type RepositoryBody = z.infer<typeof repositorySchema>;

const ignored = z.unknown().optional();
/** Harbor's whole model may be sent; the description is what can be changed. */
export const repositoryChangeSchema = z
  .strictObject({
    description: z.string().max(20_000),
    id: ignored,
    project_id: ignored,
    name: ignored,
    artifact_count: ignored,
    pull_count: ignored,
    creation_time: ignored,
    update_time: ignored,
  })
  .meta({ id: 'RepositoryChange' });

export const tagSchema = z
  .object({
    id,
    repository_id: id,
    artifact_id: id,
    name: z.string(),
    push_time: time,
    pull_time: time.meta({ description: '0001-01-01T00:00:00.000Z when it was never pulled' }),
    immutable: z.boolean(),
    signed: z.boolean().meta({ description: 'always false: see the accessories' }),
  })
  .meta({ id: 'Tag' });
export type TagBody = z.infer<typeof tagSchema>;
export const newTagSchema = z
  .strictObject({
    name: z.string().min(1).max(128),
    id: ignored,
    repository_id: ignored,
    artifact_id: ignored,
    push_time: ignored,
    pull_time: ignored,
    immutable: ignored,
    signed: ignored,
  })
  .meta({ id: 'NewTag' });

const artifactLabelSchema = z
  .object({
    id,
    name: z.string(),
    description: z.string(),
    color: z.string(),
    scope: z.enum(['g', 'p']),
    project_id: id,
    creation_time: time,
    update_time: time,
  })
  .meta({ id: 'ArtifactLabel' });
/** Harbor: only the id is needed. */
export const labelChoiceSchema = z
  .strictObject({
    id: z.number().int().min(1),
    name: ignored,
    description: ignored,
    color: ignored,
    scope: ignored,
    project_id: ignored,
    creation_time: ignored,
    update_time: ignored,
    deleted: ignored,
  })
  .meta({ id: 'LabelChoice' });

export const accessorySchema = z
  .object({
    id,
    artifact_id: id,
    subject_artifact_id: id,
    subject_artifact_digest: z.string(),
    subject_artifact_repo: z.string(),
    type: z.string().meta({ description: 'signature.cosign, signature.notation, harbor.sbom, accelerator.nydus, else subject.accessory' }),
    digest: z.string(),
    size: z.number().int(),
    icon: z.string(),
    artifact_type: z.string().optional(),
    creation_time: time,
  })
  .meta({ id: 'Accessory' });
export type AccessoryBody = z.infer<typeof accessorySchema>;

const annotations = z.record(z.string(), z.string());
const referenceSchema = z
  .object({
    parent_id: id,
    child_id: id.optional().meta({ description: 'absent while the child is not here' }),
    child_digest: z.string(),
    platform: z
      .object({
        architecture: z.string(),
        os: z.string(),
        variant: z.string().optional(),
        'os.version': z.string().optional(),
        'os.features': z.array(z.string()).readonly().optional(),
      })
      .optional(),
    annotations: annotations.optional(),
    urls: z.array(z.string()).readonly().optional(),
  })
  .meta({ id: 'ArtifactReference' });
export type ReferenceBody = z.infer<typeof referenceSchema>;

export const artifactSchema = z
  .object({
    id,
    type: z.string().meta({ description: 'IMAGE, CHART, CNAB, WASM, SBOM, ...' }),
    media_type: z.string().meta({ description: 'of the config; of an index its own' }),
    manifest_media_type: z.string(),
    artifact_type: z.string().optional(),
    project_id: id,
    repository_id: id,
    repository_name: z.string(),
    digest: z.string(),
    size: z.number().int().meta({ description: 'bytes of the manifest, its config and layers; of an index with its children' }),
    icon: z.string(),
    push_time: time,
    pull_time: time.meta({ description: '0001-01-01T00:00:00.000Z when it was never pulled' }),
    extra_attrs: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({ description: 'of an image: architecture, os, author, created, config; of a chart: its metadata' }),
    annotations: annotations.optional(),
    references: z.array(referenceSchema).readonly().optional(),
    tags: z
      .array(tagSchema)
      .readonly()
      .nullable()
      .optional()
      .meta({ description: 'pushed last first: 100 of each artifact in a list, 1,000 of one alone' }),
    tag_count: id.meta({ description: 'all of its tags' }),
    labels: z.array(artifactLabelSchema).readonly().nullable().optional(),
    accessories: z.array(accessorySchema).readonly().nullable().optional(),
    addition_links: z.record(z.string(), z.object({ href: z.string(), absolute: z.boolean() })),
  })
  .meta({ id: 'Artifact' });
export type ArtifactBody = z.infer<typeof artifactSchema>;
