// Password checks: argon2id on Bun's thread pool, few at a time, and a short memory of credentials that were right, because clients
// send Basic with every request. Unknown names cost what known ones cost.

import { createHmac, randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { OciError } from '../oci/errors.ts';

/** What a password may have at most; longer ones are refused before they cost anything. They are compared byte for byte, as UTF-8. */
export const passwordMaxBytes = 1024;
const nameMaxLength = 255;
const rememberMs = 5 * 60 * 1000;
const parameters = { algorithm: 'argon2id', memoryCost: 19_456, timeCost: 2 } as const;

export interface Passwords {
  /**
   * Whether the password is the one of the hash. An undefined hash stands for an unknown name or one without a password: nothing fits it, at the
   * same cost. TOOMANYREQUESTS when too many checks wait.
   */
  fits(login: { readonly name: string; readonly password: string; readonly hash: string | undefined }): Promise<boolean>;
}

export function hashPassword(password: string): Promise<string> {
  return Bun.password.hash(password, parameters);
}

/** Checks at the same time: two, but never on every core, so that one is left for serving. */
const slotsDefault = Math.max(1, Math.min(2, availableParallelism() - 1));

export function createPasswords(options: { clock: Clock; slots?: number }): Passwords {
  const slots = createSemaphore({ places: options.slots ?? slotsDefault, queueMax: 32 });
  const key = randomBytes(32);
  const remembered = createLru<string, { readonly hash: string; readonly untilMs: number }>({ maxEntries: 10_000 });
  // Fifty clients of one build log in at once with the same password: one check answers all.
  const checks = createSingleFlight<boolean>();
  let decoy: Promise<string> | undefined;
  return {
    fits: async ({ name, password, hash }) => {
      if (Buffer.byteLength(password) > passwordMaxBytes || name.length > nameMaxLength) return false;
      const mark = createHmac('sha256', key).update(`${name.length}:${name}:${password}`).digest('base64');
      const memory = remembered.get(mark);
      if (hash !== undefined && memory !== undefined && memory.hash === hash && memory.untilMs > options.clock.monotonicMs()) return true;
      decoy ??= hashPassword(randomBytes(16).toString('hex'));
      const compared = hash ?? (await decoy);
      const fits = await checks
        .run(`${mark} ${compared}`, () => slots.run(() => Bun.password.verify(password, compared)))
        .catch((error) => {
          if (!(error instanceof LimitError)) throw error;
          throw new OciError('TOOMANYREQUESTS', 'too many logins at once; try again shortly', { cause: error, retryAfterMs: 1000 });
        });
      if (hash === undefined || !fits) return false;
      remembered.set(mark, { hash, untilMs: options.clock.monotonicMs() + rememberMs });
      return true;
    },
  };
}
