// The writer Worker of the SQLite implementation: all commands run here, several in one fsynced commit, each answered after it.
// It never serves a read. Each command has its own savepoint: one that fails takes nothing of its neighbours with it.

import { OciError } from '../oci/errors.ts';
import { type CommandName, runCommand } from './commands.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import { openSqlite } from './sqlite-file.ts';

export type WriterRequest =
  | { readonly kind: 'open'; readonly path: string }
  | { readonly kind: 'command'; readonly id: number; readonly name: CommandName; readonly args: unknown }
  | { readonly kind: 'close' };

export interface FailureReport {
  readonly message: string;
  readonly code?: string;
  readonly detail?: unknown;
}
export type WriterAnswer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'done'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: FailureReport }
  | { readonly kind: 'fatal'; readonly message: string }
  | { readonly kind: 'closed' };

/** Commands in one commit: enough to share an fsync among many pushers, few enough to keep the wait short. */
const batchMax = 64;

declare const self: Worker;
type Command = Extract<WriterRequest, { kind: 'command' }>;

const queue: Command[] = [];
let file: ReturnType<typeof openSqlite> | undefined;
let db: ReturnType<typeof kyselyOn> | undefined;
let working = false;
let closing = false;

self.onmessage = (event: MessageEvent<WriterRequest>): void => {
  const request = event.data;
  if (request.kind === 'open') {
    file = openSqlite(request.path, 'writer');
    db = kyselyOn(file, { withTransactions: false });
    answer({ kind: 'opened' });
    return;
  }
  if (request.kind === 'close') closing = true;
  else queue.push(request);
  if (!working) void work();
};

async function work(): Promise<void> {
  working = true;
  // One turn of the event loop lets the commands that arrived together share the commit.
  await new Promise((resolve) => setImmediate(resolve));
  while (queue.length > 0) await commitBatch(queue.splice(0, batchMax));
  working = false;
  if (closing) {
    file?.run('pragma wal_checkpoint(truncate)');
    file?.close();
    answer({ kind: 'closed' });
  }
}

async function commitBatch(batch: readonly Command[]): Promise<void> {
  if (file === undefined || db === undefined) throw new Error('the writer got a command before it was opened');
  const answers: WriterAnswer[] = [];
  try {
    file.run('begin immediate');
    for (const command of batch) answers.push(await runOne(file, db, command));
    file.run('commit');
  } catch (error) {
    failBatch(file, batch, error);
    return;
  }
  for (const item of answers) answer(item);
}

async function runOne(on: NonNullable<typeof file>, trx: NonNullable<typeof db>, command: Command): Promise<WriterAnswer> {
  on.run('savepoint command');
  try {
    const result = await runCommand({ trx, dialect: 'sqlite', nowMs: Date.now() }, command.name, command.args);
    on.run('release command');
    return { kind: 'done', id: command.id, result };
  } catch (error) {
    if (isStorageFailure(error)) throw error;
    on.run('rollback to command');
    on.run('release command');
    return { kind: 'failed', id: command.id, failure: describe(error) };
  }
}

/** Nothing of the batch is durable. A full disk is told to the callers; after any other I/O error nothing can be trusted: the process ends. */
function failBatch(on: NonNullable<typeof file>, batch: readonly Command[], error: unknown): void {
  try {
    on.run('rollback');
  } catch {
    // SQLite has rolled back by itself.
  }
  const isFull = errorCode(error) === 'SQLITE_FULL';
  const message = error instanceof Error ? error.message : String(error);
  const failure: FailureReport = isFull ? { message: 'the disk with the database is full', code: 'INSUFFICIENT_STORAGE' } : { message };
  for (const command of batch) answer({ kind: 'failed', id: command.id, failure });
  if (!isFull) answer({ kind: 'fatal', message });
}

function isStorageFailure(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB');
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function describe(error: unknown): FailureReport {
  if (error instanceof OciError) return { message: error.message, code: error.code, detail: error.detail };
  return { message: error instanceof Error ? error.message : String(error) };
}

function answer(message: WriterAnswer): void {
  self.postMessage(message);
}
