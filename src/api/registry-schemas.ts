// Registries as they go over the admin API: Harbor's members, so that its clients find what they know, and our sources as an extension. The command
// line loads this file too: it must never import the server.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });

const shownCredential = z.object({
  type: z.string(),
  access_key: z.string(),
  access_secret: z.string().meta({ description: 'always *****' }),
});

/** Harbor's members alone. */
export const harborRegistrySchema = z
  .object({
    id: z.number().int(),
    name: z.string().meta({ description: 'what it was called when it was added' }),
    url: z.string().meta({ description: 'of its authority, or of the source asked first' }),
    type: z.string(),
    credential: shownCredential.optional().meta({ description: "that source's login" }),
    insecure: z.boolean().meta({ description: "whether that source's certificate is not checked" }),
    description: z.string(),
    status: z.enum(['healthy', 'unhealthy']).meta({ description: 'healthy while a source of it may be asked' }),
    creation_time: time,
    update_time: time,
  })
  .meta({ id: 'HarborRegistry' });
export type HarborRegistryBody = z.infer<typeof harborRegistrySchema>;
