// Registries and sources as they go over the admin API. What is sent has the words of the config file, because it is the same shape
// (config/source-entry.ts); what is answered about their state has the names of the code. The command line loads this file too.

import { z } from 'zod';
import { registryName, sourceChange, sourceEntry } from '../config/source-entry.ts';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });
const id = z.number().int().min(1);

const scopeSchema = z
  .object({ allow: z.array(z.string()).readonly(), deny: z.array(z.string()).readonly() })
  .meta({ id: 'SourceScope', description: 'patterns of repositories: none allowed means all, deny wins' });

export const sourceSchema = z
  .object({
    id: id.meta({ description: 'for /sources/{id}; stays while the source exists' }),
    url: z.string(),
    trust: z.enum(['authority', 'digest-only']),
    priority: z.number().meta({ description: 'lower is asked first' }),
    enabled: z.boolean().meta({ description: 'false: nothing is asked of it' }),
    origin: z
      .enum(['config', 'preset', 'api'])
      .meta({ description: 'who made it: the config file, what ships with the program, this API' }),
    hasCredentials: z.boolean(),
    viaProxy: z.boolean(),
    limits: z
      .object({ connections: z.number().optional(), requestsPerMinute: z.number().optional(), bytesPerSecond: z.number().optional() })
      .optional()
      .meta({ description: 'what is taken from it at most' }),
    scope: scopeSchema.optional(),
    operator: z.string().optional().meta({ description: 'who runs it' }),
    state: z.enum(['up', 'failing', 'open', 'half-open', 'limited', 'quarantined']).meta({
      description:
        'failing: errors lately; open: not asked until blockedForMs is over; half-open: asked again by one request; limited: it asked us to wait; quarantined: it delivered wrong content',
    }),
    lastVerdict: z.string().optional(),
    lastAt: time.optional(),
    succeeded: z.number(),
    failed: z.number(),
    verdicts: z.record(z.string(), z.number()).meta({ description: 'failures by kind, since the server started' }),
    averageMs: z.number().optional().meta({ description: 'of successes, to the first byte; recent ones count more' }),
    bytes: z.number(),
    failuresInARow: z.number(),
    blockedForMs: z.number(),
    clean: z.boolean().meta({ description: 'its last deliveries were all verified, so its bytes are passed on while they arrive' }),
    evidence: z.string().optional().meta({ description: 'why it is or was quarantined' }),
    quota: z
      .object({ limit: z.number(), remaining: z.number(), windowSeconds: z.number() })
      .optional()
      .meta({ description: 'pulls it allows, as last heard, of the login used last' }),
    quotas: z
      .array(z.object({ login: z.string(), limit: z.number(), remaining: z.number(), windowSeconds: z.number() }))
      .optional()
      .meta({ description: 'the same of each login that was told one; `anonymous` is none' }),
    spentForMs: z.number().optional().meta({ description: 'how long no manifest is fetched there because its pull quota is spent' }),
    bytesPerSecond: z
      .object({ small: z.number().optional(), medium: z.number().optional(), large: z.number().optional() })
      .optional()
      .meta({ description: 'while a body comes: below 1 MiB, below 64 MiB, larger' }),
    hosts: z
      .array(z.object({ origin: z.string(), state: z.enum(['failing', 'open', 'half-open']), blockedForMs: z.number() }))
      .optional()
      .meta({ description: 'hosts its redirects lead to that do not work; what comes from there is fetched elsewhere' }),
    firstByteP95Ms: z.number().optional().meta({ description: '95th percentile of the time to the first byte' }),
  })
  .meta({ id: 'Source' });
export type SourceBody = z.infer<typeof sourceSchema>;

export const registrySourcesSchema = z
  .object({
    registry: z.string(),
    sources: z.array(sourceSchema).readonly().meta({ description: 'in the order in which they would be asked now; disabled ones last' }),
  })
  .meta({ id: 'RegistrySources' });
export type RegistrySources = z.infer<typeof registrySourcesSchema>;

/** One source with everything that was set; passwords are `***`. */
export const sourceDetailSchema = sourceSchema
  .extend({
    registry: z.string(),
    settings: z.record(z.string(), z.unknown()).meta({
      description: 'as an entry of `sources` in the config file, each password as ***',
      example: { url: 'https://mirror.example' },
    }),
    created: time,
    updated: time,
  })
  .meta({ id: 'SourceDetail' });
export type SourceDetail = z.infer<typeof sourceDetailSchema>;

const warnings = z.array(z.string()).readonly().meta({ description: 'what the administrator should know' });
export const changedSourceSchema = sourceDetailSchema.extend({ warnings }).meta({ id: 'ChangedSource' });
export const newSourceSchema = sourceEntry.extend({ registry: registryName }).meta({ id: 'NewSource' });
export const sourceChangeSchema = sourceChange.meta({ id: 'SourceChange' });

export const sourceTestSchema = z
  .object({
    ok: z.boolean(),
    steps: z
      .array(
        z.object({
          name: z.string(),
          ok: z.boolean(),
          verdict: z.string().optional(),
          detail: z.string().optional(),
          ms: z.number(),
        }),
      )
      .readonly()
      .meta({ description: 'what was tried, in order' }),
  })
  .meta({ id: 'SourceTest' });
