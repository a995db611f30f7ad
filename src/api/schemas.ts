// What goes over the admin API, as zod schemas: requests are checked with them, the OpenAPI document is made of them, and the command line
// reads the answers with them. Resources that Harbor has carry Harbor's names (snake_case), our own the names they have in the code.
// It must never import the server: the command line loads this file.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });
const digest = z.string().meta({ example: 'sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7' });
const projectKind = z.enum(['local', 'mirror', 'overlay']);

export const errorSchema = z
  .object({ errors: z.array(z.object({ code: z.string(), message: z.string(), detail: z.unknown().optional() })).readonly() })
  .meta({ example: { errors: [{ code: 'CONFLICT', message: 'a project named team-a exists already' }] } });

const cveAllowlistSchema = z
  .object({
    id: z.number().int(),
    project_id: z.number().int(),
    expires_at: z.number().int().optional().meta({ description: 'seconds since 1970' }),
    items: z.array(z.object({ cve_id: z.string() })).readonly(),
    creation_time: time,
    update_time: time,
  })
  .meta({ id: 'CVEAllowlist', description: 'kept for clients; this server does not scan' });

export const projectSchema = z
  .object({
    project_id: z.number().int(),
    name: z.string(),
    owner_id: z.number().int().optional().meta({ description: 'who made it; absent for those the server made' }),
    owner_name: z.string().meta({ description: 'empty when its account is gone' }),
    metadata: z
      .object({ public: z.enum(['true', 'false']) })
      .catchall(z.string())
      .meta({ description: 'text by key; see /projects/{}/metadatas' }),
    creation_time: time,
    update_time: time,
    deleted: z.literal(false),
    togglable: z.boolean().meta({ description: 'whether the caller may change it' }),
    current_user_role_id: z.number().int().optional().meta({ description: 'the most powerful role of the caller here' }),
    current_user_role_ids: z.array(z.number().int()).readonly(),
    repo_count: z.number().int().optional().meta({ description: 'not with with_detail=false' }),
    cve_allowlist: cveAllowlistSchema.optional().meta({ description: 'not with with_detail=false' }),
    registry_id: z.number().int().optional().meta({ description: 'of a mirror: its registry' }),
    kind: projectKind.meta({
      description: 'local: push and pull; mirror: read-only, from a registry; overlay: what is pushed wins, the rest comes from a registry',
    }),
    registry: z.string().optional().meta({ description: 'of a mirror or overlay', example: 'docker.io' }),
    allows_sparse: z.boolean().meta({ description: 'an index may be pushed although manifests it lists are absent' }),
  })
  .meta({ id: 'Project' });
export type ProjectBody = z.infer<typeof projectSchema>;

export const createdProjectSchema = projectSchema
  .extend({ warnings: z.array(z.string()).readonly().meta({ description: 'what the administrator should know of the new name' }) })
  .meta({ id: 'CreatedProject' });

const visibility = 'private unless it says otherwise';
const projectWords = {
  public: z.boolean().nullish().meta({ description: visibility }),
  metadata: z
    .record(z.string().max(64), z.string().max(512).nullable())
    .nullish()
    .meta({ description: "Harbor's words about a project, `public` among them", example: { public: 'true' } }),
  cve_allowlist: z
    .strictObject({
      id: z.number().int().nullish(),
      project_id: z.number().int().nullish(),
      expires_at: z.number().int().nullish(),
      items: z
        .array(z.strictObject({ cve_id: z.string().min(1).max(64) }))
        .max(1000)
        .nullish(),
      creation_time: z.string().max(64).nullish(),
      update_time: z.string().max(64).nullish(),
    })
    .nullish()
    .meta({ description: 'kept for clients; this server does not scan' }),
  storage_limit: z.number().int().nullish().meta({ description: 'bytes; only -1 (no limit) is possible' }),
  registry_id: z.number().int().min(0).nullish().meta({ description: 'makes it a mirror of that registry; 0 and null: none' }),
};
/** As Harbor's clients send it (`project_name`, `metadata.public`, `registry_id`) and in our own words (`name`, `public`, `kind`, `registry`). */
export const newProjectSchema = z
  .strictObject({
    name: z.string().min(1).max(255).optional().meta({ example: 'team-a' }),
    project_name: z.string().min(1).max(255).optional().meta({ description: "Harbor's name for `name`" }),
    ...projectWords,
    kind: projectKind.optional().meta({ description: 'local without it, mirror with a registry_id' }),
    registry: z.string().min(1).max(255).optional().meta({ description: 'needed by a mirror and an overlay', example: 'docker.io' }),
    allows_sparse: z.boolean().default(false),
  })
  .superRefine((value, context) => {
    if ((value.name === undefined) === (value.project_name === undefined)) {
      context.addIssue({ code: 'custom', path: ['name'], message: 'exactly one of name and project_name is needed' });
    }
  })
  .meta({ id: 'NewProject' });
