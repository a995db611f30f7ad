// Who asks. Rights bind to ids and types, never to names: a user called `robot$x` is a user.

import type { Secret } from '../lib/secret.ts';
import { compileGrants, type GrantSet } from './grants.ts';
import { systemAdminActions } from './roles.ts';

export interface UserPrincipal {
  readonly kind: 'user';
  readonly id: number;
  readonly name: string;
  /** May do everything. */
  readonly isAdmin: boolean;
  readonly grants: GrantSet;
  /** Counts up when a password changes or the account is switched off: what was signed before is worth nothing then. */
  readonly epoch: number;
  /** Must choose a password first: nothing else than that is open to it in the admin API. */
  readonly mustChangePassword?: boolean;
}
export interface RobotPrincipal {
  readonly kind: 'robot';
  readonly id: number;
  /** With its prefix, as it logs in: `robot$team-a+ci`. */
  readonly name: string;
  readonly grants: GrantSet;
  readonly epoch: number;
}
/** A job of a CI system, known by the token its system gave it. */
export interface WorkloadPrincipal {
  readonly kind: 'workload';
  /** Of the rule that let it in. */
  readonly ruleId: number;
  /** The `sub` of its token. */
  readonly subject: string;
  readonly name: string;
  readonly grants: GrantSet;
  readonly epoch: number;
}
export type Principal =
  | { readonly kind: 'anonymous'; readonly address?: string }
  | UserPrincipal
  | RobotPrincipal
  | WorkloadPrincipal
  /** The server at work of its own, such as warming; it has no account, and no client can be it. */
  | { readonly kind: 'system' };

/** How the caller showed who it is. */
export type LoginMethod = 'anonymous' | 'password' | 'cli-secret' | 'api-token' | 'robot' | 'session' | 'workload' | 'token' | 'system';

/** The session a browser calls by. */
export interface CallerSession {
  readonly id: number;
  /** When its person last showed who it is; milliseconds since 1970. */
  readonly provedAtMs: number;
  /** The answer gives the browser this secret from now on. */
  readonly renew: (secret: Secret) => void;
}

/** A principal at the door: how and from where it came. */
export interface Caller {
  readonly principal: Principal;
  readonly method: LoginMethod;
  /** Of the client, behind trusted proxies too; undefined where it is not known. */
  readonly address?: string;
  /** Of a browser, when the caller is one that is logged in. */
  readonly session?: CallerSession;
}

export const anonymous: Principal & { readonly kind: 'anonymous' } = { kind: 'anonymous' };
export const serverItself: Principal = { kind: 'system' };

/** What an administrator holds. */
export const adminGrants: GrantSet = compileGrants([{ where: { kind: 'everywhere' }, actions: systemAdminActions }]);

/** A stable text for the principal, for tokens and for the owner of an upload session. */
export function principalKey(principal: Principal): string {
  switch (principal.kind) {
    case 'anonymous':
    case 'system':
      return principal.kind;
    case 'user':
    case 'robot':
      return `${principal.kind}:${principal.id}`;
    case 'workload':
      return `workload:${principal.ruleId}:${principal.subject}`;
  }
}

/** What a token of the principal must carry to count; 0 for those who have none. */
export function epochOf(principal: Principal): number {
  return 'epoch' in principal ? principal.epoch : 0;
}

/** For logs and audit. */
export function principalName(principal: Principal): string {
  return 'name' in principal ? principal.name : principal.kind;
}
