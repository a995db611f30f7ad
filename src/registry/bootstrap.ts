// What a data folder needs before it serves: the administrator, the project `library`, one mirror project per configured registry.
// Repeating it changes nothing that a person has changed since.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashPassword } from '../auth/passwords.ts';
import type { Config } from '../config/config.ts';
import type { Database } from '../db/database.ts';
import { prepareLoginQuery } from '../db/identity.ts';
import { getMeta } from '../db/projects.ts';

const weakPasswords: ReadonlySet<string> = new Set(['harbor12345', 'admin', 'password', 'changeme', '12345678', 'breakwater']);
export const adminPasswordFile = 'admin.password';

export interface Bootstrapped {
  /** The administrator's secret when it was made just now. */
  readonly newAdminPassword?: string;
}

/** `adminPassword` counts at the first boot only; throws when it is a known or short one. */
export async function bootstrap(options: { database: Database; config: Config; adminPassword?: string }): Promise<Bootstrapped> {
  const { database, config } = options;
  const newAdminPassword = (await prepareLoginQuery(database)('admin')) === undefined ? await createAdmin(options) : undefined;
  for (const [registry, { sources, isPublic }] of config.registries) {
    // What credentials open is not for everybody unless the operator says so.
    await database.run('ensureMirrorProject', {
      registry,
      isPublic: isPublic ?? sources.every((source) => source.credentials === undefined),
    });
  }
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
  return newAdminPassword === undefined ? {} : { newAdminPassword };
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
  if (adminPassword !== undefined) {
    if (adminPassword.length < 8 || weakPasswords.has(adminPassword.toLowerCase())) {
      throw new Error(
        'BREAKWATER_ADMIN_PASSWORD is too short or widely known; use at least 8 characters, or leave it out to have one made',
      );
    }
    await database.run('createAccount', { name: 'admin', passwordHash: await hashPassword(adminPassword), isAdmin: true });
    return undefined;
  }
  // The file comes first: a crash between the two finds it again.
  const file = join(config.dataDir, adminPasswordFile);
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(16).toString('base64url')}\n`, { mode: 0o600 });
  const password = readFileSync(file, 'utf8').trim();
  await database.run('createAccount', { name: 'admin', passwordHash: await hashPassword(password), isAdmin: true });
  return password;
}
