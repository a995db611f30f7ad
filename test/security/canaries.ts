// Secrets that are told apart from everything else, and a look for them where they must not be.

import { randomBytes } from 'node:crypto';

export interface Canaries {
  /** A new secret for a field, long and strong enough for every rule. */
  plant(field: string): string;
  /** One that the server made itself. */
  adopt(field: string, secret: string): string;
  /** `FIELD in PLACE` for each secret that is in the text, as it is, in base64 or percent-encoded. */
  found(place: string, text: string | Uint8Array): string[];
  readonly fields: readonly string[];
}

export function createCanaries(): Canaries {
  const planted = new Map<string, readonly string[]>();
  const adopt = (field: string, secret: string): string => {
    if (secret.length < 12) throw new Error(`the secret of ${field} is too short to be looked for`);
    const bytes = Buffer.from(secret);
    // In base64 a text has one of three forms, by where it begins; the ends, which hold bits of its neighbours, are left out.
    const shifted = [0, 1, 2].map((shift) =>
      Buffer.concat([Buffer.alloc(shift), bytes])
        .toString('base64')
        .slice(shift === 0 ? 0 : 4)
        .replace(/..?=*$/, ''),
    );
    const forms = [secret, encodeURIComponent(secret), ...shifted.filter((form) => form.length >= 12)];
    planted.set(field, [...new Set([...(planted.get(field) ?? []), ...forms])]);
    return secret;
  };
  return {
    plant: (field) => adopt(field, `Canary${randomBytes(12).toString('hex')}Aa1!`),
    adopt,
    found: (place, text) => {
      const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
      return [...planted].flatMap(([field, forms]) => (forms.some((form) => bytes.includes(form)) ? [`${field} in ${place}`] : []));
    },
    get fields() {
      return [...planted.keys()];
    },
  };
}
