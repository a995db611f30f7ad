// The writer Worker of the SQLite implementation: all commands run here, several in one fsynced commit, each answered after it.
// It never serves a read. Each command has its own savepoint: one that fails takes nothing of its neighbours with it.
// After an I/O error it never writes again: what the disk holds is unknown, and a second fsync may succeed without the lost bytes.

import { OciError } from '../oci/errors.ts';
import { type CommandName, runCommand } from './commands.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import { openSqlite } from './sqlite-file.ts';
import { createStatements } from './sqlite-statements.ts';

export type WriterRequest =
  | { readonly kind: 'open'; readonly path: string }
  | { readonly kind: 'command'; readonly id: number; readonly name: CommandName; readonly args: unknown }
  | { readonly kind: 'close' };

export interface FailureReport {
  readonly message: string;
  /** Of an OciError: nothing of the command was done. Without one, whether it was done is unknown. */
  readonly code?: string;
  readonly detail?: unknown;
  readonly retryAfterMs?: number;
}
export type WriterAnswer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'done'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: FailureReport }
  | { readonly kind: 'fatal'; readonly message: string }
  | { readonly kind: 'closed' };

/** Commands in one commit: enough to share an fsync among many pushers, few enough to keep the wait short. */
const batchMax = 64;
/** Errors of one statement, after which its savepoint can be rolled back and the batch goes on. */
const statementErrors = ['SQLITE_ERROR', 'SQLITE_CONSTRAINT', 'SQLITE_TOOBIG', 'SQLITE_MISMATCH', 'SQLITE_RANGE'];

declare const self: Worker;
type Command = Extract<WriterRequest, { kind: 'command' }>;
type Writer = ReturnType<typeof openWriter>;

const queue: Command[] = [];
let writer: Writer | undefined;
let working = false;
let closing = false;
/** Why nothing is written any more. */
let broken: string | undefined;

self.onmessage = (event: MessageEvent<WriterRequest>): void => {
  const request = event.data;
  if (request.kind === 'open') {
    open(request.path);
    return;
  }
  if (request.kind === 'close') closing = true;
  else queue.push(request);
  if (!working) void work();
};

function open(path: string): void {
  try {
    writer = openWriter(path);
    answer({ kind: 'opened' });
  } catch (error) {
    breakOff(error);
  }
}

function openWriter(path: string) {
  const file = openSqlite(path, 'writer');
  const statements = createStatements(file);
  return { file, statements, trx: kyselyOn(statements, { withTransactions: false }) };
}

async function work(): Promise<void> {
  working = true;
  // One turn of the event loop lets the commands that arrived together share the commit.
  await new Promise((resolve) => setImmediate(resolve));
  while (queue.length > 0) await commitBatch(queue.splice(0, batchMax));
  working = false;
  if (closing) close();
}

async function commitBatch(batch: readonly Command[]): Promise<void> {
  if (writer === undefined || broken !== undefined) {
    for (const { id } of batch) answer({ kind: 'failed', id, failure: { message: 'the database cannot be written', code: 'UNAVAILABLE' } });
    return;
  }
  const answers: WriterAnswer[] = [];
  try {
    writer.file.run('begin immediate');
    for (const command of batch) answers.push(await runOne(writer, command));
    writer.file.run('commit');
  } catch (error) {
    failBatch(writer, batch, error);
    return;
  }
  for (const item of answers) answer(item);
}

async function runOne({ file, trx }: Writer, command: Command): Promise<WriterAnswer> {
  file.run('savepoint command');
  try {
    const result = await runCommand({ trx, dialect: 'sqlite', nowMs: Date.now() }, command.name, command.args);
    file.run('release command');
    return { kind: 'done', id: command.id, result };
  } catch (error) {
    if (isStorageFailure(error)) throw error;
    file.run('rollback to command');
    file.run('release command');
    return { kind: 'failed', id: command.id, failure: describe(error) };
  }
}

/**
 * Nothing of the batch was committed. A full disk, or another process that holds the file, is told to the callers; after any other failure
 * the batch may or may not be on the disk, nothing can be trusted, and the process must end.
 */
function failBatch({ file }: Writer, batch: readonly Command[], error: unknown): void {
  const failure = passingFailure(errorCode(error));
  if (failure === undefined) breakOff(error);
  else if (file.inTransaction) {
    try {
      file.run('rollback');
    } catch (cause) {
      breakOff(cause);
    }
  }
  for (const { id } of batch) answer({ kind: 'failed', id, failure: failure ?? { message: messageOf(error) } });
}

/** What passes without a restart: the transaction never reached the disk as a whole. */
function passingFailure(code: string): FailureReport | undefined {
  if (code === 'SQLITE_FULL') return { message: 'the disk with the database is full', code: 'INSUFFICIENT_STORAGE' };
  if (code.startsWith('SQLITE_BUSY'))
    return { message: 'another program holds the database file', code: 'UNAVAILABLE', retryAfterMs: 1000 };
  return undefined;
}

function breakOff(error: unknown): void {
  if (broken !== undefined) return;
  broken = messageOf(error);
  answer({ kind: 'fatal', message: broken });
}

/** A broken file is left as it is: closing it tidily would write. */
function close(): void {
  try {
    if (writer !== undefined && broken === undefined) {
      foldLog(writer);
      writer.statements.finalize();
      writer.file.close();
    }
  } finally {
    answer({ kind: 'closed' });
  }
}

/** So that the next start has nothing to read back. On a full disk it stays as it is, which loses nothing. */
function foldLog({ file }: Writer): void {
  try {
    file.run('pragma wal_checkpoint(truncate)');
  } catch (error) {
    if (passingFailure(errorCode(error)) === undefined) breakOff(error);
  }
}

function isStorageFailure(error: unknown): boolean {
  const code = errorCode(error);
  return code.startsWith('SQLITE_') && !statementErrors.some((prefix) => code.startsWith(prefix));
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function describe(error: unknown): FailureReport {
  if (!(error instanceof OciError)) return { message: messageOf(error) };
  const { message, code, detail, retryAfterMs } = error;
  return { message, code, detail, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

function answer(message: WriterAnswer): void {
  self.postMessage(message);
}
