// The Ed25519 keys of registry tokens: one signs, those it replaced are believed as long as a token of theirs can live. All servers of a database
// share them; a key that another server made is found when its first token comes. A key is changed every 30 days, and whenever that is asked for.
// Which key a token is checked with depends on its whole header being the one we write for that key: nothing in it is ever interpreted.

import { randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import type { Database } from '../db/database.ts';
import { listTokenKeys, type StoredTokenKey } from '../db/token-keys.ts';
import type { Clock } from '../lib/clock.ts';
import type { Sealer } from '../lib/seal.ts';
import { Secret } from '../lib/secret.ts';
import { createSingleFlight } from '../lib/single-flight.ts';

export const keyAgeMaxMs = 30 * 24 * 60 * 60 * 1000;
/** What other servers did is noticed so much later at most. */
const refreshMs = 2000;
/** Tokens with a header nobody knows make the keys be read anew this often at most. */
const missMs = 500;

type Imported = Awaited<ReturnType<typeof importJWK>>;

export interface TokenKey {
  readonly id: string;
  /** Its protected header, encoded: the first part of its tokens. */
  readonly header: string;
  readonly privateKey: Imported;
  readonly publicKey: Imported;
  readonly createdAtMs: number;
  /** Undefined: it signs. */
  readonly retiresAtMs: number | undefined;
}

export interface TokenKeys {
  /** The key that signs now. */
  signer(): TokenKey;
  /** The key whose tokens begin so; undefined when it is unknown or has retired. */
  byHeader(header: string): Promise<TokenKey | undefined>;
  /** Whether what this key signed still counts. */
  isActive(id: string): boolean;
  /** A new key signs from now on. The old one is believed until its tokens have ended; with `revoke` no longer. Gives the new key's id. */
  rotate(options?: { readonly revoke?: boolean }): Promise<string>;
  /** The youngest first. */
  list(): readonly TokenKey[];
}

/** Where keys are kept. Private keys are given and taken as JWK texts. */
export interface TokenKeyStore {
  list(): Promise<readonly StoredTokenKey[]>;
  /** False when the youngest is not `youngest` any more. */
  add(key: { id: string; privateKey: string; youngest: string | null; othersRetireAtMs: number }): Promise<boolean>;
}

export function databaseKeyStore(database: Database, sealer: Sealer): TokenKeyStore {
  const placeOf = (id: string) => ({ table: 'token_key', row: id, field: 'private_key' });
  return {
    list: async () =>
      (await listTokenKeys(database.read)).map((key) => ({ ...key, privateKey: sealer.open(key.privateKey, placeOf(key.id)).reveal() })),
    add: (key) => database.run('addTokenKey', { ...key, privateKey: sealer.seal(new Secret(key.privateKey), placeOf(key.id)) }),
  };
}

/** Reads the keys, and makes the first one. `overlapMs`: how long a replaced key is believed. */
export async function openTokenKeys(options: {
  store: TokenKeyStore;
  clock: Clock;
  overlapMs: number;
  onError?: (error: unknown) => void;
}): Promise<TokenKeys> {
  const { store, clock, overlapMs, onError = () => undefined } = options;
  const flights = createSingleFlight<void>();
  const imported = new Map<string, TokenKey>();
  let keys: readonly TokenKey[] = [];
  let readAtMs = 0;

  const read = (): Promise<void> =>
    flights.run('read', async () => {
      readAtMs = clock.monotonicMs();
      const stored = await store.list();
      keys = await Promise.all(
        stored.map(async (key) => {
          const known = imported.get(key.id) ?? (await importKey(key));
          const retiresAtMs = key.retiresAtMs ?? undefined;
          return { ...known, retiresAtMs };
        }),
      );
      imported.clear();
      for (const key of keys) imported.set(key.id, key);
    });
  const rotate = async (revoke: boolean): Promise<string> => {
    for (let turn = 0; turn < 5; turn++) {
      const youngest = keys[0]?.id ?? null;
      const key = await makeKey();
      const othersRetireAtMs = clock.nowMs() + (revoke ? 0 : overlapMs);
      const isAdded = await store.add({ ...key, youngest, othersRetireAtMs });
      await read();
      if (isAdded) return key.id;
      // Another server did it at the same time: its key will do, unless everything before it must end.
      if (!revoke && keys[0] !== undefined) return keys[0].id;
    }
    throw new Error('the keys of tokens are being changed by somebody else all the time');
  };
  /** In the background: nobody waits for what is checked every now and then. */
  const refresh = (): void => {
    if (clock.monotonicMs() - readAtMs < refreshMs) return;
    void flights
      .run('refresh', async () => {
        await read();
        const signer = keys[0];
        if (signer !== undefined && clock.nowMs() - signer.createdAtMs > keyAgeMaxMs) await rotate(false);
      })
      .catch(onError);
  };
  const isAlive = (key: TokenKey): boolean => key.retiresAtMs === undefined || key.retiresAtMs > clock.nowMs();

  await read();
  if (keys.length === 0) await rotate(false);
  return {
    signer: () => {
      refresh();
      const [signer] = keys;
      if (signer === undefined) throw new Error('there is no key to sign tokens with');
      return signer;
    },
    byHeader: async (header) => {
      refresh();
      const find = (): TokenKey | undefined => keys.find((key) => key.header === header && isAlive(key));
      const found = find();
      if (found !== undefined || clock.monotonicMs() - readAtMs < missMs) return found;
      await read().catch(onError);
      return find();
    },
    isActive: (id) => {
      refresh();
      const key = imported.get(id);
      return key !== undefined && isAlive(key);
    },
    rotate: async ({ revoke = false } = {}) => rotate(revoke),
    list: () => keys.filter(isAlive),
  };
}

async function makeKey(): Promise<{ readonly id: string; readonly privateKey: string }> {
  const id = randomBytes(8).toString('hex');
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { id, privateKey: JSON.stringify(await exportJWK(privateKey)) };
}

async function importKey(stored: StoredTokenKey): Promise<TokenKey> {
  const jwk = JSON.parse(stored.privateKey) as JWK;
  const { d: _private, ...publicPart } = jwk;
  return {
    id: stored.id,
    header: Buffer.from(JSON.stringify(headerOf(stored.id))).toString('base64url'),
    privateKey: await importJWK(jwk, 'EdDSA'),
    publicKey: await importJWK(publicPart, 'EdDSA'),
    createdAtMs: stored.createdAtMs,
    retiresAtMs: stored.retiresAtMs ?? undefined,
  };
}

/** The protected header of a key's tokens, its members in this order. */
export function headerOf(id: string): { readonly alg: 'EdDSA'; readonly kid: string; readonly typ: 'JWT' } {
  return { alg: 'EdDSA', kid: id, typ: 'JWT' };
}
