// Runs the cases of the wire suite against one registry.
// Every case gets repositories of its own under a fresh prefix, so runs never meet and nothing has to be cleaned before one.
// What a case leaves open is closed after it: upload sessions are cancelled, since registries limit how many one client may have.

import { randomBytes } from 'node:crypto';
import { createWireClient, type WireClient, type WireTarget } from './client.ts';
import { type CaseContext, type Level, type WireCase, WireSkip } from './wire-case.ts';

export interface SuiteOptions {
  readonly target: WireTarget;
  readonly cases: readonly WireCase[];
  /** Where the cases make their repositories; the login must be allowed to push and delete there. */
  readonly prefix: string;
  /** The same in a project that anonymous clients cannot read. Without it the cases about private content are skipped. */
  readonly privatePrefix?: string;
  readonly concurrency?: number;
}

export interface FailedCase {
  readonly id: string;
  readonly level: Level;
  readonly clause: string;
  readonly reason: string;
}

export interface SuiteResult {
  readonly passed: readonly string[];
  readonly failed: readonly FailedCase[];
  readonly skipped: readonly { readonly id: string; readonly reason: string }[];
  readonly requestCount: number;
  readonly durationMs: number;
}

const caseTimeoutMs = 60_000;

/** A repository prefix nobody used before: `<base>/wire-<random>`. */
export function freshPrefix(base: string): string {
  return `${base}/wire-${randomBytes(5).toString('hex')}`;
}

/** Runs the cases, a few at a time, and reports each in the order given. Never throws for a failed case. */
export async function runSuite(options: SuiteOptions): Promise<SuiteResult> {
  const startedMs = performance.now();
  const client = createWireClient(options.target);
  const outcomes = new Map<string, { readonly skip?: string; readonly failure?: string }>();
  const queue = [...options.cases];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const name = next.id.replaceAll('.', '-');
      const repository = `${options.prefix}/${name}`;
      const sessions = watchSessions(client);
      const context: CaseContext = {
        client,
        repository,
        repositoryNamed: (suffix) => `${repository}/${suffix}`,
        privateRepository: () => {
          if (options.privatePrefix === undefined) throw new WireSkip('no private project was named');
          return `${options.privatePrefix}/${name}`;
        },
        send: sessions.send,
      };
      outcomes.set(next.id, await runCase(next, context));
      await sessions.cancelOpen();
    }
  };
  await Promise.all(Array.from({ length: options.concurrency ?? 4 }, worker));
  const all = options.cases.map((item) => ({ ...item, outcome: outcomes.get(item.id) ?? {} }));
  return {
    passed: all.filter(({ outcome }) => outcome.skip === undefined && outcome.failure === undefined).map(({ id }) => id),
    failed: all.flatMap(({ id, level, clause, outcome }) =>
      outcome.failure === undefined ? [] : [{ id, level, clause, reason: outcome.failure }],
    ),
    skipped: all.flatMap(({ id, outcome }) => (outcome.skip === undefined ? [] : [{ id, reason: outcome.skip }])),
    requestCount: client.requestCount(),
    durationMs: performance.now() - startedMs,
  };
}

async function runCase(item: WireCase, context: CaseContext): Promise<{ readonly skip?: string; readonly failure?: string }> {
  let timer: Timer | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the case took longer than ${caseTimeoutMs} ms`)), caseTimeoutMs);
  });
  try {
    await Promise.race([item.run(context), deadline]);
    return {};
  } catch (cause) {
    if (cause instanceof WireSkip) return { skip: cause.message };
    return { failure: cause instanceof Error ? cause.message : String(cause) };
  } finally {
    clearTimeout(timer);
  }
}

/** Sends like the client and remembers which upload sessions that left open (distribution-spec "Cancel a blob upload", end-14). */
function watchSessions(client: WireClient): { readonly send: WireClient['send']; cancelOpen(): Promise<void> } {
  const open = new Map<string, string>();
  const pathOf = (location: string): string => new URL(location, client.target.url).pathname;
  return {
    send: async (request) => {
      const response = await client.send(request);
      const location = response.header('location');
      if (response.status === 202 && location !== undefined && location.includes('/uploads/')) open.set(pathOf(location), location);
      if (response.status === 201 || response.status === 204) {
        if (request.method === 'PUT' || request.method === 'DELETE') open.delete(pathOf(request.path));
      }
      return response;
    },
    cancelOpen: async () => {
      for (const path of open.values()) await client.send({ method: 'DELETE', path }).catch(() => undefined);
    },
  };
}
