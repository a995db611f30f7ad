// Logins of people of directories. A known name asks its own directory and no other; an unknown one asks the directories in order until one knows
// it, and gets an account then. No answer is UNAVAILABLE, never "wrong password". What was right is remembered for five minutes, because Docker
// sends its login with every request of a token; the memory ends with a change of the provider or of the account.

import { createHmac, randomBytes } from 'node:crypto';
import type { Database } from '../db/database.ts';
import { type ExternalIdentity, isSuspended } from '../db/directory-accounts.ts';
import { type Account, prepareAccountQuery } from '../db/identity.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { OciError } from '../oci/errors.ts';
import { accountNameProblem } from './account-names.ts';
import type { LdapPerson } from './ldap.ts';
import type { DirectoryProvider, LdapDirectories } from './ldap-directories.ts';
import { firstValueOf } from './ldap-dn.ts';
import { LdapFailure } from './ldap-failure.ts';

export interface DirectoryLogins {
  /** Whether a directory that is on lets accounts of this provider in. */
  isDirectory(provider: string): Promise<boolean>;
  /** The account when its directory takes the password. UNAVAILABLE when the directory gives no answer. */
  check(account: Account, password: string): Promise<Account | undefined>;
  /** For a name without an account: the account made for it. UNAVAILABLE when a directory that could know it gives no answer. */
  checkUnknown(name: string, password: string): Promise<Account | undefined>;
}

const rememberMs = 5 * 60 * 1000;
/** A directory that is down is said once in so long. */
const sayAgainMs = 10_000;

export function createDirectoryLogins(options: {
  readonly database: Database;
  readonly directories: LdapDirectories;
  readonly clock: Clock;
  readonly log: Log;
  /** Groups or rights of an account changed. */
  readonly onChange: () => void;
}): DirectoryLogins {
  const { database, directories, clock, log, onChange } = options;
  const find = prepareAccountQuery(database);
  const key = randomBytes(32);
  const remembered = createLru<string, number>({ maxEntries: 10_000 });
  const flights = createSingleFlight<Outcome>();
  const saidUntilMs = new Map<string, number>();

  const report = (provider: string, failure: LdapFailure): void => {
    const topic = `${provider} ${failure.kind}`;
    if ((saidUntilMs.get(topic) ?? 0) > clock.monotonicMs()) return;
    saidUntilMs.set(topic, clock.monotonicMs() + sayAgainMs);
    log.error('identity.directory-failed', { provider, kind: failure.kind, reason: failure.message });
  };

  /** Asks the directory and brings the account up to date. */
  const ask = async (provider: DirectoryProvider, name: string, password: string): Promise<Outcome> => {
    try {
      const login = await directories.directoryOf(provider).login(name, password);
      if (login.outcome === 'ok') return await onboard(provider, login.person);
      if (login.outcome === 'ambiguous') log.warn('identity.name-ambiguous', { provider: provider.name, name });
      return { kind: login.outcome === 'unknown' ? 'unknown' : 'refused' };
    } catch (error) {
      if (!(error instanceof LdapFailure)) throw error;
      report(provider.name, error);
      throw new OciError('UNAVAILABLE', `the directory ${provider.name} cannot be asked now; try again shortly`, {
        cause: error,
        retryAfterMs: 5000,
      });
    }
  };

  const onboard = async (provider: DirectoryProvider, person: LdapPerson): Promise<Outcome> => {
    const problem = accountNameProblem(person.name);
    if (problem !== undefined) {
      log.warn('identity.name-not-usable', { provider: provider.name, name: person.name, problem });
      return { kind: 'refused' };
    }
    try {
      const { auto_onboard: mayCreate, trust_names: trustsNames } = provider.settings;
      const done = await database.run('onboardAccount', { identity: toIdentity(provider, person), mayCreate, trustsNames, isLogin: true });
      if (done.isNew) log.info('identity.onboarded', { provider: provider.name, name: person.name, id: done.id });
      if (done.isChanged) onChange();
      return { kind: 'ok', id: done.id };
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      log.warn('identity.login-refused', { provider: provider.name, name: person.name, code: error.code, reason: error.message });
      return { kind: 'refused' };
    }
  };

  /** Anew: the login may have made or changed it. */
  const read = async (id: number): Promise<Account | undefined> => {
    const account = await find(id);
    return account === undefined || account.isDisabled ? undefined : account;
  };

  const markOf = (provider: DirectoryProvider, subject: string, password: string): string =>
    createHmac('sha256', key)
      .update(JSON.stringify([provider.name, provider.version, subject, password]))
      .digest('base64');

  return {
    isDirectory: async (name) => (await directories.listEnabled()).some((provider) => provider.name === name),
    check: async (account, password) => {
      const provider = (await directories.listEnabled()).find((one) => one.name === account.provider);
      if (provider === undefined) return undefined;
      if (account.isDisabled && !(await isSuspended(database.read, account.id))) return undefined;
      const mark = markOf(provider, `${account.id}.${account.epoch}.${account.name}`, password);
      if (!account.isDisabled && (remembered.get(mark) ?? 0) > clock.monotonicMs()) return account;
      const outcome = await flights.run(mark, () => ask(provider, account.name, password));
      if (outcome.kind !== 'ok' || outcome.id !== account.id) return undefined;
      remembered.set(mark, clock.monotonicMs() + rememberMs);
      return read(account.id);
    },
    checkUnknown: async (name, password) => {
      for (const provider of await directories.listEnabled()) {
        const outcome = await flights.run(markOf(provider, `?${name}`, password), () => ask(provider, name, password));
        // The first that knows the name decides. One that cannot be asked ends the search, too: the name may be somebody's there.
        if (outcome.kind !== 'unknown') return outcome.kind === 'ok' ? read(outcome.id) : undefined;
      }
      return undefined;
    },
  };
}

type Outcome = { readonly kind: 'ok'; readonly id: number } | { readonly kind: 'unknown' | 'refused' };

/** Who this is for the database. Without settings of groups, the directory says nothing of them. */
export function toIdentity(provider: DirectoryProvider, person: LdapPerson): ExternalIdentity {
  const { groups, admin_groups } = provider.settings;
  return {
    provider: provider.name,
    externalId: person.externalId,
    name: person.name.normalize('NFC'),
    ...(person.email === undefined ? {} : { email: person.email }),
    ...(person.displayName === undefined ? {} : { displayName: person.displayName }),
    ...(groups === undefined ? {} : { groups: person.groups.map((dn) => ({ externalName: dn, name: firstValueOf(dn) })) }),
    ...(admin_groups.length === 0 ? {} : { isAdmin: person.isAdmin }),
  };
}
