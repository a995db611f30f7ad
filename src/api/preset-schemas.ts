// Presets as they go over the admin API. The command line loads this file too.

import { z } from 'zod';

export const presetStatusSchema = z
  .object({
    serial: z.number(),
    date: z.string(),
    origin: z.enum(['shipped', 'update']).meta({ description: 'shipped: those in the program; update: newer ones, with a good signature' }),
    registries: z.number(),
    mirrors: z.number(),
    dead: z.number().meta({ description: 'hosts that are gone' }),
    from: z.string().optional().meta({ description: 'the file or URL where newer ones are looked for' }),
    lastCheck: z
      .object({
        outcome: z.enum(['updated', 'unchanged', 'older', 'refused', 'unreachable']),
        detail: z.string(),
        at: z.string().meta({ description: 'RFC 3339, UTC' }),
      })
      .optional(),
  })
  .meta({ id: 'Presets' });
export type PresetStatus = z.infer<typeof presetStatusSchema>;
