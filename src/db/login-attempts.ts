// Logins through an identity provider that are under way: commands. Each is taken once, by whoever comes first (security.md SEC-B10); what it
// is bound to arrives here hashed.

import type { CommandContext } from './context.ts';
import type { LoginPurpose } from './schema.ts';

export interface LoginAttempt {
  readonly stateHash: string;
  /** Of the secret in the browser that began it. */
  readonly browserHash: string;
  readonly provider: string;
  readonly purpose: LoginPurpose;
  /** The session that is to be confirmed. */
  readonly sessionId?: number;
  readonly returnTo: string;
  /** JSON: who the provider said it is, while a name is asked for. */
  readonly identity?: string;
}

/** On the whole server; the oldest go. */
const attemptsMax = 10_000;

export async function createLoginAttempt({ trx, nowMs }: CommandContext, args: LoginAttempt & { lifeMs: number }): Promise<void> {
  await trx.deleteFrom('login_attempt').where('expires_at_ms', '<=', nowMs).execute();
  const oldest = await trx
    .selectFrom('login_attempt')
    .select(['expires_at_ms', 'state_hash'])
    .where('expires_at_ms', '>', nowMs)
    .orderBy('expires_at_ms', 'desc')
    .orderBy('state_hash', 'desc')
    .limit(1)
    .offset(attemptsMax - 1)
    .executeTakeFirst();
  if (oldest !== undefined) await trx.deleteFrom('login_attempt').where('expires_at_ms', '<=', oldest.expires_at_ms).execute();
  await trx
    .insertInto('login_attempt')
    .values({
      state_hash: args.stateHash,
      browser_hash: args.browserHash,
      provider: args.provider,
      purpose: args.purpose,
      session_id: args.sessionId ?? null,
      return_to: args.returnTo,
      identity: args.identity ?? null,
      expires_at_ms: nowMs + args.lifeMs,
    })
    .execute();
}

/** Takes an attempt away; undefined when it is unknown, over, another browser's, or was taken before. One caller of many gets it. */
export async function takeLoginAttempt(
  { trx, nowMs }: CommandContext,
  args: { stateHash: string; browserHash: string },
): Promise<LoginAttempt | undefined> {
  const row = await trx
    .deleteFrom('login_attempt')
    .where('state_hash', '=', args.stateHash)
    .where('browser_hash', '=', args.browserHash)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined || row.expires_at_ms <= nowMs) return undefined;
  return {
    stateHash: row.state_hash,
    browserHash: row.browser_hash,
    provider: row.provider,
    purpose: row.purpose,
    ...(row.session_id === null ? {} : { sessionId: row.session_id }),
    returnTo: row.return_to,
    ...(row.identity === null ? {} : { identity: row.identity }),
  };
}
