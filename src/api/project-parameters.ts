// The path parameter that names a project, and the header that goes with it, as Harbor has them.

import { z } from '@hono/zod-openapi';

export const projectParameters = {
  params: z.object({ project_name_or_id: z.string().max(255).meta({ description: 'the name, or the project_id' }) }),
  headers: z.object({
    'x-is-resource-name': z
      .enum(['true', 'false'])
      .default('false')
      .meta({ description: 'true: a name of digits alone is a name, not an id' }),
  }),
};
