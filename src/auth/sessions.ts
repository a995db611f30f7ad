// Sessions of browsers: kept on the server, named by a random secret that only the browser has (its hash is stored). A session ends an hour
// after its last use (`session_timeout`), twelve hours after its start, when it is revoked, and as soon as its account is switched off or has another password
// (the account's epoch). A login always makes a new one; showing a password again gives it a new secret. security.md HRD-08, LIM-26.

import { createHash, randomBytes } from 'node:crypto';
import type { Database } from '../db/database.ts';
import { countSessions, type ListedSession, listSessions, prepareSessionQuery, type StoredSession } from '../db/sessions.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { createLru } from '../lib/lru.ts';
import { Secret } from '../lib/secret.ts';
import type { Principal, UserPrincipal } from './principal.ts';

const sessionLimits = {
  absoluteMs: 12 * 60 * 60 * 1000,
  /** How long a proof of who it is counts for dangerous actions. */
  stepUpMs: 10 * 60 * 1000,
} as const;

/** The use of a session is noted this often at most. */
const touchEveryMs = 60_000;
const userAgentMaxLength = 200;
const secretPattern = /^[A-Za-z0-9_-]{43}$/;

/** A session at work. */
export interface LiveSession {
  readonly id: number;
  readonly principal: UserPrincipal;
  readonly provider: string;
  /** When its person last showed who it is; milliseconds since 1970. */
  readonly provedAtMs: number;
  readonly expiresAtMs: number;
}

export interface SessionStart {
  readonly principal: UserPrincipal;
  readonly address?: string;
  readonly userAgent?: string;
  /** What the browser's cookie held before: that session ends. */
  readonly replaces?: string;
}

export interface Sessions {
  /** Throws UNAUTHORIZED when the account is switched off, gone, or has changed since it was read. */
  start(session: SessionStart): Promise<{ readonly id: number; readonly secret: Secret }>;
  /** The live session with this secret; undefined for any other text. */
  find(secret: string): Promise<LiveSession | undefined>;
  /** Its person has shown who it is again: the new secret; undefined when the session has ended. */
  renew(id: number): Promise<Secret | undefined>;
  /** Ends one; of that account only, where one is given. False when there is none such. */
  end(id: number, accountId?: number): Promise<boolean>;
  endBySecret(secret: string): Promise<void>;
  endAll(accountId: number, exceptId?: number): Promise<number>;
  /** The youngest first, ended ones left out as far as they are known to have. */
  list(options: { readonly accountId?: number; readonly limit: number; readonly offset?: number }): Promise<ListedSession[]>;
  count(accountId?: number): Promise<number>;
  /** Forgets what is over. */
  sweep(): Promise<void>;
  /** Whether its person showed who it is lately enough for a dangerous action. */
  isProved(provedAtMs: number): boolean;
}

export function createSessions(options: {
  database: Database;
  clock: Clock;
  log: Log;
  /** The account as it is now; undefined when it is gone or switched off. */
  findPrincipal: (key: string) => Promise<Principal | undefined>;
  /** How long a session may stay unused; an administrator may change it. */
  idleMs: () => Promise<number>;
  limits?: { readonly absoluteMs: number; readonly stepUpMs: number };
}): Sessions {
  const { database, clock, log } = options;
  const limits = options.limits ?? sessionLimits;
  const bySecret = prepareSessionQuery(database);
  const touched = createLru<number, number>({ maxEntries: 10_000 });

  const touch = (session: StoredSession): void => {
    const nowMs = clock.nowMs();
    if (nowMs - session.seenAtMs < touchEveryMs || nowMs - (touched.get(session.id) ?? 0) < touchEveryMs) return;
    touched.set(session.id, nowMs);
    void database.run('touchSession', { id: session.id }).catch((error) => log.warn('session.touch-failed', { error }));
  };
  const isOver = (session: StoredSession, idleMs: number): boolean => {
    const nowMs = clock.nowMs();
    return nowMs >= session.expiresAtMs || nowMs - session.seenAtMs >= idleMs;
  };

  return {
    start: async ({ principal, address, userAgent, replaces }) => {
      const secret = newSecret();
      const id = await database.run('createSession', {
        secretHash: hashOf(secret.reveal()),
        accountId: principal.id,
        accountEpoch: principal.epoch,
        ...(address === undefined ? {} : { address }),
        userAgent: (userAgent ?? '').slice(0, userAgentMaxLength),
        expiresAtMs: clock.nowMs() + limits.absoluteMs,
        ...(replaces === undefined || !secretPattern.test(replaces) ? {} : { replaces: hashOf(replaces) }),
      });
      return { id, secret };
    },
    find: async (secret) => {
      if (!secretPattern.test(secret)) return undefined;
      const session = await bySecret(hashOf(secret));
      if (session === undefined || isOver(session, await options.idleMs())) return undefined;
      const principal = await options.findPrincipal(`user:${session.accountId}`);
      if (principal?.kind !== 'user' || principal.epoch !== session.accountEpoch) return undefined;
      touch(session);
      const { id, provider, provedAtMs, expiresAtMs } = session;
      return { id, principal, provider, provedAtMs, expiresAtMs };
    },
    renew: async (id) => {
      const secret = newSecret();
      return (await database.run('renewSession', { id, secretHash: hashOf(secret.reveal()) })) ? secret : undefined;
    },
    end: (id, accountId) => database.run('deleteSession', { id, ...(accountId === undefined ? {} : { accountId }) }),
    endBySecret: async (secret) => {
      if (!secretPattern.test(secret)) return;
      const session = await bySecret(hashOf(secret));
      if (session !== undefined) await database.run('deleteSession', { id: session.id });
    },
    endAll: (accountId, exceptId) => database.run('deleteSessions', { accountId, ...(exceptId === undefined ? {} : { exceptId }) }),
    list: async (wanted) => {
      const idleMs = await options.idleMs();
      return (await listSessions(database.read, wanted)).filter((session) => !isOver(session, idleMs));
    },
    count: (accountId) => countSessions(database.read, accountId),
    sweep: async () => {
      await database.run('deleteExpiredSessions', { idleMs: await options.idleMs() });
    },
    isProved: (provedAtMs) => clock.nowMs() - provedAtMs < limits.stepUpMs,
  };
}

/** 256 random bits. */
export function newSecret(): Secret {
  return new Secret(randomBytes(32).toString('base64url'));
}

/** What is stored of a secret of full entropy. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
