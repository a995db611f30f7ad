// The database port on SQLite: one read connection on the serving thread, one writer Worker (sqlite-writer.ts), WAL, synchronous=FULL.
// Why a Worker: docs/decisions/0002-writer-worker.md. Only one server may hold the data folder (app.ts locks it).

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { OciError, type OciErrorCode } from '../oci/errors.ts';
import type { CommandArguments, CommandName, CommandResult } from './commands.ts';
import type { Database } from './database.ts';
import { migrate } from './migrations.ts';
import { compileTemplate, type PreparedQuery, type QueryBuilder, type QueryValue } from './prepared.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import { assertSafeSqlite, openSqlite } from './sqlite-file.ts';
import type { FailureReport, WriterAnswer, WriterRequest } from './sqlite-writer.ts';

/** Commands waiting at most; beyond it the server answers UNAVAILABLE instead of growing. */
const waitingMax = 10_000;

export interface SqliteOptions {
  readonly path: string;
  /** Called once when the database can no longer be written: the process must end (crash-only). */
  readonly onFatal: (message: string) => void;
}

export async function openSqliteDatabase(options: SqliteOptions): Promise<Database> {
  assertSafeSqlite();
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 });
  await migrateFile(options.path);
  const writer = await startWriter(options);
  const file = openSqlite(options.path, 'reader');
  const read = kyselyOn(file, { withTransactions: false });
  return {
    dialect: 'sqlite',
    read,
    prepare: <P extends Record<string, QueryValue>, R>(build: QueryBuilder<P, R>): PreparedQuery<P, R> => {
      const template = compileTemplate(read, build);
      const statement = file.query(template.sql);
      return {
        all: async (values) => statement.all(...template.bind(values)) as R[],
        first: async (values) => (statement.get(...template.bind(values)) as R | null) ?? undefined,
      };
    },
    run: writer.run,
    close: async () => {
      await writer.close();
      file.close();
    },
  };
}

async function migrateFile(path: string): Promise<void> {
  const file = openSqlite(path, 'writer');
  try {
    await migrate(kyselyOn(file, { withTransactions: true }), 'sqlite');
  } finally {
    file.close();
  }
}

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

async function startWriter(options: SqliteOptions): Promise<Pick<Database, 'run' | 'close'>> {
  const worker = new Worker(new URL('./sqlite-writer.ts', import.meta.url).href, { smol: true });
  const waiting = new Map<number, Waiting>();
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let nextId = 1;
  let isClosing = false;
  worker.onmessage = (event: MessageEvent<WriterAnswer>): void => {
    const message = event.data;
    switch (message.kind) {
      case 'opened':
        opened.resolve();
        return;
      case 'closed':
        closed.resolve();
        return;
      case 'fatal':
        options.onFatal(message.message);
        return;
      case 'done':
        waiting.get(message.id)?.resolve(message.result as never);
        break;
      case 'failed':
        waiting.get(message.id)?.reject(revive(message.failure));
        break;
    }
    waiting.delete(message.id);
  };
  worker.onerror = (event): void => {
    const error = new Error(`the database writer failed: ${event.message}`);
    opened.reject(error);
    for (const item of waiting.values()) item.reject(error);
    waiting.clear();
    options.onFatal(error.message);
  };
  const send = (request: WriterRequest): void => worker.postMessage(request);
  send({ kind: 'open', path: options.path });
  await opened.promise;
  return {
    run: <N extends CommandName>(name: N, args: CommandArguments<N>): Promise<CommandResult<N>> => {
      if (isClosing) return Promise.reject(new OciError('UNAVAILABLE', 'the server is shutting down'));
      if (waiting.size >= waitingMax)
        return Promise.reject(new OciError('UNAVAILABLE', 'too many writes are waiting', { retryAfterMs: 1000 }));
      return new Promise((resolve, reject) => {
        const id = nextId++;
        waiting.set(id, { resolve, reject });
        send({ kind: 'command', id, name, args });
      });
    },
    close: async () => {
      if (!isClosing) {
        isClosing = true;
        send({ kind: 'close' });
      }
      await closed.promise;
      worker.terminate();
    },
  };
}

function revive(failure: FailureReport): Error {
  if (failure.code === undefined) return new Error(failure.message);
  return new OciError(failure.code as OciErrorCode, failure.message, { detail: failure.detail });
}
