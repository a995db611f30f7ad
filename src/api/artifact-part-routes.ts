// What belongs to an artifact over HTTP, as in Harbor's v2.0: tags, accessories, build history, labels.

import { createRoute, z } from '@hono/zod-openapi';
import { OciError } from '../oci/errors.ts';
import { artifactParams } from './artifact-routes.ts';
import { accessorySchema, labelChoiceSchema, newTagSchema, tagSchema } from './artifact-schemas.ts';
import { artifactPath, presentAccessory, presentTag } from './artifact-view.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { listHeaders, listingQuery, parseListing } from './listing.ts';
import { apiPrefix } from './policy.ts';

const tagFields = {
  id: { type: 'integer', sortable: true },
  name: { type: 'text', sortable: true },
  push_time: { type: 'time', sortable: true },
  pull_time: { type: 'time', sortable: true },
} as const;
const accessoryFields = {
  id: { type: 'integer', filter: 'none', sortable: true },
  creation_time: { type: 'time', filter: 'none', sortable: true },
} as const;
const path = `${apiPrefix}/projects/{project_name}/repositories/{repository_name}/artifacts/{reference}`;
const absences = ['NOT_FOUND', 'NAME_INVALID', 'DIGEST_INVALID'] as const;
const bodyFailures = ['BODY_TOO_LARGE', 'BODY_TOO_SLOW'] as const;
const unused = z.enum(['true', 'false', '1', '0', '']).optional().meta({ description: 'no effect' });

const listTags = createRoute({
  method: 'get',
  path: `${path}/tags`,
  summary: 'List tags of an artifact',
  request: { params: artifactParams, query: z.strictObject({ ...listingQuery, with_signature: unused, with_immutable_status: unused }) },
  responses: {
    200: { description: 'one page, pushed last first', content: { 'application/json': { schema: z.array(tagSchema).readonly() } } },
  },
  [errorCodesKey]: absences,
});
const createTag = createRoute({
  method: 'post',
  path: `${path}/tags`,
  summary: 'Tag an artifact',
  description: 'A tag that is there already is a conflict: push to it to move it.',
  request: { params: artifactParams, body: { required: true, content: { 'application/json': { schema: newTagSchema } } } },
  responses: { 201: { description: 'tagged; `Location` names it' } },
  [errorCodesKey]: [...absences, ...bodyFailures, 'CONFLICT', 'UNSUPPORTED'],
});
const removeTag = createRoute({
  method: 'delete',
  path: `${path}/tags/{tag_name}`,
  summary: 'Remove a tag from an artifact',
  request: { params: artifactParams.extend({ tag_name: z.string().min(1).max(128) }) },
  responses: { 200: { description: 'removed; the artifact stays' } },
  [errorCodesKey]: absences,
});
const listAccessories = createRoute({
  method: 'get',
  path: `${path}/accessories`,
  summary: 'List accessories of an artifact',
  description: 'What names it as its subject (signatures, SBOMs, provenance), and what cosign has tagged for it.',
  request: { params: artifactParams, query: z.strictObject(listingQuery) },
  responses: { 200: { description: 'one page', content: { 'application/json': { schema: z.array(accessorySchema).readonly() } } } },
  [errorCodesKey]: absences,
});
const readAddition = createRoute({
  method: 'get',
  path: `${path}/additions/{addition}`,
  summary: 'Read an addition of an artifact',
  description: '`build_history` of an image. There are no reports of vulnerabilities and no generated SBOMs: those are not found.',
  request: {
    params: artifactParams.extend({
      addition: z.enum(['build_history', 'values.yaml', 'readme.md', 'dependencies', 'vulnerabilities', 'sbom', 'files', 'license']),
    }),
  },
  responses: {
    200: { description: 'the history of its layers', content: { 'application/json': { schema: z.array(z.unknown()).readonly() } } },
  },
  [errorCodesKey]: absences,
});
const addLabel = createRoute({
  method: 'post',
  path: `${path}/labels`,
  summary: 'Label an artifact',
  request: { params: artifactParams, body: { required: true, content: { 'application/json': { schema: labelChoiceSchema } } } },
  responses: { 200: { description: 'labelled' } },
  [errorCodesKey]: [...absences, ...bodyFailures, 'CONFLICT'],
});
const removeLabel = createRoute({
  method: 'delete',
  path: `${path}/labels/{label_id}`,
  summary: 'Remove a label from an artifact',
  request: { params: artifactParams.extend({ label_id: z.string().regex(/^[1-9]\d{0,14}$/) }) },
  responses: { 200: { description: 'removed' } },
  [errorCodesKey]: absences,
});

