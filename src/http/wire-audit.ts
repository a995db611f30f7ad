// What the registry API tells the audit log: pulls of manifests, pushes, moved tags, deletes. Pulls cost a look into a map; pushes and deletes are
// in the log before they are answered, and one that could not be written waits in its queue.

import type { Audit } from '../auth/audit.ts';
import { type AuditEvent, actorOf } from '../auth/audit-event.ts';
import type { Caller } from '../auth/principal.ts';
import type { Reference } from '../oci/reference.ts';
import type { PushedManifest } from '../registry/push.ts';

export type WireAuditLog = Pick<Audit, 'record' | 'note' | 'notePull'>;

export interface WireAction {
  readonly caller: Caller;
  readonly address?: (() => string | undefined) | undefined;
  readonly target: { readonly name: string; readonly project: { readonly id: number } };
  readonly headers: Headers;
}

export function auditPull(
  audit: WireAuditLog | undefined,
  { caller, address, target }: Omit<WireAction, 'headers'>,
  reference: Reference,
): void {
  audit?.notePull({ caller, address, repository: target.name, reference: textOf(reference), projectId: target.project.id });
}

/** One entry for the push, and one for each tag that meant something else before. */
export async function auditPush(
  audit: WireAuditLog | undefined,
  action: WireAction,
  pushed: PushedManifest,
  tags: readonly string[],
): Promise<void> {
  if (audit === undefined) return;
  const { name } = action.target;
  await record(audit, action, {
    operation: 'create',
    resourceType: 'artifact',
    resource: tags.length === 1 ? `${name}:${tags[0]}` : `${name}@${pushed.digest}`,
    after: { digest: pushed.digest, ...(tags.length === 0 ? {} : { tags }) },
  });
  for (const { tag, from } of pushed.moved) {
    await record(audit, action, {
      operation: 'update',
      resourceType: 'tag',
      resource: `${name}:${tag}`,
      before: { digest: from },
      after: { digest: pushed.digest },
    });
  }
}

export async function auditDelete(
  audit: WireAuditLog | undefined,
  action: WireAction,
  what: { readonly reference: Reference } | { readonly blob: string },
): Promise<void> {
  if (audit === undefined) return;
  const { name } = action.target;
  const isTag = 'reference' in what && what.reference.kind === 'tag';
  await record(audit, action, {
    operation: 'delete',
    resourceType: 'blob' in what ? 'blob' : isTag ? 'tag' : 'artifact',
    resource: 'blob' in what ? `${name}@${what.blob}` : `${name}${isTag ? ':' : '@'}${textOf(what.reference)}`,
  });
}

async function record(
  audit: WireAuditLog,
  { caller, address, target, headers }: WireAction,
  what: Pick<AuditEvent, 'operation' | 'resourceType' | 'resource' | 'before' | 'after'>,
): Promise<void> {
  const from = caller.address ?? address?.();
  const userAgent = headers.get('user-agent');
  const event: AuditEvent = {
    atMs: Date.now(),
    actor: actorOf(caller),
    ...(from === undefined ? {} : { address: from }),
    ...(userAgent === null ? {} : { userAgent }),
    projectId: target.project.id,
    outcome: 'success',
    ...what,
  };
  try {
    await audit.record(event);
  } catch {
    audit.note(event);
  }
}

function textOf(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
