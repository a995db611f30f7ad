// What the admin API may name on this machine as the place of a password. Who may change sources is not, for that, allowed to run programs as the
// server or to have it send any file of it to a host of their choice: the operator lists what may be named (`api_credentials`). Pure.

import { isAbsolute, normalize, sep } from 'node:path';
import type { ApiCredentialsConfig } from '../config/config.ts';
import type { StoredCredential } from '../db/sources.ts';
import { OciError } from '../oci/errors.ts';

/** BAD_REQUEST, saying what to add to the config file, for a place that is not listed. */
export function requirePermitted(credentials: readonly StoredCredential[], permitted: ApiCredentialsConfig): void {
  for (const { passwordFile, passwordEnv, helper } of credentials) {
    if (passwordFile !== undefined && !isInFolder(passwordFile, permitted.folders)) {
      refuse(`password_file: ${passwordFile} is in no folder of api_credentials.folders`);
    }
    if (passwordEnv !== undefined && !permitted.environment.includes(passwordEnv))
      refuse(`password_env: ${passwordEnv} is not in api_credentials.environment`);
    const program = helper?.[0];
    if (program !== undefined && !permitted.helpers.includes(program)) refuse(`helper: ${program} is not in api_credentials.helpers`);
  }
}

function isInFolder(path: string, folders: readonly string[]): boolean {
  return (
    isAbsolute(path) && normalize(path) === path && folders.some((folder) => path.startsWith(folder.endsWith(sep) ? folder : folder + sep))
  );
}

function refuse(what: string): never {
  throw new OciError('BAD_REQUEST', `${what}; the config file must list what the API may name. A password itself can be given as password`);
}
