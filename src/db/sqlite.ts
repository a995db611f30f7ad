// The database port on SQLite: one read connection on the serving thread, one writer Worker (sqlite-writer.ts), WAL, synchronous=FULL.
// Why a Worker: docs/decisions/0002-writer-worker.md. Only one server may hold the data folder (app.ts locks it).

import { dirname } from 'node:path';
import { OciError, type OciErrorCode } from '../oci/errors.ts';
import { createCommandGate } from './command-gate.ts';
import type { CommandArguments, CommandName, CommandResult } from './commands.ts';
import type { Database } from './database.ts';
import { makeDurableFolder } from './durable-folder.ts';
import { migrate } from './migrations.ts';
import { compileTemplate, type PreparedQuery, type QueryBuilder, type QueryValue } from './prepared.ts';
import { kyselyOn } from './sqlite-dialect.ts';
import { assertSafeSqlite, openSqlite } from './sqlite-file.ts';
import { createStatements } from './sqlite-statements.ts';
import type { FailureReport, WriterAnswer, WriterRequest } from './sqlite-writer.ts';

export interface SqliteOptions {
  readonly path: string;
  /** Called once when the database can no longer be written: the process must end (crash-only). */
  readonly onFatal: (message: string) => void;
}

/** Opens the file, made when absent, and brings it up to date. Throws, with nothing left open, when it cannot. */
export async function openSqliteDatabase(options: SqliteOptions): Promise<Database> {
  assertSafeSqlite();
  makeDurableFolder(dirname(options.path));
  await migrateFile(options.path);
  const file = openSqlite(options.path, 'reader');
  const statements = createStatements(file);
  const read = kyselyOn(statements, { withTransactions: false });
  const closeReader = (): void => {
    statements.finalize();
    file.close();
  };
  const writer = await startWriter(options).catch((error) => {
    closeReader();
    throw error;
  });
  const gate = createCommandGate();
  let closed: Promise<void> | undefined;
  return {
    dialect: 'sqlite',
    read,
    prepare: <P extends Record<string, QueryValue>, R>(build: QueryBuilder<P, R>): PreparedQuery<P, R> => {
      const template = compileTemplate(read, build);
      const statement = statements.keep(template.sql);
      return {
        all: async (values) => statement.all(...template.bind(values)) as R[],
        first: async (values) => (statement.get(...template.bind(values)) as R | null) ?? undefined,
      };
    },
    run: (name, args) => gate.run(args, () => writer.run(name, args)),
    close: () => {
      closed ??= gate
        .close()
        .then(() => writer.close())
        .then(closeReader);
      return closed;
    },
  };
}

/** One look into the file, beside a server or without one; makes and changes nothing. Throws when it is not there. */
export async function readSqliteDatabase<T>(path: string, look: (read: Database['read']) => Promise<T>): Promise<T> {
  const file = openSqlite(path, 'reader');
  const statements = createStatements(file);
  try {
    return await look(kyselyOn(statements, { withTransactions: false }));
  } finally {
    statements.finalize();
    file.close();
  }
}

/** Closing the only connection folds the log into the file, so that what is served was read back and synced, never a leftover of a failed sync. */
async function migrateFile(path: string): Promise<void> {
  const file = openSqlite(path, 'writer');
  const statements = createStatements(file);
  try {
    await migrate(kyselyOn(statements, { withTransactions: true }), 'sqlite');
  } finally {
    statements.finalize();
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
  let isOpen = false;
  let isBroken = false;
  const end = (message: string): void => {
    if (isBroken) return;
    isBroken = true;
    if (isOpen) options.onFatal(message);
    else opened.reject(new Error(`the database cannot be opened for writing: ${message}`));
  };
  worker.onmessage = (event: MessageEvent<WriterAnswer>): void => {
    const message = event.data;
    switch (message.kind) {
      case 'opened':
        isOpen = true;
        opened.resolve();
        return;
      case 'closed':
        closed.resolve();
        return;
      case 'fatal':
        end(message.message);
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
  // The Worker itself is gone: whether what it had begun was committed is unknown.
  worker.onerror = (event): void => {
    const message = `the database writer failed: ${event.message}`;
    for (const item of waiting.values()) item.reject(new Error(message));
    waiting.clear();
    closed.resolve();
    end(message);
  };
  const send = (request: WriterRequest): void => worker.postMessage(request);
  send({ kind: 'open', path: options.path });
  await opened.promise.catch((error) => {
    worker.terminate();
    throw error;
  });
  return {
    run: <N extends CommandName>(name: N, args: CommandArguments<N>): Promise<CommandResult<N>> => {
      if (isBroken) return Promise.reject(new OciError('UNAVAILABLE', 'the database cannot be written'));
      return new Promise((fulfil, reject) => {
        const id = nextId++;
        waiting.set(id, { resolve: fulfil, reject });
        send({ kind: 'command', id, name, args });
      });
    },
    close: async () => {
      send({ kind: 'close' });
      await closed.promise;
      worker.terminate();
    },
  };
}

function revive({ message, code, detail, retryAfterMs }: FailureReport): Error {
  if (code === undefined) return new Error(message);
  return new OciError(code as OciErrorCode, message, { detail, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}
