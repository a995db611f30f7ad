// An entry of the audit log as others read it: over the admin API and where it is forwarded to. Harbor's names where it has one.

import type { AuditRow } from '../db/audit-chain.ts';

export interface AuditEntry {
  readonly id: number;
  readonly username: string;
  readonly resource: string;
  readonly resource_type: string;
  readonly operation: string;
  /** RFC 3339; of several alike the last. */
  readonly op_time: string;
  readonly operation_description: string;
  readonly operation_result: boolean;
  readonly outcome: AuditRow['outcome'];
  readonly count: number;
  readonly since?: string;
  readonly actor: { readonly kind: string; readonly id?: string; readonly method: string };
  readonly address?: string;
  readonly user_agent?: string;
  readonly request_id?: string;
  readonly project_id?: number;
  readonly detail?: Record<string, unknown>;
  readonly hash: string;
}

export function auditEntryOf(row: AuditRow): AuditEntry {
  const times = row.count === 1 ? '' : ` ${row.count} times`;
  return {
    id: row.id,
    username: row.actorName,
    resource: row.resource,
    resource_type: row.resourceType,
    operation: row.operation,
    op_time: new Date(row.atMs).toISOString(),
    operation_description: `${row.operation} ${row.resourceType} ${row.resource}${times}${row.outcome === 'success' ? '' : ` (${row.outcome})`}`,
    operation_result: row.outcome === 'success',
    outcome: row.outcome,
    count: row.count,
    ...(row.sinceMs === null ? {} : { since: new Date(row.sinceMs).toISOString() }),
    actor: { kind: row.actorKind, ...(row.actorId === null ? {} : { id: row.actorId }), method: row.method },
    ...(row.address === null ? {} : { address: row.address }),
    ...(row.userAgent === null ? {} : { user_agent: row.userAgent }),
    ...(row.requestId === null ? {} : { request_id: row.requestId }),
    ...(row.projectId === null ? {} : { project_id: row.projectId }),
    ...(row.detail === null ? {} : { detail: JSON.parse(row.detail) }),
    hash: row.hash,
  };
}
