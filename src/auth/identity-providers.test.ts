import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProviderConfig } from '../config/config.ts';
import { readProviderSettings } from '../config/identity-schema.ts';
import type { Database } from '../db/database.ts';
import { openSqliteDatabase } from '../db/sqlite.ts';
import { createFakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { createSealer } from '../lib/seal.ts';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { createIdentityProviders, type IdentityProviders } from './identity-providers.ts';

const ldap = { urls: ['ldaps://a.example'], base_dn: 'dc=example', bind_dn: 'cn=reader,dc=example' };
const oidc = { issuer: 'https://issuer.example', client_id: 'breakwater' };
const secret = new Secret('plänty');

let database: Database;
let folder: string;
let lines: string[];
let open: (configured?: readonly ProviderConfig[], key?: Uint8Array) => IdentityProviders;
const key = randomBytes(32);
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-providers-'));
  database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  lines = [];
  open = (configured = [], masterKey = key) =>
    createIdentityProviders({
      database,
      configured,
      sealer: createSealer(masterKey),
      clock: createFakeClock(),
      log: createLog({ write: (line) => lines.push(line) }),
    });
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const codeOf = async (task: Promise<unknown>): Promise<string> => {
  try {
    await task;
    return 'done';
  } catch (error) {
    if (error instanceof OciError) return error.code;
    throw error;
  }
};
const corp = { name: 'corp', kind: 'ldap' as const, isEnabled: true, settings: ldap, secret };

describe('identity providers', () => {
  test('keep their secret sealed and give it to nobody but a connector', async () => {
    const made = await open().create(corp);
    expect(made.secret?.reveal()).toBe('plänty');
    expect(JSON.stringify(made)).not.toContain('plänty');
    const rows = await database.read.selectFrom('identity_provider').selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain('plänty');
    expect(rows[0]?.secret).toStartWith('v1:');
    // Another key: the provider is there, its secret is not.
    const [stranger] = await open([], randomBytes(32)).list();
    expect(stranger).toMatchObject({ name: 'corp', secret: undefined });
    expect(lines.join()).toContain('identity.secret-not-opened');
  });

  test('of the config file come first, hide their namesakes and cannot be changed', async () => {
    await open().create({ name: 'issuer', kind: 'oidc', isEnabled: true, settings: oidc });
    await open().create(corp);
    const settings = readProviderSettings('ldap', { ...ldap, base_dn: 'dc=file' });
    if ('issues' in settings) throw new Error('settings are not understood');
    const providers = open([{ ...settings, name: 'corp', isEnabled: true, secret }]);
    expect((await providers.list()).map((one) => [one.name, one.origin])).toEqual([
      ['corp', 'config'],
      ['issuer', 'api'],
    ]);
    expect(await codeOf(providers.change('corp', { isEnabled: false }))).toBe('CONFLICT');
    expect(await codeOf(providers.remove('corp'))).toBe('CONFLICT');
    expect(await codeOf(providers.create(corp))).toBe('CONFLICT');
  });

  test('ask for the secret again when it would go elsewhere or less protected (SEC-D09)', async () => {
    const providers = open();
    await providers.create(corp);
    for (const more of [
      { urls: ['ldaps://evil.example'] },
      { urls: ['ldaps://a.example', 'ldaps://evil.example'] },
      { urls: ['ldaps://a.example:1636'] },
      { urls: ['ldap://a.example'], allow_plaintext: true },
      { verify_certificate: false },
      { ca: '-----BEGIN CERTIFICATE-----' },
      { bind_dn: 'cn=other,dc=example' },
    ])
      expect([more, await codeOf(providers.change('corp', { settings: { ...ldap, ...more } }))]).toEqual([more, 'BAD_REQUEST']);
    expect((await providers.change('corp', { settings: { ...ldap, user_attribute: 'cn' } })).secret?.reveal()).toBe('plänty');
    const moved = await providers.change('corp', { settings: { ...ldap, urls: ['ldaps://b.example'] }, secret: new Secret('new') });
    expect(moved.secret?.reveal()).toBe('new');
  });

  test('SEC-I05: keep a secret that is not sent, and lose it only by null', async () => {
    const providers = open();
    await providers.create({ name: 'issuer', kind: 'oidc', isEnabled: true, settings: oidc, secret });
    expect((await providers.change('issuer', { settings: { ...oidc, logout: true } })).secret?.reveal()).toBe('plänty');
    expect((await providers.change('issuer', { isEnabled: false })).secret?.reveal()).toBe('plänty');
    expect((await providers.change('issuer', { secret: null })).secret).toBeUndefined();
  });

  test('a kept secret is not tried out on other servers', async () => {
    const providers = open();
    await providers.create(corp);
    expect((await providers.tryOut({ kind: 'ldap', settings: { ...ldap, user_attribute: 'cn' }, like: 'corp' })).secret?.reveal()).toBe(
      'plänty',
    );
    const elsewhere = { ...ldap, urls: ['ldaps://evil.example'] };
    expect(await codeOf(providers.tryOut({ kind: 'ldap', settings: elsewhere, like: 'corp' }))).toBe('BAD_REQUEST');
    expect((await providers.tryOut({ kind: 'ldap', settings: elsewhere, secret: new Secret('x') })).secret?.reveal()).toBe('x');
  });

  test('are refused when they make no sense', async () => {
    const providers = open();
    for (const more of [
      { name: 'local' },
      { name: 'Corp' },
      { name: '' },
      { settings: { ...ldap, urls: [] } },
      { settings: { ...ldap, unknown: 1 } },
      { settings: { ...ldap, ca_file: '/etc/passwd' } },
      { kind: 'oidc' as const },
      { settings: null },
    ])
      expect([more, await codeOf(providers.create({ ...corp, ...more }))]).toEqual([more, 'BAD_REQUEST']);
    const { secret: _, ...open_ } = corp;
    expect(await codeOf(providers.create(open_))).toBe('BAD_REQUEST');
    expect(await codeOf(providers.change('absent', {}))).toBe('NOT_FOUND');
    await providers.create(corp);
    expect(await codeOf(providers.change('corp', { secret: null }))).toBe('BAD_REQUEST');
    expect(await codeOf(providers.create(corp))).toBe('CONFLICT');
  });

  test('have another version after every change', async () => {
    const providers = open();
    const versions = [
      (await providers.create(corp)).version,
      (await providers.change('corp', { isEnabled: false })).version,
      (await providers.change('corp', { settings: ldap })).version,
    ];
    expect(new Set(versions).size).toBe(3);
  });
});
