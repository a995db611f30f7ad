// The audit log as the rest of the server writes it. What an administrator does is in the database before it is answered; what happens in great
// number (pulls, logins) goes through windows and a bounded queue off the request, and what does not fit there is counted and told.
// It must never fail or slow down a pull.

import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { type AuditActor, type AuditEvent, actorOf, rowOf } from './audit-event.ts';
import { createAuditWindows } from './audit-windows.ts';
import { type Caller, principalKey } from './principal.ts';

/** A login as it was tried. */
export interface LoginAttempt {
  /** As it was given. */
  readonly name: string;
  readonly address?: string | undefined;
  /** Undefined: it was refused. */
  readonly accepted?: Pick<Caller, 'principal' | 'method'> | undefined;
}

export interface PullNote {
  readonly caller: Caller;
  /** Asked for the first of a window only. */
  readonly address?: (() => string | undefined) | undefined;
  /** Full name, project included. */
  readonly repository: string;
  /** Tag, or digest. */
  readonly reference: string;
  readonly projectId: number;
}

export interface Audit {
  /** In the database when this resolves. Throws what the database throws: the caller decides whether to go on. */
  record(event: AuditEvent): Promise<void>;
  /** Written with others within a second; never throws and never waits. */
  note(event: AuditEvent): void;
  notePull(pull: PullNote): void;
  /** Repeated ones are one entry: good ones an hour, bad ones a minute. */
  noteLogin(attempt: LoginAttempt): void;
  /** Something that was denied or failed. The same again within a minute is one entry. */
  noteRefusal(event: AuditEvent): void;
  /** Writes what waits. */
  flush(): Promise<void>;
  /** Writes what waits and what is being counted, a last time. Before the database is closed. */
  close(): Promise<void>;
  numbers(): AuditNumbers;
}

export interface AuditNumbers {
  readonly recorded: number;
  readonly dropped: number;
  readonly waiting: number;
}

export interface AuditSettings {
  /** False: pulls are not recorded. */
  readonly pulls: boolean;
  readonly pullWindowMs: number;
}

const flushEveryMs = 1000;
const queueMax = 10_000;
const rowsPerCommand = 100;
/** Tries of one batch; what cannot be written then is dropped and counted. */
const attemptsMax = 3;
const pullKeysMax = 5000;
const loginWindowMs = 60 * 60 * 1000;
const failureWindowMs = 60 * 1000;
const loginKeysMax = 2000;
/** Distinct bad logins in one minute; more are counted together. */
const failureKeysMax = 100;
const refusalKeysMax = 500;

