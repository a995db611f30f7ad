// What the audit log is told, and how that becomes a row: bounded, without control characters, and without secrets. Values are plain by their
// type; a `Secret` prints `***`, and so does whatever is called like one, because a mistake there would be kept for half a year.

import type { AuditOutcome } from '../db/audit-chain.ts';
import type { NewAuditRow } from '../db/audit-commands.ts';
import { Secret } from '../lib/secret.ts';
import { type Caller, type Principal, principalName } from './principal.ts';

export interface AuditActor {
  readonly kind: 'user' | 'robot' | 'workload' | 'anonymous' | 'system' | 'unknown';
  readonly id?: string;
  readonly name: string;
  /** How it showed who it is. */
  readonly method: string;
}

export interface AuditEvent {
  /** Milliseconds since 1970; of several the last. */
  readonly atMs: number;
  /** Of several: the first. */
  readonly sinceMs?: number;
  /** How many like it this stands for; 1 without it. */
  readonly count?: number;
  readonly actor: AuditActor;
  /** Of the client. */
  readonly address?: string;
  readonly userAgent?: string;
  readonly requestId?: string;
  /** Harbor's words where it has one: create, update, delete, pull, login, logout. */
  readonly operation: string;
  readonly resourceType: string;
  readonly resource: string;
  readonly projectId?: number;
  readonly outcome: AuditOutcome;
  /** What it was and became: plain values. */
  readonly before?: unknown;
  readonly after?: unknown;
  /** Of what was denied or failed: its code and message. */
  readonly reason?: string;
}

/** Bytes of UTF-8. All of a row stays below 8 KiB. */
export const rowMaxBytes = 8192;
const limits = { name: 255, word: 64, agent: 200, resource: 1024, reason: 500, detail: 5600 } as const;
const stringMaxBytes = 1024;
const itemsMax = 50;
const depthMax = 6;
/** Names of members whose value is never kept, unless it is a yes or no. */
const secretName = /pass(word|phrase|wd)|secret|token|credential|private|authorization|cookie|signature|api_?key|salt|hash|otp/i;

export function actorOf({ principal, method }: Pick<Caller, 'principal' | 'method'>): AuditActor {
  const id = idOf(principal);
  return { kind: principal.kind, ...(id === undefined ? {} : { id }), name: principalName(principal), method };
}

/** The row of an event, within its limits. What had to be cut is marked in `detail.truncated`. */
export function rowOf(event: AuditEvent): NewAuditRow {
  const { actor } = event;
  const optional = (text: string | undefined, maxBytes: number): string | null => (text === undefined ? null : cut(text, maxBytes));
  return {
    atMs: event.atMs,
    sinceMs: event.sinceMs ?? null,
    count: event.count ?? 1,
    actorKind: actor.kind,
    actorId: optional(actor.id, limits.name),
    actorName: cut(actor.name, limits.name),
    method: cut(actor.method, limits.word),
    address: optional(event.address, limits.word),
    userAgent: optional(event.userAgent, limits.agent),
    requestId: optional(event.requestId, limits.word),
    operation: cut(event.operation, limits.word),
    resourceType: cut(event.resourceType, limits.word),
    resource: cut(event.resource, limits.resource),
    projectId: event.projectId ?? null,
    outcome: event.outcome,
    detail: detailOf(event),
  };
}

/** JSON of before, after and reason; null when there is none of them. */
function detailOf({ before, after, reason }: AuditEvent): string | null {
  let isCut = false;
  const plain = (value: unknown, depth: number, stringMax: number): unknown => {
    if (value instanceof Secret) return value.toJSON();
    if (typeof value === 'string') {
      const text = cut(value, stringMax);
      isCut ||= text.length < value.length;
      return text;
    }
    if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
    if (typeof value === 'boolean' || value === null || value === undefined) return value;
    if (typeof value === 'bigint') return String(value);
    if (value instanceof Date) return value.toISOString();
    if (typeof value !== 'object' || depth >= depthMax) {
      isCut = true;
      return typeof value;
    }
    const items: [string, unknown][] =
      value instanceof Set || value instanceof Map ? [...value].map((item, index) => [String(index), item]) : Object.entries(value);
    isCut ||= items.length > itemsMax;
    const kept = items.slice(0, itemsMax);
    if (Array.isArray(value) || value instanceof Set) return kept.map(([, item]) => plain(item, depth + 1, stringMax));
    return Object.fromEntries(
      kept.map(([name, item]) => {
        const isHidden = secretName.test(name) && typeof item !== 'boolean' && item !== null && item !== undefined;
        return [cut(name, limits.word), isHidden ? '***' : plain(item, depth + 1, stringMax)];
      }),
    );
  };
  if (before === undefined && after === undefined && reason === undefined) return null;
  for (const stringMax of [stringMaxBytes, 64]) {
    isCut = false;
    const text = JSON.stringify({
      ...(before === undefined ? {} : { before: plain(before, 0, stringMax) }),
      ...(after === undefined ? {} : { after: plain(after, 0, stringMax) }),
      ...(reason === undefined ? {} : { reason: cut(reason, limits.reason) }),
      ...(isCut ? { truncated: true } : {}),
    });
    if (Buffer.byteLength(text) <= limits.detail) return text;
  }
  return JSON.stringify({ ...(reason === undefined ? {} : { reason: cut(reason, limits.reason) }), truncated: true });
}

/** At most so many bytes of UTF-8, whole characters, control characters replaced. */
function cut(text: string, maxBytes: number): string {
  const clean = text
    .slice(0, maxBytes)
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ');
  if (Buffer.byteLength(clean) <= maxBytes && text.length <= maxBytes) return clean;
  const bytes = Buffer.from(clean).subarray(0, maxBytes - 3);
  // A character that was cut in two becomes a replacement character, which goes.
  return `${bytes.toString('utf8').replace(/\uFFFD$/, '')}\u2026`;
}

function idOf(principal: Principal): string | undefined {
  switch (principal.kind) {
    case 'user':
    case 'robot':
      return String(principal.id);
    case 'workload':
      return `${principal.ruleId}:${principal.subject}`;
    default:
      return undefined;
  }
}
