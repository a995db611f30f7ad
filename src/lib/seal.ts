// Secrets at rest: AES-256-GCM under keys derived from one master key. A sealed value opens only at the place it was sealed for (table, row,
// field), so that two of them cannot be swapped; a changed or cut one does not open at all. It must never give back what it could not verify,
// and never the sealed text as if it were the value. NIST SP 800-38D; RFC 5869.
//
//   v1:<key id>:<base64 of: 12 bytes nonce | ciphertext | 16 bytes tag>
//   key of a table      HKDF-SHA256(master key, info = "breakwater/v1/seal/<table>")
//   additional data     version, key id, table, row, field, each with its length before it

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { Secret } from './secret.ts';

/** Where a sealed value is kept. All of it must be known before the value is sealed. */
export interface SealedPlace {
  readonly table: string;
  /** What names the row and does not change: a natural key rather than a number that the insert gives. */
  readonly row: string;
  /** The column; inside a JSON column the way to the member: `settings/bind_password`. */
  readonly field: string;
}

export interface Sealer {
  /** Of the key that seals; 8 hex digits. It tells nothing of the key. */
  readonly keyId: string;
  /** Two seals of one text differ. */
  seal(text: Secret, place: SealedPlace): string;
  /** Throws SealError: `other-key`, `broken` (changed, cut, or of another place), `no-seal`. */
  open(sealed: string, place: SealedPlace): Secret;
}

export type SealErrorCode = 'no-seal' | 'other-key' | 'broken';

export class SealError extends Error {
  override readonly name = 'SealError';
  readonly code: SealErrorCode;

  constructor(code: SealErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export const masterKeyBytes = 32;
const version = 'v1';
const nonceBytes = 12;
const tagBytes = 16;
const form = /^v1:([0-9a-f]{8}):([A-Za-z0-9+/]+={0,2})$/;

/** Seals and opens with this master key of 32 bytes. */
export function createSealer(masterKey: Uint8Array): Sealer {
  if (masterKey.byteLength !== masterKeyBytes) throw new RangeError(`a master key has ${masterKeyBytes} bytes`);
  const keyId = masterKeyId(masterKey);
  const keys = new Map<string, Buffer>();
  const keyOf = (table: string): Buffer => {
    const known = keys.get(table);
    if (known !== undefined) return known;
    const key = deriveKey(masterKey, `seal/${table}`);
    keys.set(table, key);
    return key;
  };
  return {
    keyId,
    seal: (text, place) => {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', keyOf(place.table), nonce);
      cipher.setAAD(additionalData(keyId, place));
      const body = Buffer.concat([nonce, cipher.update(text.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${version}:${keyId}:${body.toString('base64')}`;
    },
    open: (sealed, place) => {
      const [, sealedBy, encoded = ''] = form.exec(sealed) ?? [];
      if (sealedBy === undefined) throw new SealError('no-seal', `${nameOf(place)} holds no sealed value`);
      if (sealedBy !== keyId)
        throw new SealError('other-key', `${nameOf(place)} is sealed with the master key ${sealedBy}, not with ${keyId}`);
      const body = Buffer.from(encoded, 'base64');
      // Decoding forgives what encoding never makes: only one text of a value opens.
      if (body.byteLength < nonceBytes + tagBytes || body.toString('base64') !== encoded) throw broken(place);
      const decipher = createDecipheriv('aes-256-gcm', keyOf(place.table), body.subarray(0, nonceBytes), { authTagLength: tagBytes });
      decipher.setAAD(additionalData(keyId, place));
      decipher.setAuthTag(body.subarray(-tagBytes));
      try {
        const text = Buffer.concat([decipher.update(body.subarray(nonceBytes, -tagBytes)), decipher.final()]);
        return new Secret(text.toString('utf8'));
      } catch {
        throw broken(place);
      }
    },
  };
}

/** Says which key it is without telling it: 8 hex digits. */
export function masterKeyId(masterKey: Uint8Array): string {
  return deriveKey(masterKey, 'id').toString('hex').slice(0, 8);
}

/** The id of the key that a value was sealed with; undefined for any other text. */
export function sealedWith(text: string): string | undefined {
  return form.exec(text)?.[1];
}

/** A hash that only the holder of `key` can make: for telling whether a secret changed without keeping one. 64 hex digits. */
export function fingerprint(key: Secret, text: string): string {
  return createHmac('sha256', key.reveal()).update(text).digest('hex');
}

function deriveKey(masterKey: Uint8Array, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, new Uint8Array(), `breakwater/${version}/${label}`, 32));
}

function additionalData(keyId: string, { table, row, field }: SealedPlace): Buffer {
  const parts = [version, keyId, table, row, field].map((text) => Buffer.from(text));
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.byteLength);
      return [length, part];
    }),
  );
}

function broken(place: SealedPlace): SealError {
  return new SealError('broken', `${nameOf(place)} was changed, cut or moved since it was sealed`);
}

function nameOf({ table, row, field }: SealedPlace): string {
  return `${table} ${row} ${field}`;
}
