// Tokens of users and Harbor's CLI secret over HTTP.
// It must never import the server: the command line loads this file.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC' });
const reach = z.enum(['registry', 'api']).meta({
  description: 'registry: a password for docker login; api: for the admin API, too, with the rights of its user',
});

export const tokenSchema = z
  .object({
    id: z.number().int(),
    name: z.string(),
    reach,
    created_at: time,
    expires_at: time.nullable().meta({ description: 'null: never' }),
    last_used_at: time.nullable(),
    last_used_from: z.string().nullable().meta({ description: 'an address' }),
  })
  .meta({ id: 'Token' });
export type TokenBody = z.infer<typeof tokenSchema>;

export const createdTokenSchema = tokenSchema
  .extend({ secret: z.string().meta({ description: 'told this once' }) })
  .meta({ id: 'CreatedToken' });

export const newTokenSchema = z
  .strictObject({
    name: z.string().min(1).max(64).meta({ example: 'laptop' }),
    reach: reach.default('registry'),
    duration: z.number().int().min(-1).max(3650).default(90).meta({ description: 'days; -1: for ever' }),
  })
  .meta({ id: 'NewToken' });

export const deletedTokensSchema = z.object({ deleted: z.number().int() }).meta({ id: 'DeletedTokens' });

export const cliSecretSchema = z
  .strictObject({
    secret: z.string().min(1).max(512).meta({
      description: '12 to 128 printable characters with an upper case letter, a lower case letter and a digit',
    }),
  })
  .meta({ id: 'OIDCCliSecretReq' });
