// Artifacts over HTTP, as in Harbor's v2.0: lists, one by tag or digest, deletion, and copies within the server.

import { createRoute, z } from '@hono/zod-openapi';
import { decide } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { OciError } from '../oci/errors.ts';
import { parseRepositoryName, parseTag } from '../oci/reference.ts';
import { artifactSchema } from './artifact-schemas.ts';
import { artifactPath, presentArtifact } from './artifact-view.ts';
import { type ApiParts, errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';
import { repositoryParams } from './repository-routes.ts';

const fields = {
  id: { type: 'integer', sortable: true },
  digest: { type: 'text' },
  type: { type: 'text', sortable: true },
  media_type: { type: 'text', sortable: true },
  manifest_media_type: { type: 'text' },
  artifact_type: { type: 'text' },
  size: { type: 'integer', sortable: true },
  push_time: { type: 'time', sortable: true },
  pull_time: { type: 'time', sortable: true },
  tags: { type: 'text' },
  labels: { type: 'integer', filter: ['exact', 'all'] },
} as const;

const flag = (description: string, value: 'true' | 'false' = 'false') =>
  z.enum(['true', 'false', '1', '0', '']).default(value).meta({ description });
const withQuery = {
  with_tag: flag('with tags', 'true'),
  with_label: flag('with labels'),
  with_accessory: flag('with accessories, at most 100 of each'),
  with_scan_overview: flag('nothing is scanned: no effect'),
  with_sbom_overview: flag('no effect'),
  with_signature: flag('no effect: signatures are accessories'),
  with_immutable_status: flag('no effect: no tag is immutable'),
};
export const artifactParams = repositoryParams.extend({
  reference: z.string().min(1).max(256).meta({ description: 'a tag or a digest', example: '1.0' }),
});
const path = `${apiPrefix}/projects/{project_name}/repositories/{repository_name}/artifacts`;
const projectPath = `${apiPrefix}/projects/{project_name_or_id}/artifacts`;
const page = {
  description: 'one page, pushed last first',
  content: { 'application/json': { schema: z.array(artifactSchema).readonly() } },
};
const listWords =
  'Without accessories, and without untagged manifests that an index holds. `q`: `tags=*` tagged ones, `tags=nil` untagged ones, `tags=v` and `tags=~v` by a tag, `labels=(1 2)` with all of these, and by the other fields.';

const list = createRoute({
  method: 'get',
  path,
  summary: 'List artifacts of a repository',
  description: listWords,
  request: { params: repositoryParams, query: z.strictObject({ ...listingQuery, ...withQuery }) },
  responses: { 200: page },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID'],
});
const listOfProject = createRoute({
  method: 'get',
  path: projectPath,
  summary: 'List artifacts of a project',
  description: listWords,
  request: {
    params: z.object({ project_name_or_id: z.string().max(255) }),
    query: z.strictObject({ ...listingQuery, ...withQuery, latest_in_repository: flag('only what was pushed last to each repository') }),
  },
  responses: { 200: page },
  [errorCodesKey]: ['NOT_FOUND'],
});
const read = createRoute({
  method: 'get',
  path: `${path}/{reference}`,
  summary: 'Read an artifact',
  request: {
    params: artifactParams,
    query: z.strictObject({ ...withQuery, page: z.string().optional(), page_size: z.string().optional() }),
  },
  responses: { 200: { description: 'the artifact', content: { 'application/json': { schema: artifactSchema } } } },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID', 'DIGEST_INVALID'],
});
const remove = createRoute({
  method: 'delete',
  path: `${path}/{reference}`,
  summary: 'Delete an artifact',
  description: 'With its tags, its accessories, and the untagged children that no other index holds. A conflict while an index holds it.',
  request: { params: artifactParams },
  responses: { 200: { description: 'deleted' } },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID', 'DIGEST_INVALID', 'CONFLICT'],
});
const copy = createRoute({
  method: 'post',
  path,
  summary: 'Copy an artifact from another repository',
  description:
    'With its tags (of more than 1,000, the one in `from`), its children and accessories; no byte is moved. The caller needs the right to pull there and to push here.',
  request: {
    params: repositoryParams,
    query: z.strictObject({
      from: z
        .string()
        .min(3)
        .max(700)
        .meta({ description: '`project/repository:tag` or `project/repository@digest`', example: 'team-a/app:1.0' }),
    }),
  },
  responses: { 201: { description: 'copied; `Location` names it' } },
  [errorCodesKey]: ['NOT_FOUND', 'NAME_INVALID', 'DIGEST_INVALID', 'CONFLICT', 'UNSUPPORTED', 'MANIFEST_INVALID'],
});

export const artifactRoutes: RouteGroup = {
  policy: {
    [`GET ${path}`]: { project: 'artifact:list' },
    [`POST ${path}`]: { project: 'artifact:create' },
    [`GET ${path}/{reference}`]: { project: 'artifact:read' },
    [`DELETE ${path}/{reference}`]: { project: 'artifact:delete' },
    [`GET ${projectPath}`]: { project: 'artifact:list' },
  },
  // Harbor's clients send no body with a copy.
  streamedBodies: [`POST ${path}`],
  register: (router, parts) => {
    const { artifacts } = parts;
    router.openapi(list, async (c) => {
      const sent = c.req.valid('query');
      const listing = parseListing(sent, fields);
      const { artifacts: found, count } = await artifacts.page(c.get('repository'), listing, wanted(sent));
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(presentArtifact), 200);
    });

    router.openapi(listOfProject, async (c) => {
      const sent = c.req.valid('query');
      const listing = parseListing(sent, fields);
      const scope = { projectId: c.get('project').id, latestOnly: isSet(sent.latest_in_repository) };
      const { artifacts: found, count } = await artifacts.pageOfProject(scope, listing, wanted(sent));
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(found.map(presentArtifact), 200);
    });

    router.openapi(read, async (c) => {
      const { reference } = c.req.valid('param');
      return c.json(presentArtifact(await artifacts.find(c.get('repository'), reference, wanted(c.req.valid('query')))), 200);
    });

    router.openapi(remove, async (c) => {
      const { reference } = c.req.valid('param');
      const project = c.get('project');
      const { artifact } = await artifacts.find(c.get('repository'), reference);
      const resource = `${artifact.repository}@${artifact.digest}`;
      c.set('change', { resourceType: 'artifact', resource, projectId: project.id, before: { tags: artifact.tagCount, reference } });
      await artifacts.remove(project, artifact);
      return c.body(null, 200);
    });

    router.openapi(copy, async (c) => {
      const project = c.get('project');
      const target = parseRepositoryName(c.get('repository'));
      if (target === undefined) throw new OciError('NAME_INVALID', 'the repository name is not one');
      const { from } = c.req.valid('query');
      const { artifact: source, tag } = await findSource(parts, c.env.caller.principal, from);
      c.set('change', { resourceType: 'artifact', resource: `${target}@${source.digest}`, projectId: project.id, after: { from } });
      const made = await artifacts.copy(source, { tag, project, target });
      c.header('location', artifactPath(made));
      return c.body(null, 201);
    });
  },
};

