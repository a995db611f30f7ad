import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSecrets } from '../auth/master-key.ts';
import { createPasswords } from '../auth/passwords.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { Database } from '../db/database.ts';
import { prepareLoginQuery } from '../db/identity.ts';
import { listProjects } from '../db/projects.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { systemClock } from '../lib/clock.ts';
import { bootstrap } from './bootstrap.ts';

let dataDir: string;
let file: string;
let database: Database;
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-boot-'));
  file = join(dataDir, 'admin.password');
  database = await openSqliteDatabase({ path: join(dataDir, 'db.sqlite'), onFatal: () => undefined });
});
afterEach(async () => {
  await database.close();
  rmSync(dataDir, { recursive: true, force: true });
});

function configOf(yaml: string): Config {
  const path = join(dataDir, 'config.yaml');
  writeFileSync(path, `data: ${dataDir}\n${yaml}`);
  return loadConfig({ file: path, env: {} });
}
const boot = async (yaml = 'presets: false', adminPassword?: string) => {
  const config = configOf(yaml);
  const secrets = await openSecrets({ database, config });
  return bootstrap({ database, config, secrets, ...(adminPassword === undefined ? {} : { adminPassword }) });
};
const opens = async (password: string): Promise<boolean> =>
  createPasswords({ clock: systemClock }).fits({
    name: 'admin',
    password,
    hash: (await prepareLoginQuery(database)('admin'))?.passwordHash,
  });

describe("the administrator's password", () => {
  test('is made at the first boot, kept for its owner alone, and stays', async () => {
    const { newAdminPassword } = await boot();
    expect(newAdminPassword).toMatch(/^[\w-]{22}$/);
    expect(readFileSync(file, 'utf8')).toBe(`${newAdminPassword}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await opens(newAdminPassword ?? '')).toBe(true);
    expect((await boot('presets: false', 'another password')).newAdminPassword).toBeUndefined();
    expect(await opens('another password')).toBe(false);
  });

  test('that was given is not kept in a file, not even one of a boot that broke off', async () => {
    writeFileSync(file, 'a password that opens nothing\n');
    expect((await boot('presets: false', 'a given password')).newAdminPassword).toBeUndefined();
    expect(existsSync(file)).toBe(false);
    expect(await opens('a given password')).toBe(true);
  });

  test('of a boot that broke off is used again', async () => {
    writeFileSync(file, 'made by the first boot\n');
    expect(await boot()).toMatchObject({ newAdminPassword: 'made by the first boot' });
    expect(await opens('made by the first boot')).toBe(true);
  });

  test('is made anew when the file holds nothing', async () => {
    writeFileSync(file, '\n');
    expect((await boot()).newAdminPassword).toMatch(/^[\w-]{22}$/);
    expect(await opens('')).toBe(false);
  });

  test('that is short, known or too long is refused, and nothing is made', async () => {
    const weak = ['', 'x', 'short', 'password', 'Password1!', 'PASSWORD', 'admin123', 'Harbor12345', 'changeme', '12345678', '1234567890'];
    weak.push('aaaaaaaa', 'abcabcabc', 'breakwater', 'x'.repeat(2000));
    for (const password of weak) await expect(boot('presets: false', password)).rejects.toThrow('BREAKWATER_ADMIN_PASSWORD');
    writeFileSync(file, 'password\n');
    await expect(boot()).rejects.toThrow(`${file} is widely known`);
    rmSync(file);
    expect((await boot()).newAdminPassword).toBeDefined();
  });
});

describe('the first projects', () => {
  const described = async (): Promise<string[]> =>
    (await listProjects(database.read)).map((project) => `${project.name} ${project.kind} ${project.isPublic ? 'public' : 'private'}`);
  const source = '{ url: "http://127.0.0.1:1" }';
  const guarded = '{ url: "http://127.0.0.1:2", credentials: { username: a, password: "b" } }';

  test('are library and a mirror of each registry', async () => {
    await boot(`presets: false\nregistries: { docker.io: { sources: [${source}] }, quay.io: { sources: [${source}] } }`);
    expect(await described()).toEqual(['docker.io mirror public', 'library overlay public', 'quay.io mirror public']);
  });

  test('are a local library where Docker Hub is not mirrored', async () => {
    await boot();
    expect(await described()).toEqual(['library local public']);
  });

  test('a mirror is public unless one of its sources has credentials, and as the configuration says when it says so', async () => {
    const registries = (settings: string): string => `presets: false\nregistries: { quay.io: { ${settings} } }`;
    const mirror = async (settings: string): Promise<string | undefined> => {
      await boot(registries(settings));
      return (await described()).find((line) => line.startsWith('quay.io'));
    };
    expect(await mirror(`sources: [${source}, ${guarded}]`)).toBe('quay.io mirror private');
    expect(await mirror(`sources: [${source}]`)).toBe('quay.io mirror public');
    expect(await mirror(`public: true, sources: [${guarded}]`)).toBe('quay.io mirror public');
    expect(await mirror(`public: false, sources: [${source}]`)).toBe('quay.io mirror private');
  });

  test('a library that somebody deleted stays deleted, and another project of a registry’s name stays as it is', async () => {
    await boot();
    await database.run('deleteProject', { name: 'library' });
    await database.run('createProject', { name: 'quay.io', kind: 'local', isPublic: false });
    await boot(`presets: false\nregistries: { quay.io: { sources: [${source}] } }`);
    expect(await described()).toEqual(['quay.io local private']);
  });
});
