// Sessions of browsers: queries and commands. Their secrets arrive here hashed. A session ends when it was idle or is old, when it is revoked,
// and when its account's epoch has moved on (auth/sessions.ts compares it).

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';
import type { Schema } from './schema.ts';

export interface StoredSession {
  readonly id: number;
  readonly accountId: number;
  /** The account's epoch when it began. */
  readonly accountEpoch: number;
  readonly provider: string;
  readonly address: string | null;
  readonly userAgent: string;
  readonly createdAtMs: number;
  /** To within a minute. */
  readonly seenAtMs: number;
  /** When its person last showed a password, or logged in at the provider. */
  readonly provedAtMs: number;
  readonly expiresAtMs: number;
}
export interface ListedSession extends StoredSession {
  readonly accountName: string;
}

export interface NewSession {
  readonly secretHash: string;
  readonly accountId: number;
  readonly accountEpoch: number;
  readonly address?: string;
  readonly userAgent: string;
  readonly expiresAtMs: number;
  /** The secret of the session that this one follows: it ends. */
  readonly replaces?: string;
}

/** Of one account; the oldest go. */
const sessionsMax = 50;

/** A session by the hash of its secret, for every request of a browser. */
export function prepareSessionQuery(database: Preparer): (secretHash: string) => Promise<StoredSession | undefined> {
  const query = database.prepare<{ secretHash: string }, StoredSession>((read, value) =>
    read.selectFrom('session').select(columns).where('secret_hash', '=', value('secretHash')).compile(),
  );
  return (secretHash) => query.first({ secretHash });
}

/** The youngest first, of one account or of all. */
export async function listSessions(
  read: Kysely<Schema>,
  options: { readonly accountId?: number; readonly limit: number; readonly offset?: number },
): Promise<ListedSession[]> {
  let query = read
    .selectFrom('session')
    .select(columns)
    .select((select) =>
      select
        .selectFrom('account')
        .select('account.name')
        .whereRef('account.id', '=', 'session.account_id')
        .$castTo<{ name: string }>()
        .as('accountName'),
    )
    .where('session.id', '>', 0)
    .orderBy('session.id', 'desc')
    .limit(options.limit);
  if (options.offset !== undefined) query = query.offset(options.offset);
  if (options.accountId !== undefined) query = query.where('session.account_id', '=', options.accountId);
  return query.execute() as Promise<ListedSession[]>;
}

export async function countSessions(read: Kysely<Schema>, accountId?: number): Promise<number> {
  let query = read.selectFrom('session').select((select) => select.fn.countAll<number>().as('count'));
  if (accountId !== undefined) query = query.where('account_id', '=', accountId);
  return Number((await query.executeTakeFirstOrThrow()).count);
}

/**
 * Begins a session, ends the one it replaces and the account's oldest beyond 50; gives its id. UNAUTHORIZED when the account is switched off,
 * gone, or has another epoch than the one that logged in.
 */
export async function createSession({ trx, nowMs }: CommandContext, args: NewSession): Promise<number> {
  const account = await trx
    .selectFrom('account')
    .select(['provider', 'is_disabled', 'epoch'])
    .where('id', '=', args.accountId)
    .executeTakeFirst();
  if (account === undefined || account.is_disabled === 1 || account.epoch !== args.accountEpoch)
    throw new OciError('UNAUTHORIZED', 'the account was changed meanwhile; log in again');
  if (args.replaces !== undefined) await trx.deleteFrom('session').where('secret_hash', '=', args.replaces).execute();
  const old = await trx
    .selectFrom('session')
    .select('id')
    .where('account_id', '=', args.accountId)
    .orderBy('id', 'desc')
    .limit(1000)
    .offset(sessionsMax - 1)
    .execute();
  for (const { id } of old) await trx.deleteFrom('session').where('id', '=', id).execute();
  const { id } = await trx
    .insertInto('session')
    .values({
      secret_hash: args.secretHash,
      account_id: args.accountId,
      account_epoch: args.accountEpoch,
      provider: account.provider,
      address: args.address ?? null,
      user_agent: args.userAgent,
      created_at_ms: nowMs,
      seen_at_ms: nowMs,
      proved_at_ms: nowMs,
      expires_at_ms: args.expiresAtMs,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** Notes that it was used. */
export async function touchSession({ trx, nowMs }: CommandContext, args: { id: number }): Promise<void> {
  await trx.updateTable('session').set({ seen_at_ms: nowMs }).where('id', '=', args.id).execute();
}

/** Its person has shown who it is: the session goes on under a new secret. False when there is no such session. */
export async function renewSession({ trx, nowMs }: CommandContext, args: { id: number; secretHash: string }): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('session')
    .set({ secret_hash: args.secretHash, proved_at_ms: nowMs, seen_at_ms: nowMs })
    .where('id', '=', args.id)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Ends one session, of that account where one is given. False when there is none such. */
export async function deleteSession({ trx }: CommandContext, args: { id: number; accountId?: number }): Promise<boolean> {
  let query = trx.deleteFrom('session').where('id', '=', args.id);
  if (args.accountId !== undefined) query = query.where('account_id', '=', args.accountId);
  return (await query.executeTakeFirst()).numDeletedRows > 0n;
}

/** Ends all sessions of an account but one; gives how many. */
export async function deleteSessions({ trx }: CommandContext, args: { accountId: number; exceptId?: number }): Promise<number> {
  let query = trx.deleteFrom('session').where('account_id', '=', args.accountId);
  if (args.exceptId !== undefined) query = query.where('id', '!=', args.exceptId);
  return Number((await query.executeTakeFirst()).numDeletedRows);
}

/** Forgets sessions and attempts that are over; gives how many sessions. */
export async function deleteExpiredSessions({ trx, nowMs }: CommandContext, args: { idleMs: number }): Promise<number> {
  const old = await trx.deleteFrom('session').where('expires_at_ms', '<=', nowMs).executeTakeFirst();
  const idle = await trx
    .deleteFrom('session')
    .where('seen_at_ms', '<=', nowMs - args.idleMs)
    .executeTakeFirst();
  await trx.deleteFrom('login_attempt').where('expires_at_ms', '<=', nowMs).execute();
  return Number(old.numDeletedRows + idle.numDeletedRows);
}

const columns = [
  'session.id as id',
  'session.account_id as accountId',
  'session.account_epoch as accountEpoch',
  'session.provider as provider',
  'session.address as address',
  'session.user_agent as userAgent',
  'session.created_at_ms as createdAtMs',
  'session.seen_at_ms as seenAtMs',
  'session.proved_at_ms as provedAtMs',
  'session.expires_at_ms as expiresAtMs',
] as const;
