// Permission as a value. This file is the only maker of `Access`, and every use-case on a repository takes one as its first argument,
// so a forgotten check does not compile. `decide` is the one place where rights are decided; it is pure.

import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/reference.ts';
import { type Principal, principalKey } from './principal.ts';

export type RepositoryAction = 'pull' | 'push' | 'delete';
export type SystemAction =
  | 'project:list'
  | 'project:read'
  | 'project:create'
  | 'project:delete'
  | 'source:list'
  | 'source:create'
  | 'source:change'
  | 'source:delete'
  | 'source:test'
  | 'explain:read'
  | 'catalog:read-all'
  | 'warmup:read'
  | 'warmup:change'
  | 'pin:read'
  | 'pin:change'
  | 'verify:read'
  | 'archive:export'
  | 'archive:import';

/** A repository as the server knows it. */
export interface RepositoryTarget {
  readonly project: Project;
  /** The full name inside, project included. */
  readonly name: RepositoryName;
  /** Where a mirror's content comes from. */
  readonly upstream?: { readonly registry: string; readonly repository: RepositoryName };
  /** An overlay's other half: the mirror that is asked for what is not here. */
  readonly fallback?: RepositoryTarget;
}

declare const accessBrand: unique symbol;
/** The right of a principal to do something in one repository. */
export interface Access<A extends RepositoryAction = RepositoryAction> {
  readonly [accessBrand]: A;
  readonly principal: Principal;
  readonly target: RepositoryTarget;
}

export interface AccessPolicy {
  readonly anonymousPull: boolean;
}

/** Whether the principal may do this in a project of this kind and visibility. */
export function decide(policy: AccessPolicy, principal: Principal, action: RepositoryAction, project: Project): boolean {
  if (project.kind === 'mirror' && action === 'push') return false;
  if (principal.kind === 'user') return principal.isAdmin || (action === 'pull' && project.isPublic);
  return action === 'pull' && project.isPublic && policy.anonymousPull;
}

/** Whether the principal may do this on the server as a whole. Only administrators may, for now. */
export function decideSystem(principal: Principal, _action: SystemAction): boolean {
  return principal.kind === 'user' && principal.isAdmin;
}

/**
 * Grants access or throws: UNAUTHORIZED for an anonymous principal (a login may help; alike for what exists and what does not),
 * UNSUPPORTED for a push into a mirror, DENIED otherwise.
 */
export function authorize<A extends RepositoryAction>(
  policy: AccessPolicy,
  principal: Principal,
  action: A,
  target: RepositoryTarget,
): Access<A> {
  if (decide(policy, principal, action, target.project)) return { principal, target } as unknown as Access<A>;
  if (principal.kind === 'anonymous') throw new OciError('UNAUTHORIZED', 'log in to do this');
  if (target.project.kind === 'mirror' && action === 'push') {
    throw new OciError(
      'UNSUPPORTED',
      `${target.project.name} is a mirror of ${target.project.registry ?? 'a registry'}: nothing can be pushed to it; push to a local project`,
    );
  }
  throw new OciError('DENIED', `you may not ${action} in this repository`);
}

/** Access to the other half of an overlay: the right to pull the overlay is the right to pull what it shows of its mirror. */
export function accessFallback(access: Access<'pull'>): Access<'pull'> | undefined {
  const { fallback } = access.target;
  return fallback === undefined ? undefined : ({ principal: access.principal, target: fallback } as unknown as Access<'pull'>);
}

/** The owner key of the access's principal. */
export function ownerOf(access: Access): string {
  return principalKey(access.principal);
}
