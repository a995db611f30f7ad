// What a data folder needs before it serves: the administrator, the project `library`, the sources of the configuration and a mirror project of
// each registry.
// Repeating it changes nothing that a person has changed since.

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Secrets } from '../auth/master-key.ts';
import { passwordProblem } from '../auth/password-rules.ts';
import { hashPassword } from '../auth/passwords.ts';
import { readSecretFile, writeSecretFile } from '../auth/secret-file.ts';
import type { Config } from '../config/config.ts';
import type { Database } from '../db/database.ts';
import { prepareLoginQuery } from '../db/identity.ts';
import { getMeta } from '../db/projects.ts';
import type { SeedReport } from '../db/source-seeds.ts';
import { seedsOf } from './source-values.ts';

export const adminPasswordFile = 'admin.password';

export interface Bootstrapped {
  /** The administrator's secret when it was made just now. */
  readonly newAdminPassword?: string;
  /** What the configuration changed of the sources. */
  readonly seeded: SeedReport;
}

/**
 * Ties the database to its blob store. Throws when the store is another one, which is what an empty mount point looks like: pushes would be
 * acknowledged beside it and every stored blob would seem to be gone.
 */
export async function requireOwnStore(database: Database, storeIdentity: string): Promise<void> {
  const known = await getMeta(database.read, 'blob-store');
  if (known === undefined) await database.run('setMeta', { key: 'blob-store', value: storeIdentity });
  else if (known !== storeIdentity) {
    throw new Error(
      'the blobs folder is not the one this database belongs to: is its volume mounted? Mount it, or restore blobs and database together',
    );
  }
}

/** `adminPassword` counts at the first boot only; throws when it is a known or short one. */
export async function bootstrap(options: {
  database: Database;
  config: Config;
  secrets: Secrets;
  adminPassword?: string;
}): Promise<Bootstrapped> {
  const { database, config } = options;
  const newAdminPassword = (await prepareLoginQuery(database)('admin')) === undefined ? await createAdmin(options) : undefined;
  const seeded = await database.run('reconcileSources', { registries: seedsOf(config, options.secrets) });
  if ((await getMeta(database.read, 'first-boot')) === undefined) {
    const isMirrored = config.registries.has('docker.io');
    await database.run('createProject', {
      name: 'library',
      kind: isMirrored ? 'overlay' : 'local',
      isPublic: true,
      ifAbsent: true,
      ...(isMirrored ? { registry: 'docker.io' } : {}),
    });
    await database.run('setMeta', { key: 'first-boot', value: new Date().toISOString() });
  }
  return { seeded, ...(newAdminPassword === undefined ? {} : { newAdminPassword }) };
}

async function createAdmin({
  database,
  config,
  adminPassword,
}: {
  database: Database;
  config: Config;
  adminPassword?: string;
}): Promise<string | undefined> {
  const file = join(config.dataDir, adminPasswordFile);
  if (adminPassword !== undefined) {
    requireUsable(adminPassword, 'BREAKWATER_ADMIN_PASSWORD');
    await database.run('createAccount', { name: 'admin', passwordHash: await hashPassword(adminPassword), isAdmin: true });
    // A boot that broke off may have left one that opens nothing now.
    rmSync(file, { force: true });
    return undefined;
  }
  // The file comes first: a crash between the two finds it again.
  const known = readSecretFile(file);
  if (known !== undefined) requireUsable(known, file);
  const password = known ?? randomBytes(16).toString('base64url');
  if (known === undefined) writeSecretFile(file, password);
  await database.run('createAccount', { name: 'admin', passwordHash: await hashPassword(password), isAdmin: true });
  return password;
}

function requireUsable(password: string, where: string): void {
  const problem = passwordProblem(password, 'admin');
  if (problem !== undefined) throw new Error(`${where} ${problem}; or leave it out to have one made`);
}
