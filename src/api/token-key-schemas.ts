// The keys of registry tokens, as the API and the command line both read them.

import { z } from 'zod';

export const tokenKeysSchema = z.array(
  z.object({
    id: z.string(),
    algorithm: z.literal('Ed25519'),
    signs: z.boolean().meta({ description: 'new tokens are signed with it' }),
    creation_time: z.string(),
    retires_at: z.string().optional().meta({ description: 'from then on what it signed is worth nothing' }),
  }),
);
