// Identity providers that administrators made: rows and commands. What the settings mean is read above (auth/identity-providers.ts); a secret
// arrives here sealed.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Schema } from './schema.ts';

export type ProviderKind = Schema['identity_provider']['kind'];

export interface ProviderRow {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly isEnabled: boolean;
  /** Lower is asked first. */
  readonly position: number;
  /** JSON, without secrets. */
  readonly settings: string;
  /** Sealed. */
  readonly secret: string | undefined;
  /** Counts up with every change. */
  readonly revision: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** On one server. */
const providersMax = 64;

/** All of them, first asked first. */
export async function listProviderRows(read: Kysely<Schema>): Promise<ProviderRow[]> {
  const rows = await read.selectFrom('identity_provider').selectAll().orderBy('position').orderBy('id').limit(providersMax).execute();
  return rows.map((row) => ({
    name: row.name,
    kind: row.kind,
    isEnabled: row.is_enabled === 1,
    position: row.position,
    settings: row.settings,
    secret: row.secret ?? undefined,
    revision: row.revision,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  }));
}

/** Makes a provider, behind the others when no position is given. CONFLICT for a name that is there, or when there are too many. */
export async function createIdentityProvider(
  { trx, nowMs }: CommandContext,
  args: { name: string; kind: ProviderKind; isEnabled: boolean; position?: number; settings: string; secret?: string },
): Promise<void> {
  const rows = await trx.selectFrom('identity_provider').select(['name', 'position']).execute();
  if (rows.some((row) => row.name === args.name)) throw new OciError('CONFLICT', `an identity provider named ${args.name} exists already`);
  if (rows.length >= providersMax) throw new OciError('CONFLICT', `there are ${providersMax} identity providers already`);
  await trx
    .insertInto('identity_provider')
    .values({
      name: args.name,
      kind: args.kind,
      is_enabled: args.isEnabled ? 1 : 0,
      position: args.position ?? Math.max(0, ...rows.map((row) => row.position)) + 1,
      settings: args.settings,
      secret: args.secret ?? null,
      revision: 1,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
    })
    .execute();
}

/**
 * Changes what is given; `revision` is the one that was looked at, so that a secret is never kept beside settings it was not checked with.
 * NOT_FOUND, CONFLICT when somebody else changed it meanwhile.
 */
export async function changeIdentityProvider(
  { trx, nowMs }: CommandContext,
  args: { name: string; revision: number; isEnabled?: boolean; position?: number; settings?: string; secret?: string | null },
): Promise<void> {
  const row = await trx.selectFrom('identity_provider').select('revision').where('name', '=', args.name).executeTakeFirst();
  if (row === undefined) throw new OciError('NOT_FOUND', `there is no identity provider named ${args.name}`);
  if (row.revision !== args.revision) throw new OciError('CONFLICT', `${args.name} was changed meanwhile; read it again`);
  await trx
    .updateTable('identity_provider')
    .set({
      revision: args.revision + 1,
      updated_at_ms: nowMs,
      ...(args.isEnabled === undefined ? {} : { is_enabled: args.isEnabled ? 1 : 0 }),
      ...(args.position === undefined ? {} : { position: args.position }),
      ...(args.settings === undefined ? {} : { settings: args.settings }),
      ...(args.secret === undefined ? {} : { secret: args.secret }),
    })
    .where('name', '=', args.name)
    .execute();
}

/** NOT_FOUND; CONFLICT while accounts log in through it: another provider of that name would be given them. */
export async function removeIdentityProvider({ trx }: CommandContext, args: { name: string }): Promise<void> {
  const row = await trx.selectFrom('identity_provider').select('id').where('name', '=', args.name).executeTakeFirst();
  if (row === undefined) throw new OciError('NOT_FOUND', `there is no identity provider named ${args.name}`);
  const account = await trx.selectFrom('account').select('name').where('provider', '=', args.name).limit(1).executeTakeFirst();
  if (account !== undefined)
    throw new OciError('CONFLICT', `accounts log in through ${args.name} (${account.name}, for one); delete them first, or turn it off`);
  await trx.deleteFrom('user_group').where('provider', '=', args.name).execute();
  await trx.deleteFrom('identity_provider').where('id', '=', row.id).execute();
}
