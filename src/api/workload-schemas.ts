// Workload rules over HTTP: whose CI tokens open what.
// It must never import the server: the command line loads this file.

import { z } from 'zod';
import { robotPermissionSchema } from './robot-schemas.ts';

const time = z.string().meta({ description: 'RFC 3339, UTC' });
const claim = z
  .strictObject({
    claim: z
      .string()
      .min(1)
      .max(255)
      .meta({ description: 'its name, or a JSON pointer such as /kubernetes.io/namespace', example: 'repository' }),
    equals: z.string().max(512).optional(),
    glob: z.string().max(512).optional().meta({ description: '`*` stays inside a segment between slashes, `**` does not' }),
  })
  .meta({ id: 'ClaimCondition', description: 'either equals or glob' });

const values = {
  name: z.string().min(1).max(128).meta({ example: 'deploy' }),
  description: z.string().max(1024).default(''),
  issuer: z
    .string()
    .min(1)
    .max(1000)
    .meta({ description: "the tokens' iss, character for character", example: 'https://token.actions.githubusercontent.com' }),
  audience: z.string().min(1).max(1000).meta({ description: 'one of their aud', example: 'https://registry.example' }),
  claims: z.array(claim).min(1).max(20).meta({ description: 'all must hold' }),
  permissions: z.array(robotPermissionSchema).min(1).max(500),
  lifetime_minutes: z.number().int().min(1).max(60).default(15).meta({ description: 'of what a token is exchanged for' }),
  disable: z.boolean().default(false),
  single_use: z.boolean().default(false).meta({ description: 'a token is exchanged once, and is no password itself' }),
  jwks_url: z.string().max(1000).optional().meta({ description: "where the issuer's keys are; absent: its discovery document says it" }),
  jwks: z
    .looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) })
    .optional()
    .meta({ description: "the issuer's keys themselves, a JSON Web Key Set: nothing is fetched then" }),
  allow_private: z.boolean().default(false).meta({ description: 'the issuer may be at a private address' }),
  ca: z.string().max(32_768).optional().meta({ description: "PEM of the authority of the issuer's certificate" }),
};

export const newWorkloadRuleSchema = z.strictObject(values).meta({ id: 'NewWorkloadRule' });
export const workloadRuleSchema = z
  .object({
    id: z.number().int(),
    ...values,
    creator: z.string(),
    created_at: time,
    updated_at: time,
    last_used_at: time.nullable(),
    last_used_from: z.string().nullable(),
  })
  .meta({ id: 'WorkloadRule' });
export type WorkloadRuleBody = z.infer<typeof workloadRuleSchema>;

export const tokenCheckSchema = z.strictObject({ token: z.string().min(1).max(8192) }).meta({ id: 'WorkloadTokenCheck' });
export const tokenVerdictSchema = z
  .object({
    rule: z.string().nullable().meta({ description: 'the rule that lets it in; null: none does' }),
    subject: z.string().optional(),
    refusals: z
      .array(z.object({ rule: z.string().nullable(), reason: z.string() }))
      .readonly()
      .meta({ description: 'why not' }),
  })
  .meta({ id: 'WorkloadTokenVerdict' });
