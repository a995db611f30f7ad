// The audit log over the admin API. It must never import the server: the command line loads this file.

import { z } from 'zod';

const time = z.string().meta({ description: 'RFC 3339, UTC', example: '2026-11-24T08:00:00.000Z' });

export const auditEntrySchema = z
  .object({
    id: z.number().int().meta({ description: 'counts up without gaps' }),
    username: z.string(),
    resource: z.string().meta({ example: 'library/app:1' }),
    resource_type: z.string().meta({ example: 'artifact' }),
    operation: z.string().meta({ example: 'create' }),
    op_time: time.meta({ description: 'of several alike: of the last' }),
  })
  .meta({ id: 'AuditLog' });

export const auditEntryExtSchema = auditEntrySchema
  .extend({
    operation_description: z.string(),
    operation_result: z.boolean().meta({ description: 'whether it was done' }),
    outcome: z.enum(['success', 'denied', 'failed']),
    count: z.number().int().meta({ description: 'how many alike the entry stands for' }),
    since: time.optional().meta({ description: 'of several alike: of the first' }),
    actor: z.object({
      kind: z.string().meta({ description: 'user, robot, workload, anonymous, system or unknown' }),
      id: z.string().optional(),
      method: z.string().meta({ description: 'how it showed who it is', example: 'password' }),
    }),
    address: z.string().optional(),
    user_agent: z.string().optional(),
    request_id: z.string().optional(),
    project_id: z.number().int().optional(),
    detail: z
      .looseObject({
        before: z.unknown().optional(),
        after: z.unknown().optional(),
        reason: z.string().optional(),
        truncated: z.boolean().optional(),
      })
      .optional()
      .meta({ description: 'what it was, what it became, why not; never a secret' }),
    hash: z.string().meta({ description: 'over this entry and the hash of the one before it' }),
  })
  .meta({ id: 'AuditLogExt' });
export type AuditEntryExt = z.infer<typeof auditEntryExtSchema>;

export const auditEventTypeSchema = z
  .object({ event_type: z.string().meta({ example: 'create_artifact' }) })
  .meta({ id: 'AuditLogEventType' });

export const auditReportSchema = z
  .object({
    whole: z.boolean(),
    rows: z.number().int().meta({ description: 'entries looked at' }),
    first_id: z.number().int().optional(),
    last_id: z.number().int().optional(),
    broken: z.object({ id: z.number().int(), reason: z.string() }).optional().meta({ description: 'the first entry that does not follow' }),
  })
  .meta({ id: 'AuditReport' });