export const artifactPartRoutes: RouteGroup = {
  policy: {
    [`GET ${path}/tags`]: { project: 'tag:list' },
    [`POST ${path}/tags`]: { project: 'tag:create' },
    [`DELETE ${path}/tags/{tag_name}`]: { project: 'tag:delete' },
    [`GET ${path}/accessories`]: { project: 'accessory:list' },
    [`GET ${path}/additions/{addition}`]: { project: 'artifact-addition:read' },
    [`POST ${path}/labels`]: { project: 'artifact-label:create' },
    [`DELETE ${path}/labels/{label_id}`]: { project: 'artifact-label:delete' },
  },
  register: (router, { artifacts }) => {
    router.openapi(listTags, async (c) => {
      const listing = parseListing(c.req.valid('query'), tagFields);
      const { artifact } = await artifacts.find(c.get('repository'), c.req.valid('param').reference);
      const { tags, count } = await artifacts.tags(artifact, listing);
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(
        tags.map((tag) => presentTag(artifact, tag)),
        200,
      );
    });

    router.openapi(createTag, async (c) => {
      const project = c.get('project');
      const { artifact } = await artifacts.find(c.get('repository'), c.req.valid('param').reference);
      const { name } = c.req.valid('json');
      c.set('change', {
        resourceType: 'tag',
        resource: `${artifact.repository}:${name}`,
        projectId: project.id,
        after: { digest: artifact.digest },
      });
      await artifacts.addTag(project, artifact, name);
      c.header('location', `${artifactPath(artifact)}/tags/${name}`);
      return c.body(null, 201);
    });

    router.openapi(removeTag, async (c) => {
      const { reference, tag_name: name } = c.req.valid('param');
      const { artifact } = await artifacts.find(c.get('repository'), reference);
      c.set('change', {
        resourceType: 'tag',
        resource: `${artifact.repository}:${name}`,
        projectId: c.get('project').id,
        before: { digest: artifact.digest },
      });
      await artifacts.removeTag(artifact, name);
      return c.body(null, 200);
    });

    router.openapi(listAccessories, async (c) => {
      const listing = parseListing(c.req.valid('query'), accessoryFields);
      const { artifact } = await artifacts.find(c.get('repository'), c.req.valid('param').reference);
      const { offset, limit, order } = listing;
      const { accessories, count } = await artifacts.accessories(artifact, { offset, limit, descending: order[0]?.descending === true });
      for (const [header, value] of Object.entries(listHeaders(c.req.url, listing, count))) c.header(header, value);
      return c.json(accessories.map(presentAccessory), 200);
    });

    router.openapi(readAddition, async (c) => {
      const { reference, addition } = c.req.valid('param');
      const { artifact, config } = await artifacts.find(c.get('repository'), reference);
      if (addition === 'vulnerabilities' || addition === 'sbom')
        throw new OciError('NOT_FOUND', `there is no report of ${addition} for ${artifact.digest}: nothing has scanned it`);
      if (addition !== 'build_history' || artifact.kind !== 'IMAGE' || artifact.index !== null)
        throw new OciError(
          'BAD_REQUEST',
          `addition ${addition} isn't supported for ${artifact.kind}${artifact.index === null ? '' : ' (an index)'}`,
        );
      const history = config?.['history'];
      if (!Array.isArray(history)) throw new OciError('NOT_FOUND', 'the config of this image is not here, or tells no history');
      return c.json(history, 200);
    });

    router.openapi(addLabel, async (c) => {
      const { artifact } = await artifacts.find(c.get('repository'), c.req.valid('param').reference);
      const { id } = c.req.valid('json');
      const resource = `${artifact.repository}@${artifact.digest}`;
      c.set('change', { resourceType: 'artifact-label', resource, projectId: c.get('project').id, after: { label: id } });
      await artifacts.addLabel(artifact, id);
      return c.body(null, 200);
    });

    router.openapi(removeLabel, async (c) => {
      const { reference, label_id: labelId } = c.req.valid('param');
      const { artifact } = await artifacts.find(c.get('repository'), reference);
      const resource = `${artifact.repository}@${artifact.digest}`;
      c.set('change', { resourceType: 'artifact-label', resource, projectId: c.get('project').id, before: { label: Number(labelId) } });
      await artifacts.removeLabel(artifact, Number(labelId));
      return c.body(null, 200);
    });
  },
};
