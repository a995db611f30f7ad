// The master key: read or made, and compared with the database before anything is opened with it. A server whose key is not the one that
// sealed its database does not start, and makes no new one over it: what is sealed would be lost. The key itself is never in the database.
//
//   <data>/master.key, or the file of `master_key_file`     32 bytes, as base64 or 64 hex digits; mode 0600
//   meta 'master-key-check'      a known text, sealed: tells the right key from a wrong one
//   meta 'master-key-next'       the same, sealed with the key of a re-wrap that is under way
//   meta 'fingerprint-key'       sealed; survives a change of the master key, so that fingerprints do

import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Database } from '../db/database.ts';
import { getMeta } from '../db/projects.ts';
import { createSealer, masterKeyBytes, SealError, type SealedPlace, type Sealer, sealedWith } from '../lib/seal.ts';
import { Secret } from '../lib/secret.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

const masterKeyFile = 'master.key';

/** What secrets are kept with. */
export interface Secrets {
  readonly sealer: Sealer;
  /** For fingerprints of secrets (lib/seal.ts). */
  readonly fingerprintKey: Secret;
  readonly masterKey: { readonly file: string; readonly isInDataFolder: boolean; readonly isReadableByOthers: boolean };
}

export type MasterKeyErrorCode =
  | 'MASTER_KEY_MISSING'
  | 'MASTER_KEY_UNREADABLE'
  | 'MASTER_KEY_INVALID'
  | 'MASTER_KEY_WRONG'
  | 'MASTER_KEY_REWRAP_UNFINISHED';

/** Why the server does not start. */
export class MasterKeyError extends Error {
  override readonly name = 'MasterKeyError';
  readonly code: MasterKeyErrorCode;

  constructor(code: MasterKeyErrorCode, message: string, options?: { cause: unknown }) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}

const knownText = 'breakwater';
const metaPlace = (key: string): SealedPlace => ({ table: 'meta', row: key, field: 'value' });
export const checkKey = 'master-key-check';
export const nextKey = 'master-key-next';
const fingerprintKeyName = 'fingerprint-key';

/** The file of the key, by configuration. */
export function masterKeyPath(config: { readonly dataDir: string; readonly masterKeyFile?: string }): string {
  return config.masterKeyFile ?? join(config.dataDir, masterKeyFile);
}

/** Reads the key, made when this database has never had one, and checks it. Throws MasterKeyError. */
export async function openSecrets(options: {
  readonly database: Database;
  readonly config: { readonly dataDir: string; readonly masterKeyFile?: string };
}): Promise<Secrets> {
  const { database, config } = options;
  const file = masterKeyPath(config);
  const check = await getMeta(database.read, checkKey);
  const next = await getMeta(database.read, nextKey);
  if (next !== undefined) {
    throw new MasterKeyError(
      'MASTER_KEY_REWRAP_UNFINISHED',
      `the change to the master key ${sealedWith(next) ?? ''} was not finished; run the same \`breakwater secrets rewrap\` again`,
    );
  }
  const key = readMasterKey(file) ?? createMasterKey(file, check);
  const sealer = createSealer(key);
  if (check === undefined) await database.run('setMeta', { key: checkKey, value: sealCheck(sealer) });
  else requireOwnKey(sealer, check, file);
  return {
    sealer,
    fingerprintKey: await openFingerprintKey(database, sealer),
    masterKey: {
      file,
      isInDataFolder: config.masterKeyFile === undefined || dirname(file) === config.dataDir,
      isReadableByOthers: (statSync(file).mode & 0o007) !== 0,
    },
  };
}

/** The key in the file; undefined when there is no file. Throws MasterKeyError `UNREADABLE`, `INVALID`. */
export function readMasterKey(file: string): Buffer | undefined {
  let text: string | undefined;
  try {
    if (!existsSync(file)) return undefined;
    text = readSecretFile(file);
  } catch (cause) {
    throw new MasterKeyError('MASTER_KEY_UNREADABLE', `${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
  const key = text === undefined ? undefined : parseMasterKey(text);
  if (key === undefined)
    throw new MasterKeyError(
      'MASTER_KEY_INVALID',
      `${file} holds no master key; expected ${masterKeyBytes} bytes as base64 or as 64 hex digits (openssl rand -base64 32)`,
    );
  return key;
}

/** 32 bytes as base64, base64url or hex; undefined for anything else, and for a key that is no secret. */
export function parseMasterKey(text: string): Buffer | undefined {
  const key = /^[0-9a-fA-F]{64}$/.test(text)
    ? Buffer.from(text, 'hex')
    : /^[A-Za-z0-9+/_-]{43}=?$/.test(text)
      ? Buffer.from(text, 'base64')
      : undefined;
  if (key?.byteLength !== masterKeyBytes) return undefined;
  // `openssl rand` does not give these; a template does.
  return new Set(key).size < 8 ? undefined : key;
}

/** Makes a key in a file that must not exist, mode 0600, durable. */
export function writeMasterKey(file: string): Buffer {
  const key = randomBytes(masterKeyBytes);
  writeSecretFile(file, key.toString('base64'));
  return key;
}

/** A text that opens under this key only. */
export function sealCheck(sealer: Sealer, key: string = checkKey): string {
  return sealer.seal(new Secret(knownText), metaPlace(key));
}

/** Whether the check of a database was sealed with this key. */
export function opensCheck(sealer: Sealer, check: string, key: string = checkKey): boolean {
  try {
    return sealer.open(check, metaPlace(key)).reveal() === knownText;
  } catch (error) {
    if (error instanceof SealError) return false;
    throw error;
  }
}

function createMasterKey(file: string, check: string | undefined): Buffer {
  if (check !== undefined) {
    throw new MasterKeyError(
      'MASTER_KEY_MISSING',
      `${file} is not there, and this database is sealed with the master key ${sealedWith(check) ?? 'of another version'}; put that file back`,
    );
  }
  try {
    return writeMasterKey(file);
  } catch (cause) {
    throw new MasterKeyError('MASTER_KEY_UNREADABLE', `${file} cannot be made: ${messageOf(cause)}`, { cause });
  }
}

function requireOwnKey(sealer: Sealer, check: string, file: string): void {
  if (opensCheck(sealer, check)) return;
  const sealedBy = sealedWith(check);
  throw new MasterKeyError(
    'MASTER_KEY_WRONG',
    `this database is sealed with the master key ${sealedBy ?? 'of another version'}, and ${file} holds ${sealer.keyId}; put the right file there`,
  );
}

async function openFingerprintKey(database: Database, sealer: Sealer): Promise<Secret> {
  const place = metaPlace(fingerprintKeyName);
  const known = await getMeta(database.read, fingerprintKeyName);
  if (known !== undefined) return sealer.open(known, place);
  const key = new Secret(randomBytes(32).toString('base64'));
  await database.run('setMeta', { key: fingerprintKeyName, value: sealer.seal(key, place) });
  return key;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
