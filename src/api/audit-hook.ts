// Tells the audit log what was done through the admin API: every call that may change something, before it is answered, and every call that was
// refused. Handlers add what they changed (`c.set('change', ...)`); bodies and answers never get there by themselves, because secrets are in them.

import type { Context, MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import type { Audit } from '../auth/audit.ts';
import { type AuditEvent, actorOf } from '../auth/audit-event.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { ApiEnvironment } from './environment.ts';
import { apiPrefix, describeRequirement, type PolicyTable, policyKey } from './policy.ts';

const readingMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const operations: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'update', DELETE: 'delete' };

/** Stands before the guard, so that it sees what the guard refuses. */
export function createAuditHook(options: {
  readonly audit: Pick<Audit, 'record' | 'note' | 'noteRefusal'>;
  readonly log: Log;
  readonly table: PolicyTable;
}): MiddlewareHandler<ApiEnvironment> {
  const { audit, log, table } = options;
  return async (c, next) => {
    const isReading = readingMethods.has(c.req.method);
    try {
      await next();
    } catch (error) {
      if (error instanceof OciError && isTold(error, isReading)) audit.noteRefusal(describe(c, error));
      throw error;
    }
    if (isReading || c.res.status >= 400) return;
    const event = describe(c);
    try {
      await audit.record(event);
    } catch (error) {
      // It was done, and saying otherwise would have it done twice: the entry waits in the queue.
      log.error('audit.not-written', { error, operation: event.operation, resource: event.resource });
      audit.note(event);
    }
  };

  function describe(c: Context<ApiEnvironment>, error?: OciError): AuditEvent {
    const { caller } = c.env;
    const change = error === undefined ? c.get('change') : undefined;
    const { key, resourceType, operation } = wordsOf(c, table);
    // What nobody logged in for is told by route: paths are theirs to make up, and each would be an entry.
    const project = c.get('project');
    const projectId = change?.projectId ?? project?.id;
    const path = c.req.path.slice(apiPrefix.length);
    const named = project === undefined ? path : path.replace(/^\/projects\/[^/]+/, `/projects/${project.name}`);
    const userAgent = c.req.header('user-agent');
    const requestId = c.req.header('x-request-id');
    return {
      atMs: Date.now(),
      actor: actorOf(caller),
      ...(caller.address === undefined ? {} : { address: caller.address }),
      ...(userAgent === undefined ? {} : { userAgent }),
      ...(requestId === undefined ? {} : { requestId }),
      operation,
      resourceType: change?.resourceType ?? resourceType,
      resource: change?.resource ?? (caller.principal.kind === 'anonymous' ? (key ?? '*') : named),
      ...(projectId === undefined ? {} : { projectId }),
      ...(change?.before === undefined ? {} : { before: change.before }),
      ...(change?.after === undefined ? {} : { after: change.after }),
      ...(error === undefined ? { outcome: 'success' } : { outcome: isDenied(error) ? 'denied' : 'failed', reason: reasonOf(error) }),
    };
  }
}

/** What a person should find later: refused changes, and looks at what was not theirs. Other reads that failed are no event. */
function isTold(error: OciError, isReading: boolean): boolean {
  return error.code === 'DENIED' || (!isReading && error.code !== 'METHOD_NOT_ALLOWED');
}

/** What was wrong with the input may quote it. */
function reasonOf({ code, message }: OciError): string {
  return code === 'BAD_REQUEST' ? code : `${code}: ${message}`;
}

function isDenied(error: OciError): boolean {
  return error.code === 'DENIED' || error.code === 'UNAUTHORIZED';
}

/** Resource and operation, of the policy line of the route: `robot:create`, or of the path where the line names no action. */
function wordsOf(
  c: Context<ApiEnvironment>,
  table: PolicyTable,
): { readonly key: string | undefined; readonly resourceType: string; readonly operation: string } {
  const key = matchedRoutes(c)
    .map(policyKey)
    .find((name) => Object.hasOwn(table, name));
  const requirement = key === undefined ? undefined : table[key];
  const [resource, verb] = requirement === undefined || typeof requirement === 'string' ? [] : describeRequirement(requirement).split(':');
  const operation = verb === 'test' ? 'test' : (operations[c.req.method] ?? verb ?? 'read');
  return { key, resourceType: resource ?? c.req.path.slice(apiPrefix.length + 1).split('/')[0] ?? '', operation };
}
