// The history of a source as it goes over the admin API. The command line loads this file too.

import { z } from 'zod';

const activity = {
  requests: z.number(),
  ok: z.number().meta({ description: 'answered as a registry does, also with "not here" and "not for you"' }),
  okShare: z.number().optional().meta({ description: '0 to 1' }),
  p50Ms: z.number().optional().meta({ description: 'to the first byte of good answers; upper bound of a class, about 30 % coarse' }),
  p95Ms: z.number().optional(),
  bytes: z.number(),
  verdicts: z.record(z.string(), z.number()).meta({ description: 'what was no good answer, by kind' }),
};

export const sourceHistorySchema = z
  .object({
    id: z.number().int(),
    registry: z.string(),
    url: z.string(),
    range: z.enum(['24h', '90d']),
    bucketMs: z.number().meta({ description: '60,000 for 24h, 3,600,000 for 90d' }),
    total: z.object(activity),
    buckets: z
      .array(z.object({ at: z.string().meta({ description: 'its beginning, RFC 3339, UTC' }), ...activity }))
      .readonly()
      .meta({ description: 'oldest first; spans without requests are left out' }),
  })
  .meta({ id: 'SourceHistory' });
export type SourceHistoryBody = z.infer<typeof sourceHistorySchema>;
