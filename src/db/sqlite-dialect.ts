// Kysely on bun:sqlite: one connection, statements cached by their text. It knows nothing of the schema.

import type { Database as SqliteFile } from 'bun:sqlite';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { Schema } from './schema.ts';

/** A Kysely over an open file. `withTransactions: false` leaves begin and commit to the caller. */
export function kyselyOn(file: SqliteFile, options: { withTransactions: boolean }): Kysely<Schema> {
  const dialect: Dialect = {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new FileDriver(file, options.withTransactions),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
  return new Kysely<Schema>({ dialect });
}

class FileDriver implements Driver {
  readonly #connection: DatabaseConnection;
  readonly #withTransactions: boolean;

  constructor(file: SqliteFile, withTransactions: boolean) {
    this.#connection = new FileConnection(file);
    this.#withTransactions = withTransactions;
  }

  async init(): Promise<void> {}
  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection;
  }
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await this.#run(connection, 'begin immediate');
  }
  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await this.#run(connection, 'commit');
  }
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await this.#run(connection, 'rollback');
  }
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {}

  async #run(connection: DatabaseConnection, sql: string): Promise<void> {
    if (!this.#withTransactions) throw new Error('this connection is inside a transaction already');
    await connection.executeQuery({ sql, parameters: [] } as unknown as CompiledQuery);
  }
}

class FileConnection implements DatabaseConnection {
  readonly #file: SqliteFile;

  constructor(file: SqliteFile) {
    this.#file = file;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.#file.query(query.sql);
    const parameters = query.parameters as never[];
    if (statement.columnNames.length > 0) return { rows: statement.all(...parameters) as R[] };
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  // biome-ignore lint/correctness/useYield: no query of ours is streamed
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not used');
  }
}
