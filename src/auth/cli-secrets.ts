// Secrets of users for programs: Harbor's one CLI secret, which the client chooses, and named tokens, which are made here. Each is a password for the
// registry; only a token made for it opens the admin API, too. They end with their account: with its row, and while it is switched off.

import { type AccountSecretRecord, listAccountSecrets, prepareSecretQuery, type SecretReach } from '../db/account-secrets.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { hashSecret, isSameDigest, makeSecret, requireStrongSecret } from './credential-secret.ts';
import type { CredentialUses } from './credential-use.ts';

/** The name that Harbor's one CLI secret of a user is kept under. */
const cliSecretName = 'cli';
const dayMs = 24 * 60 * 60 * 1000;
const tokenDaysMax = 3650;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$/;

export interface TokenWish {
  readonly name: string;
  readonly reach: SecretReach;
  /** -1: for ever. */
  readonly durationDays: number;
}

export interface CliSecrets {
  /** The secret's row when it is one of this account's and alive. The caller looks after the account itself. */
  check(accountId: number, secret: string, address: string | undefined): Promise<AccountSecretRecord | undefined>;
  list(accountId: number): Promise<AccountSecretRecord[]>;
  /** BAD_REQUEST; CONFLICT when the name is taken or there are too many. */
  create(accountId: number, wish: TokenWish): Promise<{ token: AccountSecretRecord; secret: Secret }>;
  /** Sets Harbor's CLI secret, which a client chose. BAD_REQUEST when it is too weak. */
  setCliSecret(accountId: number, secret: string): Promise<void>;
  /** NOT_FOUND. */
  delete(accountId: number, id: number): Promise<void>;
  /** All of an account, after a leak; gives how many went. */
  deleteAll(accountId: number): Promise<number>;
}

export function createCliSecrets(options: { database: Database; clock: Clock; uses: CredentialUses }): CliSecrets {
  const { database, clock, uses } = options;
  const find = prepareSecretQuery(database);
  return {
    check: async (accountId, secret, address) => {
      const hash = hashSecret(secret);
      const found = await find(accountId, hash);
      if (found === undefined || !isSameDigest(hash, found.secretHash)) return undefined;
      if (found.expiresAtMs !== undefined && found.expiresAtMs <= clock.nowMs()) return undefined;
      uses.note('account_secret', found.id, address);
      return found;
    },
    list: (accountId) => listAccountSecrets(database.read, accountId),
    create: async (accountId, { name, reach, durationDays }) => {
      if (!namePattern.test(name) || name === cliSecretName)
        throw new OciError('BAD_REQUEST', `name: expected 1 to 64 letters, digits, spaces, dots, - and _, and not "${cliSecretName}"`);
      if (durationDays !== -1 && (durationDays < 1 || durationDays > tokenDaysMax))
        throw new OciError('BAD_REQUEST', `duration: expected days from 1 to ${tokenDaysMax}, or -1 for ever`);
      const secret = makeSecret('token');
      const token = await database.run('createAccountSecret', {
        accountId,
        name,
        reach,
        secretHash: hashSecret(secret.reveal()),
        ...(durationDays === -1 ? {} : { expiresAtMs: clock.nowMs() + durationDays * dayMs }),
        replaces: false,
      });
      return { token, secret };
    },
    setCliSecret: async (accountId, secret) => {
      const chosen = requireStrongSecret(secret);
      await database.run('createAccountSecret', {
        accountId,
        name: cliSecretName,
        reach: 'registry',
        secretHash: hashSecret(chosen.reveal()),
        replaces: true,
      });
    },
    delete: async (accountId, id) => {
      const deleted = await database.run('deleteAccountSecrets', { accountId, id });
      if (deleted === 0) throw new OciError('NOT_FOUND', 'there is no such token');
    },
    deleteAll: (accountId) => database.run('deleteAccountSecrets', { accountId }),
  };
}
