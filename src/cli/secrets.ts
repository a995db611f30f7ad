// `breakwater secrets status` reads the database beside a running server or without one; `rewrap` needs it stopped. Keys are told by their ids
// and never printed.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { checkKey, MasterKeyError, masterKeyPath, nextKey, readMasterKey, writeMasterKey } from '../auth/master-key.ts';
import { countSealed, rewrap } from '../auth/rewrap.ts';
import { writeSecretFile } from '../auth/secret-file.ts';
import { loadConfig } from '../config/load.ts';
import { lockDataFolder } from '../db/data-folder-lock.ts';
import { getMeta } from '../db/projects.ts';
import { openSqliteDatabase, readSqliteDatabase } from '../db/sqlite.ts';
import { masterKeyId, SealError, sealedWith } from '../lib/seal.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';

export interface StatusOptions {
  readonly config?: string;
  readonly data?: string;
  readonly json?: boolean;
}
export interface RewrapOptions extends StatusOptions {
  readonly newKeyFile: string;
}

/** Exit code 1 when the server would not start with this key. */
export async function showSecrets(options: StatusOptions, terminal: Terminal): Promise<void> {
  const { keyFile, databaseFile } = placesOf(options, terminal);
  requireDatabase(databaseFile);
  const { file, problem, keyId } = lookAtKey(keyFile);
  const found = await readSqliteDatabase(databaseFile, async (read) => ({
    check: await getMeta(read, checkKey),
    next: await getMeta(read, nextKey),
    counts: await countSealed(read),
  }));
  const databaseKeyId = found.check === undefined ? undefined : sealedWith(found.check);
  const nextKeyId = found.next === undefined ? undefined : sealedWith(found.next);
  const state = stateOf({ problem, keyId, databaseKeyId, nextKeyId });
  if (options.json === true) {
    await terminal.write(toJson({ state, keyFile: file, keyId, databaseKeyId, nextKeyId, values: found.counts }));
  } else {
    await terminal.write(
      [
        `state         ${state}`,
        `key file      ${file}${keyId === undefined ? ` (${problem ?? 'absent'})` : `, key ${keyId}`}`,
        `database      ${databaseKeyId === undefined ? 'not sealed yet' : `key ${databaseKeyId}`}`,
        ...(nextKeyId === undefined ? [] : [`re-wrap       to key ${nextKeyId}, unfinished`]),
        ...found.counts.map(({ table, keyId: sealedBy, values }) => `sealed        ${table}: ${values} under key ${sealedBy}`),
      ]
        .join('\n')
        .concat('\n'),
    );
  }
  if (state !== 'ok' && state !== 'new') throw new CommandFailure(`the server does not start like this: ${state}`);
}

/** Throws a CommandFailure when a server runs on the folder, a key is wrong, or a value does not open. */
export async function rewrapSecrets(options: RewrapOptions, terminal: Terminal): Promise<void> {
  const { keyFile, databaseFile, dataDir, isOwnFile } = placesOf(options, terminal);
  const newFile = resolve(options.newKeyFile);
  if (newFile === keyFile)
    throw new CommandFailure(`${newFile} is the file of the key that holds`, { hint: 'name another file', exitCode: 2 });
  requireDatabase(databaseFile);
  const lock = takeFolder(dataDir);
  try {
    const before = requireKey(keyFile);
    const isMade = !existsSync(newFile);
    const after = isMade ? makeKey(newFile) : requireKey(newFile);
    const database = await openSqliteDatabase({ path: databaseFile, onFatal: () => undefined });
    try {
      const { keyId, values } = await rewrap(database, { before, after });
      if (isOwnFile) writeSecretFile(keyFile, after.toString('base64'));
      const next = isOwnFile
        ? `${keyFile} holds it now`
        : `set master_key_file (or BREAKWATER_MASTER_KEY_FILE) to ${newFile} before the next start`;
      if (options.json === true) await terminal.write(toJson({ keyId, values, keyFile: isOwnFile ? keyFile : newFile, made: isMade }));
      else
        await terminal.write(`the master key is ${keyId}${isMade ? ', made just now' : ''}; ${values} values were sealed anew\n${next}\n`);
    } finally {
      await database.close();
    }
  } catch (error) {
    if (error instanceof SealError)
      throw new CommandFailure(`nothing was changed: ${error.message}`, {
        hint: 'give that secret again, or take it away, with the old key',
        cause: error,
      });
    if (error instanceof MasterKeyError) throw new CommandFailure(error.message, { cause: error });
    throw error;
  } finally {
    lock.release();
  }
}

interface Places {
  readonly dataDir: string;
  readonly keyFile: string;
  readonly databaseFile: string;
  /** The key is where the server puts it by itself. */
  readonly isOwnFile: boolean;
}

function placesOf(options: StatusOptions, { env }: Terminal): Places {
  const config = loadConfig({ file: options.config, env, overrides: { data: options.data } });
  return {
    dataDir: config.dataDir,
    keyFile: masterKeyPath(config),
    databaseFile: join(config.dataDir, 'db', 'breakwater.sqlite'),
    isOwnFile: config.masterKeyFile === undefined,
  };
}

function lookAtKey(file: string): { file: string; keyId?: string; problem?: string } {
  try {
    const key = readMasterKey(file);
    return key === undefined ? { file } : { file, keyId: masterKeyId(key) };
  } catch (error) {
    if (!(error instanceof MasterKeyError)) throw error;
    return { file, problem: error.code };
  }
}

function stateOf(seen: {
  problem: string | undefined;
  keyId: string | undefined;
  databaseKeyId: string | undefined;
  nextKeyId: string | undefined;
}): string {
  if (seen.nextKeyId !== undefined) return 'MASTER_KEY_REWRAP_UNFINISHED';
  if (seen.problem !== undefined) return seen.problem;
  if (seen.databaseKeyId === undefined) return 'new';
  if (seen.keyId === undefined) return 'MASTER_KEY_MISSING';
  return seen.keyId === seen.databaseKeyId ? 'ok' : 'MASTER_KEY_WRONG';
}

function requireKey(file: string): Buffer {
  const key = readMasterKey(file);
  if (key === undefined) throw new CommandFailure(`${file} is not there`, { hint: 'put the key that holds into it' });
  return key;
}

function makeKey(file: string): Buffer {
  try {
    return writeMasterKey(file);
  } catch (cause) {
    throw new CommandFailure(`${file} cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function requireDatabase(file: string): void {
  if (!existsSync(file))
    throw new CommandFailure(`there is no database at ${file}`, { hint: 'name the data folder of the server with --data DIR' });
}

function takeFolder(dataDir: string): { release(): void } {
  try {
    return lockDataFolder(dataDir);
  } catch (cause) {
    throw new CommandFailure(cause instanceof Error ? cause.message : String(cause), { hint: 'stop the server first', cause });
  }
}
