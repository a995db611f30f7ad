// Password checks: argon2id on Bun's thread pool, few at a time, and a short memory of credentials that were right, because clients
// send Basic with every request. Unknown names cost what known ones cost.

import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { OciError } from '../oci/errors.ts';
import type { Principal } from './principal.ts';

/** What a password may have at most; longer ones are refused before they cost anything. They are compared byte for byte, as UTF-8. */
export const passwordMaxBytes = 1024;
const nameMaxLength = 255;
const rememberMs = 5 * 60 * 1000;
const parameters = { algorithm: 'argon2id', memoryCost: 19_456, timeCost: 2 } as const;

export interface StoredAccount {
  readonly id: number;
  readonly name: string;
  readonly passwordHash: string;
  readonly isAdmin: boolean;
}

export interface Passwords {
  /** The principal of a name and password; undefined when they do not fit. TOOMANYREQUESTS when too many checks wait. */
  check(name: string, password: string): Promise<Principal | undefined>;
  isKnown(name: string): Promise<boolean>;
}

export function hashPassword(password: string): Promise<string> {
  return Bun.password.hash(password, parameters);
}

export function createPasswords(options: { find: (name: string) => Promise<StoredAccount | undefined>; clock: Clock }): Passwords {
  const slots = createSemaphore({ places: 2, queueMax: 32 });
  const key = randomBytes(32);
  const remembered = createLru<string, { readonly hash: string; readonly untilMs: number }>({ maxEntries: 10_000 });
  // Fifty clients of one build log in at once with the same password: one check answers all.
  const checks = createSingleFlight<boolean>();
  let decoy: Promise<string> | undefined;
  return {
    isKnown: async (name) => (await options.find(name)) !== undefined,
    check: async (name, password) => {
      if (Buffer.byteLength(password) > passwordMaxBytes || name.length > nameMaxLength) return undefined;
      const account = await options.find(name);
      const mark = createHmac('sha256', key).update(`${name.length}:${name}:${password}`).digest('base64');
      const memory = remembered.get(mark);
      if (
        account !== undefined &&
        memory !== undefined &&
        memory.hash === account.passwordHash &&
        memory.untilMs > options.clock.monotonicMs()
      ) {
        return toPrincipal(account);
      }
      decoy ??= hashPassword(randomBytes(16).toString('hex'));
      const hash = account?.passwordHash ?? (await decoy);
      const fits = await checks
        .run(`${mark} ${hash}`, () => slots.run(() => Bun.password.verify(password, hash)))
        .catch((error) => {
          if (!(error instanceof LimitError)) throw error;
          throw new OciError('TOOMANYREQUESTS', 'too many logins at once; try again shortly', { cause: error, retryAfterMs: 1000 });
        });
      if (account === undefined || !fits) return undefined;
      remembered.set(mark, { hash: account.passwordHash, untilMs: options.clock.monotonicMs() + rememberMs });
      return toPrincipal(account);
    },
  };
}

function toPrincipal(account: StoredAccount): Principal {
  return { kind: 'user', id: account.id, name: account.name, isAdmin: account.isAdmin };
}
