// Permission as a value. This file is the only maker of `Access`, and every use-case on a repository takes one as its first argument,
// so a forgotten check does not compile. `decide` is the one place where rights are decided; it is pure.

import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { Action, SystemAction } from './actions.ts';
import { type Principal, principalKey } from './principal.ts';
import { publicActions } from './roles.ts';

/** What the registry API does to a repository. */
export type RepositoryAction = 'pull' | 'push' | 'delete';

/** The right that each of them needs. */
export const actionOf: Readonly<Record<RepositoryAction, Action>> = {
  pull: 'repository:pull',
  push: 'repository:push',
  delete: 'artifact:delete',
};

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
  /** Whether anything is open without a login. */
  readonly anonymousPull: boolean;
  /** Narrows it by where the client is; absent: from everywhere. */
  readonly allowsAnonymous?: (address: string | undefined, project: Project) => boolean;
}

/** What is acted on: the server, a project, or one repository in it (its full name). */
export type Resource = { readonly kind: 'system' } | { readonly kind: 'project'; readonly project: Project; readonly repository?: string };

export const theSystem: Resource = { kind: 'system' };

/** Whether the principal may do this there. A mirror takes no push from anybody. */
export function decide(policy: AccessPolicy, principal: Principal, action: Action, resource: Resource): boolean {
  if (resource.kind === 'system') return decideSystem(principal, action as SystemAction);
  const { project, repository } = resource;
  if (project.kind === 'mirror' && writes.has(action)) return false;
  switch (principal.kind) {
    case 'system':
      return true;
    case 'anonymous':
      return (
        project.isPublic &&
        policy.anonymousPull &&
        publicActions.has(action) &&
        policy.allowsAnonymous?.(principal.address, project) !== false
      );
    case 'user':
      if (principal.isAdmin) return true;
      break;
    default:
      break;
  }
  if (project.isPublic && publicActions.has(action)) return true;
  const place = { projectId: project.id, projectName: project.name, ...(repository === undefined ? {} : { repository }) };
  return principal.grants.allowsIn(place, action);
}

const writes: ReadonlySet<Action> = new Set<Action>(['repository:push', 'artifact:create', 'tag:create']);

/** Whether the principal may do this on the server as a whole. */
export function decideSystem(principal: Principal, action: SystemAction): boolean {
  switch (principal.kind) {
    case 'system':
      return true;
    case 'anonymous':
      return false;
    case 'user':
      return principal.isAdmin || principal.grants.allowsOnSystem(action);
    default:
      return principal.grants.allowsOnSystem(action);
  }
}

/**
 * Grants access or throws: UNAUTHORIZED for an anonymous principal (a login may help; alike for what exists and what does not),
 * UNSUPPORTED for a push into a mirror, DENIED otherwise, in the words that a name in no project gets too.
 */
export function authorize<A extends RepositoryAction>(
  policy: AccessPolicy,
  principal: Principal,
  action: A,
  target: RepositoryTarget,
): Access<A> {
  const resource: Resource = { kind: 'project', project: target.project, repository: target.name };
  if (decide(policy, principal, actionOf[action], resource)) return { principal, target } as unknown as Access<A>;
  if (principal.kind === 'anonymous') throw new OciError('UNAUTHORIZED', 'log in to do this');
  if (target.project.kind === 'mirror' && action === 'push' && decide(policy, principal, 'repository:pull', resource)) {
    throw new OciError(
      'UNSUPPORTED',
      `${target.project.name} is a mirror of ${target.project.registry ?? 'a registry'}: nothing can be pushed to it; push to a local project`,
    );
  }
  throw refusal(action);
}

/** What somebody is told who has no right there, whether it is there or not. */
export function refusal(action: RepositoryAction): OciError {
  return new OciError('DENIED', `you may not ${action} here`);
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
