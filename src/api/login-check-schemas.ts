// What the login check answers, as the API and the command line both read it.

import { z } from 'zod';

export const arrivalSchema = z.object({
  peer: z.string().optional().meta({ description: 'who opened the connection: the proxy next to the server' }),
  isTrusted: z.boolean().meta({ description: 'its X-Forwarded-* headers count' }),
  host: z.string().optional(),
  forwarded: z.record(z.string(), z.string()).meta({ description: 'the X-Forwarded-* headers that came' }),
  hasAuthorization: z.boolean(),
  origin: z.string().meta({ description: 'where this request would be sent for a token, without /service/token' }),
  externalUrl: z.string().optional(),
});

export const loginReportSchema = z.object({
  url: z.string(),
  ok: z.boolean(),
  findings: z.array(
    z.object({
      step: z.enum(['reach', 'challenge', 'realm', 'token', 'use', 'body', 'upload']),
      problem: z.string().optional().meta({ description: 'a word for programs; absent: this step is well' }),
      message: z.string(),
      fix: z.string().optional().meta({ description: 'what to change' }),
    }),
  ),
});
