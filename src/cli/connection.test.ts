// Which server and which password a command takes, from what it is given.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../lib/secret.ts';
import { adminPasswordFile as serversFile } from '../registry/bootstrap.ts';
import { adminPasswordFile, type Connection, type ConnectionOptions, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-connection-'));
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data/admin.password'), 'from-data\n');
  writeFileSync(join(folder, 'password'), 'with spaces \n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function resolve(options: Partial<ConnectionOptions> = {}, env: Record<string, string> = {}): Promise<Connection> {
  return resolveConnection({ user: 'admin', ...options }, { env, write: async () => undefined, warn: async () => undefined });
}

async function passwordOf(options: Partial<ConnectionOptions>, env: Record<string, string> = {}): Promise<string> {
  const { password } = await resolve({ url: 'http://h', ...options }, env);
  return password instanceof Secret ? password.reveal() : password.message;
}

async function urlOf(yaml: string, env: Record<string, string> = {}): Promise<string> {
  const config = join(folder, 'config.yaml');
  writeFileSync(config, yaml);
  return (await resolve({ config }, env)).url;
}

test('the password file of the server and of the commands is the same', () => {
  expect(adminPasswordFile).toBe(serversFile);
});

test('the option wins over the environment, which wins over the configuration', async () => {
  const env = { BREAKWATER_URL: 'http://from-env:1' };
  expect((await resolve({ url: 'http://from-option:2/' }, env)).url).toBe('http://from-option:2');
  expect((await resolve({}, env)).url).toBe('http://from-env:1');
  expect((await resolve()).url).toBe('http://127.0.0.1:5000');
  expect((await resolve({}, { BREAKWATER_LISTEN: '127.0.0.1:7000' })).url).toBe('http://127.0.0.1:7000');
});

test('the address comes from where the server listens', async () => {
  expect(await urlOf('listen: 0.0.0.0:81')).toBe('http://127.0.0.1:81');
  expect(await urlOf('listen: "[::]:82"')).toBe('http://[::1]:82');
  expect(await urlOf('listen: "[fd00::1]:83"')).toBe('http://[fd00::1]:83');
  expect(await urlOf('listen: registry.lan:84')).toBe('http://registry.lan:84');
  expect(await urlOf('external_url: https://registry.example.com')).toBe('http://127.0.0.1:5000');
  const pem = join(folder, 'cert.pem');
  writeFileSync(pem, '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n');
  const tls = `tls: { certificate: ${pem}, private_key: ${pem} }`;
  expect(await urlOf(tls)).toBe('https://127.0.0.1:5000');
  expect(await urlOf(`${tls}\nexternal_url: https://registry.example.com`)).toBe('https://registry.example.com');
});

test('a port that the system chooses must be named', async () => {
  await expect(urlOf('listen: 127.0.0.1:0')).rejects.toThrow('lets the system choose the port');
});

test('a URL that is not understood is a usage failure, and its user part is not shown', async () => {
  for (const url of ['127.0.0.1:5000', 'ftp://x', 'http://admin:secret@host', 'http://host/?a=b', 'http://']) {
    const failure = await resolve({ url }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailure);
    expect((failure as CommandFailure).exitCode).toBe(2);
    expect((failure as CommandFailure).message).not.toContain('secret');
  }
});

test('the password file wins over the environment, which wins over the data folder; one line break does not count', async () => {
  const data = join(folder, 'data');
  expect(await passwordOf({ passwordFile: join(folder, 'password'), data }, { BREAKWATER_PASSWORD: 'from-env' })).toBe('with spaces ');
  expect(await passwordOf({ data }, { BREAKWATER_PASSWORD: 'from-env' })).toBe('from-env');
  expect(await passwordOf({ data })).toBe('from-data');
  expect(await passwordOf({}, { BREAKWATER_DATA: data })).toBe('from-data');
});

test('a missing default password is told later, a missing named file at once', async () => {
  expect(await passwordOf({ data: join(folder, 'none') })).toContain('none/admin.password does not exist');
  expect(await passwordOf({ user: 'somebody', data: join(folder, 'data') })).toBe('there is no password for the user somebody');
  await expect(passwordOf({ passwordFile: join(folder, 'none') })).rejects.toThrow('there is no such file');
  await expect(resolve({ url: 'https://h', caFile: join(folder, 'none') })).rejects.toThrow('--ca-file');
});

test('a configuration that cannot be used is told with its place, and how to do without it', async () => {
  const failure = await urlOf('listen: nonsense').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CommandFailure);
  expect((failure as CommandFailure).message).toContain('config.yaml:1: listen:');
  expect((failure as CommandFailure).hint).toContain('--url');
});
