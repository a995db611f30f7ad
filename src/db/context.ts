// What a command gets to work with.

import type { Kysely } from 'kysely';
import type { Schema } from './schema.ts';

export type Dialect = 'sqlite' | 'postgres';

export interface CommandContext {
  /** The open transaction. */
  readonly trx: Kysely<Schema>;
  readonly dialect: Dialect;
  readonly nowMs: number;
}
