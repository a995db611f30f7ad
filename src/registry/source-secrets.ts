// Passwords of sources at rest: sealed for the registry, the URL and the place in the list, so that none is sent to another host by moving its
// text to another row. Rows of older versions hold them as they were given; those are sealed once, at the start.

import type { Secrets } from '../auth/master-key.ts';
import type { CredentialConfig } from '../config/config.ts';
import type { Database } from '../db/database.ts';
import { sealedColumns } from '../db/sealed-columns.ts';
import { listPlainCredentials, type StoredCredential } from '../db/sources.ts';
import { SealError, type SealedPlace, type Sealer } from '../lib/seal.ts';
import { Secret } from '../lib/secret.ts';
import { type CredentialSource, fixedCredential, unusableCredential } from '../upstream/credentials.ts';

export interface SourcePlace {
  readonly registry: string;
  readonly url: string;
}

export function sealCredentials(
  credentials: readonly CredentialConfig[],
  place: SourcePlace,
  sealer: Pick<Sealer, 'seal'>,
): StoredCredential[] {
  return credentials.map(
    ({ password, ...rest }, index): StoredCredential => ({
      ...rest,
      ...(password === undefined ? {} : { sealed: sealer.seal(password, placeOf(place, index)) }),
    }),
  );
}

/** What is shown in the place of a stored password. */
export const hiddenPassword = new Secret('***');

/** Back from a row. Throws SealError. */
export function openCredentials(
  credentials: readonly StoredCredential[],
  place: SourcePlace,
  sealer: Pick<Sealer, 'open'>,
): CredentialConfig[] {
  return credentials.map(({ sealed, ...rest }, index) => ({
    ...rest,
    ...(sealed === undefined ? {} : { password: sealer.open(sealed, placeOf(place, index)) }),
  }));
}

/** The login with a sealed password. One that does not open makes every use of this login fail, and nothing else. */
export function sealedCredential(options: {
  readonly username: string;
  readonly sealed: string;
  readonly place: SourcePlace;
  readonly index: number;
  readonly sealer: Pick<Sealer, 'open'>;
  readonly id: string;
}): CredentialSource {
  const { username, id } = options;
  try {
    return fixedCredential(username, options.sealer.open(options.sealed, placeOf(options.place, options.index)), id);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return unusableCredential(id, `the stored password cannot be opened (${error.code}); give it again`);
  }
}

/** Seals the passwords that an older version wrote as they were. Gives how many rows had any. */
export async function sealStoredPasswords(database: Database, { sealer }: Secrets): Promise<number> {
  const column = sealedColumns.findIndex(({ table }) => table === 'source');
  const replacements = (await listPlainCredentials(database.read)).map(({ registry, url, text, credentials }) => {
    const sealed = credentials.map(({ password, ...rest }, index) => ({
      ...rest,
      ...(password === undefined ? {} : { sealed: sealer.seal(new Secret(password), placeOf({ registry, url }, index)) }),
    }));
    return { column, key: [registry, url], before: text, after: JSON.stringify(sealed) };
  });
  if (replacements.length > 0) await database.run('replaceSealed', { replacements });
  return replacements.length;
}

function placeOf({ registry, url }: SourcePlace, index: number): SealedPlace {
  return { table: 'source', row: `${registry} ${url}`, field: `credentials/${index}/sealed` };
}
