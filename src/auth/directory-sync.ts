// Looks the people of each directory up again: groups and rights are brought up to date, who is gone there is switched off here. When much of a
// directory seems to be gone at once, it is taken for a mistake (a changed base, a broken filter) and nobody is switched off.

import type { Database } from '../db/database.ts';
import { listProviderAccounts } from '../db/directory-accounts.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import { toIdentity } from './directory-logins.ts';
import type { LdapPerson } from './ldap.ts';
import type { DirectoryProvider, LdapDirectories } from './ldap-directories.ts';
import { LdapFailure } from './ldap-failure.ts';

export interface SyncReport {
  readonly provider: string;
  readonly looked: number;
  readonly changed: number;
  /** Switched off. */
  readonly suspended: number;
  /** Seemed to be gone, and were left alone. */
  readonly spared: number;
}

export interface DirectorySync {
  /** All directories that are on, one after the other; one that gives no answer is left for the next time. */
  run(signal?: AbortSignal): Promise<readonly SyncReport[]>;
}

/** People asked for in one session of a directory. */
const batchSize = 100;
/** Fewer may always go; of more, at most half in one run. */
const suspicious = { count: 10, share: 0.5 };

export function createDirectorySync(options: {
  readonly database: Database;
  readonly directories: LdapDirectories;
  readonly log: Log;
  readonly onChange: () => void;
}): DirectorySync {
  const { database, directories, log, onChange } = options;

  const update = async (provider: DirectoryProvider, person: LdapPerson): Promise<boolean> => {
    try {
      const { trust_names: trustsNames } = provider.settings;
      const done = await database.run('onboardAccount', {
        identity: toIdentity(provider, person),
        mayCreate: false,
        trustsNames,
        isLogin: false,
      });
      return done.isChanged;
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      log.warn('identity.sync-refused', { provider: provider.name, name: person.name, code: error.code, reason: error.message });
      return false;
    }
  };

  const syncOne = async (provider: DirectoryProvider, signal: AbortSignal | undefined): Promise<SyncReport> => {
    const directory = directories.directoryOf(provider);
    const gone: number[] = [];
    let looked = 0;
    let changed = 0;
    for (let afterId = 0; ; ) {
      signal?.throwIfAborted();
      const accounts = await listProviderAccounts(database.read, { provider: provider.name, afterId, max: batchSize });
      const people = await directory.findAll(accounts.map((account) => account.name));
      for (const account of accounts) {
        const person = people.get(account.name);
        const isSame = account.externalId === undefined || person?.externalId === account.externalId || provider.settings.trust_names;
        if (person?.isAllowed === true && isSame) changed += (await update(provider, person)) ? 1 : 0;
        else if (!account.isDisabled) gone.push(account.id);
        looked++;
        afterId = account.id;
      }
      if (accounts.length < batchSize) break;
    }
    const isSuspicious = gone.length > suspicious.count && gone.length > looked * suspicious.share;
    if (isSuspicious)
      log.error('identity.sync-suspicious', {
        provider: provider.name,
        looked,
        gone: gone.length,
        hint: 'nobody was switched off; check base_dn and user_filter',
      });
    const suspended = isSuspicious || gone.length === 0 ? 0 : await database.run('suspendAccounts', { provider: provider.name, ids: gone });
    return { provider: provider.name, looked, changed, suspended, spared: isSuspicious ? gone.length : 0 };
  };

  return {
    run: async (signal) => {
      const reports: SyncReport[] = [];
      for (const provider of await directories.listEnabled()) {
        try {
          const report = await syncOne(provider, signal);
          if (report.changed + report.suspended > 0) {
            log.info('identity.synced', { ...report });
            onChange();
          }
          reports.push(report);
        } catch (error) {
          if (!(error instanceof LdapFailure)) throw error;
          log.warn('identity.sync-failed', { provider: provider.name, kind: error.kind, reason: error.message });
        }
      }
      return reports;
    },
  };
}