export function createAudit(options: {
  readonly database: Pick<Database, 'run'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: AuditSettings;
}): Audit {
  const { database, clock, log, settings } = options;
  let queue: AuditEvent[] = [];
  let flushing: Promise<void> | undefined;
  let recorded = 0;
  let dropped = 0;
  let untoldDropped = 0;

  const drop = (count: number): void => {
    dropped += count;
    untoldDropped += count;
  };
  const note = (event: AuditEvent): void => {
    if (queue.length >= queueMax) drop(1);
    else queue.push(event);
  };
  const pulls = createAuditWindows({
    clock,
    emit: note,
    windowMs: settings.pullWindowMs,
    keysMax: pullKeysMax,
    atOncePerMinute: 120,
    overflow: ({ atMs, operation, resourceType, outcome }) => ({
      atMs,
      operation,
      resourceType,
      outcome,
      resource: '*',
      actor: { kind: 'unknown', name: '*', method: '*' },
    }),
  });
  const anyone = ({ atMs, operation, resourceType, outcome, reason }: AuditEvent): AuditEvent => ({
    atMs,
    operation,
    resourceType,
    outcome,
    resource: '*',
    actor: { kind: 'unknown', name: '*', method: 'password' },
    ...(reason === undefined ? {} : { reason }),
  });
  const logins = createAuditWindows({
    clock,
    emit: note,
    windowMs: loginWindowMs,
    keysMax: loginKeysMax,
    atOncePerMinute: 300,
    overflow: anyone,
  });
  const failures = createAuditWindows({
    clock,
    emit: note,
    windowMs: failureWindowMs,
    keysMax: failureKeysMax,
    atOncePerMinute: 60,
    overflow: anyone,
  });

  const refusals = createAuditWindows({
    clock,
    emit: note,
    windowMs: failureWindowMs,
    keysMax: refusalKeysMax,
    atOncePerMinute: 120,
    overflow: anyone,
  });
  const all = [pulls, logins, failures, refusals];

  /** One batch; tried again when the database was busy or full. */
  const writeBatch = async (events: readonly AuditEvent[]): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        await database.run('recordAudit', { rows: events.map(rowOf) });
        recorded += events.length;
        return;
      } catch (error) {
        if (attempt < attemptsMax) continue;
        drop(events.length);
        log.error('audit.not-written', { error, events: events.length });
        return;
      }
    }
  };
  const write = async (): Promise<void> => {
    for (const windows of all) windows.close();
    if (untoldDropped > 0) {
      const count = untoldDropped;
      untoldDropped = 0;
      queue.unshift({
        atMs: clock.nowMs(),
        count,
        actor: { kind: 'system', name: 'breakwater', method: 'internal' },
        operation: 'drop',
        resourceType: 'audit-log',
        resource: 'events',
        outcome: 'failed',
        reason: 'more happened than could be written',
      });
    }
    while (queue.length > 0) {
      const batch = queue.slice(0, rowsPerCommand);
      queue = queue.slice(rowsPerCommand);
      await writeBatch(batch);
    }
  };
  const flush = (): Promise<void> => {
    flushing ??= write().finally(() => {
      flushing = undefined;
    });
    return flushing;
  };
  const timer = setInterval(() => void flush(), flushEveryMs);
  timer.unref();

  return {
    record: async (event) => {
      await database.run('recordAudit', { rows: [rowOf(event)] });
      recorded++;
    },
    note,
    notePull: ({ caller, address, repository, reference, projectId }) => {
      if (!settings.pulls) return;
      pulls.add(`${principalKey(caller.principal)} ${repository} ${reference}`, () => ({
        atMs: clock.nowMs(),
        actor: actorOf(caller),
        ...addressIn(caller.address ?? address?.()),
        operation: 'pull',
        resourceType: 'artifact',
        resource: `${repository}${reference.includes(':') ? '@' : ':'}${reference}`,
        projectId,
        outcome: 'success',
      }));
    },
    noteLogin: ({ name, address, accepted }) => {
      const actor: AuditActor = accepted === undefined ? { kind: 'unknown', name, method: 'password' } : actorOf(accepted);
      const windows = accepted === undefined ? failures : logins;
      windows.add(`${name}\n${address ?? ''}\n${actor.method}`, () => ({
        atMs: clock.nowMs(),
        actor,
        ...addressIn(address),
        operation: 'login',
        resourceType: actor.kind === 'robot' || actor.kind === 'workload' ? actor.kind : 'user',
        resource: name,
        outcome: accepted === undefined ? 'failed' : 'success',
        ...(accepted === undefined ? { reason: 'unknown user or wrong password' } : {}),
      }));
    },
    noteRefusal: (event) => {
      const { actor, operation, resourceType, resource, reason = '' } = event;
      refusals.add(`${actor.kind} ${actor.id ?? actor.name}\n${operation} ${resourceType} ${resource}\n${reason}`, () => event);
    },
    flush,
    close: async () => {
      clearInterval(timer);
      await flushing;
      for (const windows of all) windows.close(true);
      await flush();
    },
    numbers: () => ({ recorded, dropped, waiting: queue.length }),
  };
}

function addressIn(address: string | undefined): { readonly address?: string } {
  return address === undefined ? {} : { address };
}
