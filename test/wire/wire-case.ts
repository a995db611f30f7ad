// What a case of the wire suite is: one fact, the clause it comes from, and a program that throws when the fact does not hold.
// A case must never depend on another case, nor leave its own repositories.

import type { WireClient, WireRequest, WireResponse } from './client.ts';

/**
 * MUST and SHOULD are the specification's words. PROMISE is a fact the specification leaves open or only allows (MAY), which Breakwater
 * gives to its clients; another registry that fails it deviates from Breakwater, not necessarily from the specification.
 */
export type Level = 'MUST' | 'SHOULD' | 'PROMISE';

export interface CaseContext {
  readonly client: WireClient;
  /** The case's own repository; nobody else writes to it. */
  readonly repository: string;
  /** Another repository of this case. */
  repositoryNamed(suffix: string): string;
  /** A repository of this case in a project that anonymous clients cannot read. Skips the case when the target has none. */
  privateRepository(): string;
  send(request: WireRequest): Promise<WireResponse>;
}

export interface WireCase {
  /** `area.fact`, unique. */
  readonly id: string;
  readonly level: Level;
  /** Where the fact comes from, e.g. `distribution-spec v1.1 "Pulling blobs", end-2`. */
  readonly clause: string;
  readonly run: (context: CaseContext) => Promise<void>;
}

/** The registry did not do what the case expects. */
export class WireFailure extends Error {
  override readonly name = 'WireFailure';
}

/** The case cannot be tried on this target. */
export class WireSkip extends Error {
  override readonly name = 'WireSkip';
}

/** A clause of the OCI distribution specification 1.1: section title and endpoint. */
export function spec(section: string, endpoint: string): string {
  return `distribution-spec v1.1 "${section}", ${endpoint}`;
}

/** A clause of the specification's main branch, after 1.1. */
export function specMain(section: string, endpoint: string): string {
  return `distribution-spec main "${section}", ${endpoint}`;
}

/** The target's login. Skips the case when there is none, or when the registry asks for no token; a 401 that asks for nothing is a failure. */
export async function requireLogin(context: CaseContext): Promise<{ readonly username: string; readonly password: string }> {
  const { username, password } = context.client.target;
  if (username === undefined || password === undefined) throw new WireSkip('needs a login');
  const { status, challenge } = await context.client.entry();
  if (status === 401 && challenge === undefined)
    throw new WireFailure('GET /v2/ -> 401 without a challenge: no client knows how to log in');
  if (challenge?.scheme !== 'bearer') throw new WireSkip('the registry does not ask for a token');
  return { username, password };
}
