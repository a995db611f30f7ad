// Kysely on bun:sqlite: one connection, compiled statements kept by their text. It knows nothing of the tables.

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
import type { Statements } from './sqlite-statements.ts';

/** A Kysely over an open connection. `withTransactions: false` leaves begin and commit to the caller. */
export function kyselyOn(statements: Statements, options: { withTransactions: boolean }): Kysely<Schema> {
  const dialect: Dialect = {
    createAdapter: () => new TransactionalSqliteAdapter(),
    createDriver: () => new FileDriver(statements, options.withTransactions),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
  return new Kysely<Schema>({ dialect });
}

/** Kysely's own says that SQLite cannot undo changes of the schema. It can, so a step of the history is done as a whole or not at all. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class FileDriver implements Driver {
  readonly #connection: DatabaseConnection;
  readonly #withTransactions: boolean;

  constructor(statements: Statements, withTransactions: boolean) {
    this.#connection = new FileConnection(statements);
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
  readonly #statements: Statements;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const statement = this.#statements.get(query.sql);
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
