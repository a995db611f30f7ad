// Local accounts: queries and commands. Passwords arrive here already hashed.

import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';

export interface Account {
  readonly id: number;
  readonly name: string;
  readonly passwordHash: string;
  readonly isAdmin: boolean;
}

/** An account by its name, for logins. */
export function prepareLoginQuery(database: Preparer): (name: string) => Promise<Account | undefined> {
  type Row = { id: number; name: string; password_hash: string; is_admin: number };
  const query = database.prepare<{ name: string }, Row>((read, value) =>
    read.selectFrom('account').select(['id', 'name', 'password_hash', 'is_admin']).where('name', '=', value('name')).compile(),
  );
  return async (name) => {
    const row = await query.first({ name });
    return row === undefined ? undefined : { id: row.id, name: row.name, passwordHash: row.password_hash, isAdmin: row.is_admin === 1 };
  };
}

/** Live look-up of a token's subject: the account may be gone. */
export function prepareAccountQuery(database: Preparer): (id: number) => Promise<Omit<Account, 'passwordHash'> | undefined> {
  const query = database.prepare<{ id: number }, { id: number; name: string; is_admin: number }>((read, value) =>
    read.selectFrom('account').select(['id', 'name', 'is_admin']).where('id', '=', value('id')).compile(),
  );
  return async (id) => {
    const row = await query.first({ id });
    return row === undefined ? undefined : { id: row.id, name: row.name, isAdmin: row.is_admin === 1 };
  };
}

/** Makes an account unless one of that name exists; says whether it did. */
export async function createAccount(
  { trx, nowMs }: CommandContext,
  args: { name: string; passwordHash: string; isAdmin: boolean },
): Promise<boolean> {
  const result = await trx
    .insertInto('account')
    .values({ name: args.name, password_hash: args.passwordHash, is_admin: args.isAdmin ? 1 : 0, created_at_ms: nowMs })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  return (result[0]?.numInsertedOrUpdatedRows ?? 0n) > 0n;
}
