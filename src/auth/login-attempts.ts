// A login through an identity provider from its start to its end. Its state is a random text that is good once and for ten minutes; it is bound
// to the browser by a cookie, from whose secret the nonce and the PKCE verifier come, so that nothing stored here helps anybody to finish it.
// RFC 6749 section 10.12, RFC 7636, OpenID Connect Core 3.1.2.1; security.md SEC-B10, SEC-B13.

import { createHmac } from 'node:crypto';
import type { Database } from '../db/database.ts';
import type { LoginAttempt } from '../db/login-attempts.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { hashOf, newSecret } from './sessions.ts';

const attemptLifeMs = 10 * 60 * 1000;
const secretPattern = /^[A-Za-z0-9_-]{43}$/;

/** What travels to the provider and comes back, or is shown to it at the end. */
export interface AttemptSecrets {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface StartedAttempt {
  readonly secrets: AttemptSecrets;
  /** For the browser's cookie. */
  readonly browser: Secret;
}

export type NewAttempt = Omit<LoginAttempt, 'stateHash' | 'browserHash'>;

export interface LoginAttempts {
  start(attempt: NewAttempt): Promise<StartedAttempt>;
  /**
   * Takes the attempt of this state, once. UNAUTHORIZED, always in the same words, when the state is unknown, over, taken, of another purpose or
   * begun in another browser.
   */
  take(
    state: string,
    browser: string | undefined,
    purposes: readonly LoginAttempt['purpose'][],
  ): Promise<{ readonly attempt: LoginAttempt; readonly secrets: AttemptSecrets }>;
}

export function createLoginAttempts(database: Pick<Database, 'run'>): LoginAttempts {
  return {
    start: async (attempt) => {
      const state = newSecret().reveal();
      const browser = newSecret();
      await database.run('createLoginAttempt', {
        ...attempt,
        stateHash: hashOf(state),
        browserHash: hashOf(browser.reveal()),
        lifeMs: attemptLifeMs,
      });
      return { secrets: secretsOf(state, browser.reveal()), browser };
    },
    take: async (state, browser, purposes) => {
      // Without the right browser it stays: somebody else's guess must not end it.
      if (browser === undefined || !secretPattern.test(browser) || !secretPattern.test(state)) throw refused();
      const attempt = await database.run('takeLoginAttempt', { stateHash: hashOf(state), browserHash: hashOf(browser) });
      if (attempt === undefined || !purposes.includes(attempt.purpose)) throw refused();
      return { attempt, secrets: secretsOf(state, browser) };
    },
  };
}

function secretsOf(state: string, browser: string): AttemptSecrets {
  const derive = (label: string): string => createHmac('sha256', browser).update(`${label} ${state}`).digest('base64url');
  return { state, nonce: derive('nonce'), verifier: derive('verifier') };
}

function refused(): OciError {
  return new OciError('UNAUTHORIZED', 'this login has expired, was used before, or was begun in another browser; begin again', {
    detail: { reason: 'login-expired' },
  });
}
