// Whether images are here whole, over HTTP: one JSON value a line, as the checks get on.

import { createRoute, z } from '@hono/zod-openapi';
import { OciError } from '../oci/errors.ts';
import type { Verified, VerifyProgress, VerifyWish } from '../registry/verify.ts';
import { errorCodesKey, type RouteGroup } from './environment.ts';
import { ndjsonResponse, ndjsonType } from './ndjson.ts';
import type { VerifyLine } from './offline-schemas.ts';
import { platformsDefault, requirePlatforms } from './platforms-input.ts';
import { apiPrefix } from './policy.ts';

/** Of a deep check, unless the caller says otherwise. */
const deepBytesDefault = 100 * 1024 * 1024;
const imagesMax = 200;

const images = z.union([z.string().min(1).max(600), z.array(z.string().min(1).max(600)).max(imagesMax)]).optional();
const verify = createRoute({
  method: 'get',
  path: `${apiPrefix}/verify`,
  summary: 'Whether everything is here to pull images with no network',
  description:
    'Asks no source. One JSON value a line: `kind` is `image` for an answer, `progress` while a deep check goes on. Names images, a pinned set, or everything.',
  request: {
    query: z.object({
      image: images,
      pins: z.string().max(128).optional().meta({ description: 'a pinned set, each image for its own platforms' }),
      all: z.enum(['true', 'false']).default('false').meta({ description: 'every tag here' }),
      platform: z.string().max(2000).optional().meta({
        description: 'of an index; linux/amd64 when left out, with `all` the platforms of which something is here',
      }),
      deep: z.enum(['true', 'false']).default('false').meta({ description: 'read every byte and compare the digest' }),
      bandwidthBytes: z.coerce
        .number()
        .int()
        .min(1024)
        .optional()
        .meta({ description: 'bytes per second of a deep check; 100 MiB when left out' }),
    }),
  },
  responses: {
    200: {
      description: 'one line per image',
      content: { [ndjsonType]: { schema: z.string().meta({ description: 'each line a VerifyLine' }) } },
    },
  },
  [errorCodesKey]: ['NOT_FOUND'],
});

export const verifyRoutes: RouteGroup = {
  policy: {
    [`GET ${apiPrefix}/verify`]: { system: 'verify:read' },
  },
  register: (router, parts) => {
    router.openapi(verify, async (c) => {
      const query = c.req.valid('query');
      const { verifier, pins } = parts.offline;
      const stop = new AbortController();
      const deepBytesPerSecond = query.bandwidthBytes ?? deepBytesDefault;
      const how = { signal: stop.signal, ...(query.deep === 'true' ? { deepBytesPerSecond } : {}) };
      const named = query.image === undefined ? [] : typeof query.image === 'string' ? [query.image] : query.image;
      const choice = query.platform === undefined ? undefined : requirePlatforms(query.platform);
      const pinned = query.pins === undefined ? [] : await pins.list(query.pins);
      if (query.pins !== undefined && pinned.length === 0) throw new OciError('NOT_FOUND', `there is no pinned set named ${query.pins}`);
      if (query.all === 'true') return ndjsonResponse(present(verifier.everything(choice ?? 'present', how)), stop);
      const wishes: VerifyWish[] = [
        ...named.map((image) => ({ image, platforms: choice ?? requirePlatforms(platformsDefault) })),
        ...pinned.map((pin) => ({ image: pin.image, platforms: choice ?? requirePlatforms(pin.platforms) })),
      ];
      if (wishes.length === 0) throw new OciError('BAD_REQUEST', 'name images, a pinned set (pins) or everything (all=true)');
      return ndjsonResponse(present(verifier.images(wishes, how)), stop);
    });
  },
};

async function* present(answers: AsyncGenerator<Verified | VerifyProgress>): AsyncGenerator<VerifyLine> {
  for await (const answer of answers) {
    if (answer.kind === 'progress') yield answer;
    else {
      const { servedUntilMs, ...rest } = answer;
      yield { ...rest, ...(servedUntilMs === undefined ? {} : { servedUntil: new Date(servedUntilMs).toISOString() }) };
    }
  }
}
