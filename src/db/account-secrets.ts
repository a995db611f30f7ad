// Secrets that users made for programs, beside their password: several each, named, of limited life. Rows go with their account.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';
import type { Schema } from './schema.ts';

/** What it opens: the registry only, or the admin API, too. */
export type SecretReach = 'registry' | 'api';

export interface AccountSecretRecord {
  readonly id: number;
  readonly accountId: number;
  readonly name: string;
  readonly reach: SecretReach;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | undefined;
  readonly lastUsedAtMs: number | undefined;
  readonly lastUsedFrom: string | undefined;
}

export const secretsPerAccountMax = 50;

type SecretRow = { [K in keyof Omit<Schema['account_secret'], 'id'>]: Schema['account_secret'][K] } & { id: number };

/** For logins: the secret of this account with this hash. */
export function prepareSecretQuery(
  database: Preparer,
): (accountId: number, hash: string) => Promise<(AccountSecretRecord & { secretHash: string }) | undefined> {
  const query = database.prepare<{ accountId: number; hash: string }, SecretRow>((read, value) =>
    read
      .selectFrom('account_secret')
      .selectAll()
      .where('secret_hash', '=', value('hash'))
      .where('account_id', '=', value('accountId'))
      .compile(),
  );
  return async (accountId, hash) => {
    const row = await query.first({ accountId, hash });
    return row === undefined ? undefined : { ...toSecret(row), secretHash: row.secret_hash };
  };
}

/** All of an account, the oldest first. */
export async function listAccountSecrets(read: Kysely<Schema>, accountId: number): Promise<AccountSecretRecord[]> {
  const rows = await read.selectFrom('account_secret').selectAll().where('account_id', '=', accountId).execute();
  return rows.map(toSecret).sort((one, other) => one.id - other.id);
}

export interface NewAccountSecret {
  readonly accountId: number;
  readonly name: string;
  readonly reach: SecretReach;
  readonly secretHash: string;
  readonly expiresAtMs?: number;
  /** One of this name goes. */
  readonly replaces: boolean;
}

/** CONFLICT when the name is taken, the same secret is in use, or there are too many; NOT_FOUND when the account is gone. */
export async function createAccountSecret({ trx, nowMs }: CommandContext, args: NewAccountSecret): Promise<AccountSecretRecord> {
  const account = await trx.selectFrom('account').select('id').where('id', '=', args.accountId).executeTakeFirst();
  if (account === undefined) throw new OciError('NOT_FOUND', 'there is no such user');
  if (args.replaces) {
    await trx.deleteFrom('account_secret').where('account_id', '=', args.accountId).where('name', '=', args.name).execute();
  }
  const { count } = await trx
    .selectFrom('account_secret')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('account_id', '=', args.accountId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= secretsPerAccountMax) {
    throw new OciError('CONFLICT', `a user may have at most ${secretsPerAccountMax} tokens; delete those that are not needed`);
  }
  const row = await trx
    .insertInto('account_secret')
    .values({
      account_id: args.accountId,
      name: args.name,
      reach: args.reach,
      secret_hash: args.secretHash,
      created_at_ms: nowMs,
      expires_at_ms: args.expiresAtMs ?? null,
      last_used_at_ms: null,
      last_used_address: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new OciError('CONFLICT', `a token named ${args.name} exists already`);
  return toSecret(row);
}

/** One of an account, or all of it without an id; says how many went. */
export async function deleteAccountSecrets({ trx }: CommandContext, args: { accountId: number; id?: number }): Promise<number> {
  let query = trx.deleteFrom('account_secret').where('account_id', '=', args.accountId);
  if (args.id !== undefined) query = query.where('id', '=', args.id);
  return Number((await query.executeTakeFirst()).numDeletedRows);
}

function toSecret(row: SecretRow): AccountSecretRecord {
  return {
    id: row.id,
    accountId: row.account_id,
    name: row.name,
    reach: row.reach,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms ?? undefined,
    lastUsedAtMs: row.last_used_at_ms ?? undefined,
    lastUsedFrom: row.last_used_address ?? undefined,
  };
}