export const projectChangeSchema = z
  .strictObject({
    project_name: z.string().max(255).nullish().meta({ description: 'cannot be another one' }),
    ...projectWords,
    allows_sparse: z.boolean().optional(),
  })
  .meta({ id: 'ProjectChange' });

const attemptSchema = z
  .object({
    source: z.string(),
    verdict: z.string(),
    status: z.number().optional(),
    detail: z.string().optional(),
    ms: z.number(),
    bytes: z.number(),
  })
  .meta({ id: 'Attempt', description: 'one request to a source, and what came of it' });
const segmentSchema = z
  .object({ source: z.string(), from: z.number(), to: z.number().meta({ description: 'exclusive' }) })
  .meta({ id: 'Segment', description: 'the bytes of a blob that one source delivered' });
const trailSchema = z
  .object({
    atMs: z.number(),
    attempts: z.array(attemptSchema).readonly(),
    segments: z.array(segmentSchema).readonly().optional(),
    reason: z.string().optional(),
  })
  .meta({ id: 'Trail' });
export type TrailBody = z.infer<typeof trailSchema>;

const explainedBlobSchema = z
  .object({
    digest,
    kind: z.enum(['config', 'layer', 'manifest']),
    sizeBytes: z.number(),
    cached: z.boolean(),
    segments: z.array(segmentSchema).readonly(),
    attempts: z.array(attemptSchema).readonly(),
    reason: z.string().optional().meta({ description: 'where it was linked from instead of fetched' }),
  })
  .meta({ id: 'ExplainedBlob' });

export const explanationSchema = z
  .object({
    image: z.string(),
    project: z.string(),
    kind: projectKind,
    registry: z.string().optional(),
    repository: z.string(),
    reference: z.string(),
    digest: digest.optional(),
    cached: z.boolean(),
    tag: z
      .object({
        trust: z.string(),
        verifiedAt: time.optional(),
        checkedAt: time.optional(),
        removedAt: time.optional().meta({ description: 'when its registry was last heard to have no such tag any more' }),
        trail: trailSchema.optional(),
      })
      .optional()
      .meta({ description: 'why the tag means this digest' }),
    blobs: z.array(explainedBlobSchema).readonly(),
    absence: z
      .object({ at: time, forMs: z.number(), reason: z.string() })
      .optional()
      .meta({ description: 'the registry said that it is not there; repeated without asking for so long' }),
    drift: trailSchema.optional().meta({ description: 'sources that gave another digest for this tag' }),
    equivalents: z
      .array(z.string())
      .readonly()
      .optional()
      .meta({ description: 'repositories asked for its digests when all sources fail' }),
    sources: z
      .array(z.object({ url: z.string(), trust: z.string(), state: z.string(), evidence: z.string().optional() }))
      .readonly()
      .optional()
      .meta({ description: 'in the order they would be asked now' }),
    lastFailure: trailSchema.optional().meta({ description: 'of the last pull that failed, since the server started' }),
  })
  .meta({ id: 'Explanation' });
export type ExplanationBody = z.infer<typeof explanationSchema>;

export const healthSchema = z
  .object({
    status: z.enum(['healthy', 'unhealthy']),
    components: z.array(z.object({ name: z.string(), status: z.enum(['healthy', 'unhealthy']) })).readonly(),
  })
  .meta({ id: 'Health' });

export const systemInfoSchema = z
  .object({
    auth_mode: z.literal('db_auth'),
    primary_auth_mode: z.boolean(),
    self_registration: z.literal(false),
    banner_message: z.string(),
    breakwater_version: z.string().optional().meta({ description: 'only after a login, like all that follows' }),
    harbor_version: z.string().optional().meta({ description: 'the version of Harbor whose API this follows' }),
    registry_url: z.string().optional().meta({ description: 'host, and port, that images are named by' }),
    external_url: z.string().optional(),
    project_creation_restriction: z.enum(['everyone', 'adminonly']).optional(),
    read_only: z.boolean().optional(),
    notification_enable: z.boolean().optional(),
    has_ca_root: z.boolean().optional(),
    registry_storage_provider_name: z.string().optional(),
    with_chartmuseum: z.boolean().optional(),
    with_notary: z.boolean().optional(),
    current_time: time.optional(),
  })
  .meta({ id: 'SystemInfo' });
