// Export and import of archives over HTTP: streams both ways, with a least pace and no deadline for the whole.

import { createRoute, z } from '@hono/zod-openapi';
import { OciError } from '../oci/errors.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { importedSchema } from './offline-schemas.ts';
import { platformsDefault, requirePlatforms } from './platforms-input.ts';
import { apiPrefix } from './policy.ts';

/** As a `string`: the router would look for the type of a literal. */
const tarType: string = 'application/x-tar';
const imagesMax = 200;
/** An import that brings nothing for so long is given up. */
const idleTimeoutMs = 60_000;

const exportImages = createRoute({
  method: 'get',
  path: `${apiPrefix}/archive`,
  summary: 'Images as one file: a tar with an OCI image layout',
  description:
    'Only what is here whole; `breakwater warm` fetches what is missing. A connection that is reset means that the file is no good.',
  request: {
    query: z.object({
      image: z.union([z.string().min(1).max(600), z.array(z.string().min(1).max(600)).min(1).max(imagesMax)]).optional(),
      pins: z.string().max(128).optional().meta({ description: 'a pinned set, each image for its own platforms' }),
      platform: z.string().max(2000).optional().meta({ description: 'linux/amd64 when left out' }),
    }),
  },
  responses: { 200: { description: 'the archive', content: { [tarType]: { schema: z.string().meta({ format: 'binary' }) } } } },
  [errorCodesKey]: ['CONFLICT', 'NOT_FOUND', 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN', 'NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID'],
});
const importArchive = createRoute({
  method: 'post',
  path: `${apiPrefix}/archive`,
  summary: 'Import the images of an archive',
  description:
    'The body is a tar with an OCI image layout, as this server, skopeo, podman and `docker save` write it. Every byte is checked against its digest; nothing becomes visible before all of it is here.',
  request: {
    query: z.object({
      project: z.string().min(1).max(128).optional().meta({ description: 'where all images go, below their names without the registry' }),
      as: z.string().min(1).max(600).optional().meta({ description: 'the name of the only image' }),
    }),
  },
  responses: { 201: { description: 'what was imported', content: { 'application/json': { schema: importedSchema } } } },
  [errorCodesKey]: [
    'BODY_TOO_SLOW',
    'BLOB_TOO_LARGE',
    'DIGEST_INVALID',
    'INSUFFICIENT_STORAGE',
    'MANIFEST_INVALID',
    'NAME_INVALID',
    'NAME_UNKNOWN',
    'UNAVAILABLE',
  ],
});

export const archiveRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/archive`]: { system: 'archive:read' },
    [`POST ${apiPrefix}/archive`]: { system: 'archive:create' },
  },
  streamedBodies: [`POST ${apiPrefix}/archive`],
  register: (router, parts) => {
    router.openapi(exportImages, async (c) => {
      const { image, pins, platform } = c.req.valid('query');
      const choice = platform === undefined ? undefined : requirePlatforms(platform);
      const named = image === undefined ? [] : typeof image === 'string' ? [image] : image;
      const pinned = pins === undefined ? [] : await parts.offline.pins.list(pins);
      if (pins !== undefined && pinned.length === 0) throw new OciError('NOT_FOUND', `there is no pinned set named ${pins}`);
      const wishes = [
        ...named.map((item) => ({ image: item, platforms: choice ?? requirePlatforms(platformsDefault) })),
        ...pinned.map((pin) => ({ image: pin.image, platforms: choice ?? requirePlatforms(pin.platforms) })),
      ];
      if (wishes.length === 0) throw new OciError('BAD_REQUEST', 'name images, or a pinned set (pins)');
      const prepared = await parts.offline.exporter.prepare(wishes);
      const stop = new AbortController();
      return new Response(toStream(prepared.write(stop.signal), stop), {
        headers: { 'content-type': tarType, 'x-content-bytes': String(prepared.sizeBytes) },
      });
    });
    router.openapi(importArchive, async (c) => {
      const { project, as } = c.req.valid('query');
      const { body } = c.req.raw;
      if (body === null) throw new OciError('BAD_REQUEST', 'the body is empty; a tar archive was expected');
      if (project !== undefined && as !== undefined) throw new OciError('BAD_REQUEST', 'project and as cannot both be named');
      const wish = { ...(project === undefined ? {} : { project }), ...(as === undefined ? {} : { as }) };
      const imported = await parts.offline.importer.read(withIdleLimit(body), wish);
      return c.json({ ...imported, images: [...imported.images] }, 201);
    });
  },
};

function toStream(chunks: AsyncGenerator<Uint8Array>, stop: AbortController): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => {
        stop.abort(new DOMException('the client left', 'AbortError'));
        await chunks.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Only the wait for the client counts: what this server does with the bytes may take its time. */
function withIdleLimit(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const late = Promise.withResolvers<never>();
        const timer = setTimeout(
          () => late.reject(new OciError('BODY_TOO_SLOW', 'nothing arrived for 60 s; import the archive again')),
          idleTimeoutMs,
        );
        try {
          const next = await Promise.race([reader.read(), late.promise]);
          if (next.done) controller.close();
          else controller.enqueue(next.value);
        } catch (error) {
          await reader.cancel(error).catch(() => undefined);
          throw error;
        } finally {
          clearTimeout(timer);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