/** What a copy is made from: only what the caller may pull; for everything else it is as if it were not there. */
async function findSource({ artifacts, projects, access }: ApiParts, principal: Principal, from: string) {
  const at = from.includes('@') ? from.indexOf('@') : from.lastIndexOf(':');
  const name = parseRepositoryName(from.slice(0, Math.max(at, 0)));
  const reference = from.slice(at + 1);
  if (name === undefined || !name.includes('/') || reference === '')
    throw new OciError('BAD_REQUEST', 'query: from: must be project/repository:tag or project/repository@digest');
  const project = await projects.find(name.slice(0, name.indexOf('/')), { isName: true });
  const absent = new OciError('NOT_FOUND', `there is no ${name} to copy from`);
  if (project === undefined || !decide(access, principal, 'repository:pull', { kind: 'project', project, repository: name })) throw absent;
  const { artifact } = await artifacts.find(name, reference);
  return { artifact, tag: from.includes('@') ? undefined : parseTag(reference) };
}

function wanted(sent: { readonly with_tag: string; readonly with_label: string; readonly with_accessory: string }) {
  return { tags: isSet(sent.with_tag), labels: isSet(sent.with_label), accessories: isSet(sent.with_accessory) };
}

function isSet(text: string): boolean {
  return text === 'true' || text === '1';
}
