// What administrators ask a directory for: people and groups by name, and accounts made before the first login. It is Harbor's one directory: the
// provider `harbor-ldap`, or else the first directory that is on.

import type { Database } from '../db/database.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import { accountNameProblem } from './account-names.ts';
import { toIdentity } from './directory-logins.ts';
import { harborLdapName } from './harbor-ldap.ts';
import type { LdapDirectory, LdapGroup, LdapPerson } from './ldap.ts';
import type { DirectoryProvider, LdapDirectories } from './ldap-directories.ts';
import { LdapFailure } from './ldap-failure.ts';

export interface ImportFailure {
  readonly name: string;
  readonly reason: 'unknown_user' | 'duplicate_user' | 'failed_import_user';
}

/** All of them: NOT_FOUND when there is no directory, UNAVAILABLE when it gives no answer. */
export interface DirectoryPeople {
  /** By exact name, or all without one, at most 500. */
  listPeople(name: string | undefined): Promise<readonly LdapPerson[]>;
  /** By exact name or distinguished name, at most 500. */
  listGroups(wanted: { readonly name?: string; readonly dn?: string }): Promise<readonly LdapGroup[]>;
  /** Makes accounts for these names, with their groups; gives those that could not be. */
  importPeople(names: readonly string[]): Promise<readonly ImportFailure[]>;
}

const listMax = 500;

export function createDirectoryPeople(options: {
  readonly database: Database;
  readonly directories: LdapDirectories;
  readonly log: Log;
  readonly onChange: () => void;
}): DirectoryPeople {
  const { database, directories, log, onChange } = options;

  const ask = async <T>(task: (directory: LdapDirectory, provider: DirectoryProvider) => Promise<T>): Promise<T> => {
    const all = await directories.listEnabled();
    const provider = all.find((one) => one.name === harborLdapName) ?? all[0];
    if (provider === undefined) throw new OciError('NOT_FOUND', 'no directory is configured, or all of them are off');
    try {
      return await task(directories.directoryOf(provider), provider);
    } catch (error) {
      if (!(error instanceof LdapFailure)) throw error;
      log.error('identity.directory-failed', { provider: provider.name, kind: error.kind, reason: error.message });
      throw new OciError('UNAVAILABLE', `the directory ${provider.name} gave no answer; the log says why`, {
        cause: error,
        retryAfterMs: 5000,
      });
    }
  };

  return {
    listPeople: (name) => ask((directory) => directory.listPeople({ ...(name === undefined ? {} : { name }), max: listMax })),
    listGroups: (wanted) => ask((directory) => directory.listGroups({ ...wanted, max: listMax })),
    importPeople: (names) =>
      ask(async (directory, provider) => {
        const people = await directory.findAll(names);
        const failures: ImportFailure[] = [];
        for (const name of names) {
          const person = people.get(name);
          const reason = person === undefined ? 'unknown_user' : await importOne(provider, person);
          if (reason !== undefined) failures.push({ name, reason });
        }
        onChange();
        return failures;
      }),
  };

  async function importOne(provider: DirectoryProvider, person: LdapPerson): Promise<ImportFailure['reason'] | undefined> {
    if (accountNameProblem(person.name) !== undefined) return 'failed_import_user';
    try {
      const done = await database.run('onboardAccount', { identity: toIdentity(provider, person), mayCreate: true, isLogin: false });
      return done.isNew ? undefined : 'duplicate_user';
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      return error.code === 'CONFLICT' ? 'duplicate_user' : 'failed_import_user';
    }
  }
}
