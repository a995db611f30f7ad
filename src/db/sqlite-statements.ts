// Compiled statements of one SQLite connection, kept by their text. Bun's own cache keeps the first 20 for good and leaves all others
// to the garbage collector, and a statement that is left open keeps the file open after `close`.

import type { SQLQueryBindings, Database as SqliteFile, Statement } from 'bun:sqlite';

type AnyStatement = Statement<unknown, SQLQueryBindings[]>;

export interface Statements {
  /** The compiled statement, for use at once: a later call may finalize it. */
  get(sql: string): AnyStatement;
  /** One that stays until the end, for a query that is prepared once. */
  keep(sql: string): AnyStatement;
  /** Finalizes all of them; before the connection is closed. */
  finalize(): void;
}

/** More texts than the commands have; lists of different lengths have different texts. */
const keptMax = 256;

export function createStatements(file: SqliteFile): Statements {
  const recent = new Map<string, AnyStatement>();
  const kept: AnyStatement[] = [];
  return {
    get: (sql) => {
      const known = recent.get(sql);
      if (known !== undefined) {
        recent.delete(sql);
        recent.set(sql, known);
        return known;
      }
      const statement = file.prepare<unknown, SQLQueryBindings[]>(sql);
      recent.set(sql, statement);
      if (recent.size > keptMax) {
        for (const [oldest, old] of recent) {
          recent.delete(oldest);
          old.finalize();
          break;
        }
      }
      return statement;
    },
    keep: (sql) => {
      const statement = file.prepare<unknown, SQLQueryBindings[]>(sql);
      kept.push(statement);
      return statement;
    },
    finalize: () => {
      for (const statement of [...recent.values(), ...kept.splice(0)]) statement.finalize();
      recent.clear();
    },
  };
}
