// Rules by which a CI's token opens something here, and the short secrets that such tokens were exchanged for.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';
import type { StoredGrant } from './robots.ts';
import type { Schema } from './schema.ts';

/** What a claim of the token must be. `claim` is its name, or a JSON pointer (RFC 6901) when it begins with a slash. */
export interface ClaimCondition {
  readonly claim: string;
  readonly equals?: string;
  readonly glob?: string;
}

export interface WorkloadRuleValues {
  /** Unique. */
  readonly name: string;
  readonly description: string;
  /** The token's `iss`, exactly. */
  readonly issuer: string;
  /** One of the token's `aud`, exactly. */
  readonly audience: string;
  readonly claims: readonly ClaimCondition[];
  readonly grants: readonly StoredGrant[];
  /** Of what the token is exchanged for. */
  readonly lifetimeMs: number;
  readonly isDisabled: boolean;
  /** A token is exchanged once and is no password itself. */
  readonly isSingleUse: boolean;
  readonly keys: WorkloadKeys;
}

/** Where the issuer's keys come from: its discovery document, another address, or the rule itself. */
export interface WorkloadKeys {
  readonly jwksUrl?: string;
  /** A JSON Web Key Set. */
  readonly jwks?: string;
  /** The issuer may be at a private address. */
  readonly allowPrivate: boolean;
  /** PEM of the authority that the issuer's certificate is of. */
  readonly ca?: string;
}

export interface WorkloadRuleRecord extends WorkloadRuleValues {
  readonly id: number;
  readonly creator: string;
  readonly epoch: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly lastUsedAtMs: number | undefined;
  readonly lastUsedFrom: string | undefined;
}

const workloadRulesMax = 500;
const sweepMax = 1000;

type RuleRow = { [K in keyof Omit<Schema['workload_rule'], 'id'>]: Schema['workload_rule'][K] } & { id: number };

/** Rules of an issuer, the oldest first. */
export function prepareRulesOfIssuerQuery(database: Preparer): (issuer: string) => Promise<WorkloadRuleRecord[]> {
  const query = database.prepare<{ issuer: string }, RuleRow>((read, value) =>
    read.selectFrom('workload_rule').selectAll().where('issuer', '=', value('issuer')).orderBy('id').compile(),
  );
  return async (issuer) => (await query.all({ issuer })).map(toRule);
}

/** Live look-up of a token's subject: the rule may be gone. */
export function prepareRuleQuery(database: Preparer): (id: number) => Promise<WorkloadRuleRecord | undefined> {
  const query = database.prepare<{ id: number }, RuleRow>((read, value) =>
    read.selectFrom('workload_rule').selectAll().where('id', '=', value('id')).compile(),
  );
  return async (id) => {
    const row = await query.first({ id });
    return row === undefined ? undefined : toRule(row);
  };
}

export interface WorkloadLogin {
  readonly ruleId: number;
  readonly subject: string;
  readonly expiresAtMs: number;
  readonly secretHash: string;
}

/** What an exchanged secret stands for, by its hash. */
export function prepareWorkloadLoginQuery(database: Preparer): (hash: string) => Promise<WorkloadLogin | undefined> {
  const query = database.prepare<{ hash: string }, Schema['workload_login']>((read, value) =>
    read.selectFrom('workload_login').selectAll().where('secret_hash', '=', value('hash')).compile(),
  );
  return async (hash) => {
    const row = await query.first({ hash });
    if (row === undefined) return undefined;
    return { ruleId: row.rule_id, subject: row.subject, expiresAtMs: row.expires_at_ms, secretHash: row.secret_hash };
  };
}

/** All rules by name; their number is limited. */
export async function listWorkloadRules(read: Kysely<Schema>): Promise<WorkloadRuleRecord[]> {
  return (await read.selectFrom('workload_rule').selectAll().orderBy('name').execute()).map(toRule);
}

export async function findWorkloadRule(read: Kysely<Schema>, id: number): Promise<WorkloadRuleRecord | undefined> {
  const row = await read.selectFrom('workload_rule').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toRule(row);
}

/** CONFLICT when the name is taken or there are too many. */
export async function createWorkloadRule(
  { trx, nowMs }: CommandContext,
  args: WorkloadRuleValues & { creator: string },
): Promise<WorkloadRuleRecord> {
  const { count } = await trx
    .selectFrom('workload_rule')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) >= workloadRulesMax) throw new OciError('CONFLICT', `there may be at most ${workloadRulesMax} workload rules`);
  const row = await trx
    .insertInto('workload_rule')
    .values({
      ...columnsOf(args),
      creator: args.creator,
      epoch: 0,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
      last_used_at_ms: null,
      last_used_address: null,
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw nameTaken(args.name);
  return toRule(row);
}

/** Replaces the values of a rule and ends what was exchanged by it. NOT_FOUND; CONFLICT when the name is taken. */
export async function changeWorkloadRule(
  { trx, nowMs }: CommandContext,
  args: WorkloadRuleValues & { id: number },
): Promise<WorkloadRuleRecord> {
  const other = await trx
    .selectFrom('workload_rule')
    .select('id')
    .where('name', '=', args.name)
    .where('id', '<>', args.id)
    .executeTakeFirst();
  if (other !== undefined) throw nameTaken(args.name);
  await trx.deleteFrom('workload_login').where('rule_id', '=', args.id).execute();
  const row = await trx
    .updateTable('workload_rule')
    .set((set) => ({ ...columnsOf(args), updated_at_ms: nowMs, epoch: set('epoch', '+', 1) }))
    .where('id', '=', args.id)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new OciError('NOT_FOUND', 'there is no such workload rule');
  return toRule(row);
}

/** Says whether there was one. What was exchanged by it goes, too. */
export async function deleteWorkloadRule({ trx }: CommandContext, args: { id: number }): Promise<boolean> {
  const result = await trx.deleteFrom('workload_rule').where('id', '=', args.id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/**
 * Keeps what a token was exchanged for, and clears away what has expired. CONFLICT when a token with this `tokenHash` was exchanged before;
 * TOOMANYREQUESTS when `max` of the rule are alive: one job that goes on and on takes nothing from those of other rules.
 */
export async function createWorkloadLogin(
  { trx, nowMs }: CommandContext,
  args: WorkloadLogin & { tokenHash?: string; max: number },
): Promise<void> {
  await trx
    .deleteFrom('workload_login')
    .where('secret_hash', 'in', (select) =>
      select
        .selectFrom('workload_login')
        .select('secret_hash')
        .where('expires_at_ms', '<=', nowMs)
        .orderBy('expires_at_ms')
        .limit(sweepMax),
    )
    .execute();
  const { count } = await trx
    .selectFrom('workload_login')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('rule_id', '=', args.ruleId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= args.max)
    throw new OciError('TOOMANYREQUESTS', 'too many tokens were exchanged by this rule and are alive', { retryAfterMs: 60_000 });
  const inserted = await trx
    .insertInto('workload_login')
    .values({
      secret_hash: args.secretHash,
      rule_id: args.ruleId,
      subject: args.subject,
      token_hash: args.tokenHash ?? null,
      created_at_ms: nowMs,
      expires_at_ms: args.expiresAtMs,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if ((inserted.numInsertedOrUpdatedRows ?? 0n) === 0n) throw new OciError('CONFLICT', 'this token was exchanged already');
}

function columnsOf(values: WorkloadRuleValues) {
  return {
    name: values.name,
    description: values.description,
    issuer: values.issuer,
    audience: values.audience,
    claims: JSON.stringify(values.claims),
    permissions: JSON.stringify(values.grants),
    lifetime_ms: values.lifetimeMs,
    is_disabled: values.isDisabled ? 1 : 0,
    is_single_use: values.isSingleUse ? 1 : 0,
    keys: JSON.stringify(values.keys),
  };
}

function toRule(row: RuleRow): WorkloadRuleRecord {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    issuer: row.issuer,
    audience: row.audience,
    claims: JSON.parse(row.claims) as ClaimCondition[],
    grants: JSON.parse(row.permissions) as StoredGrant[],
    lifetimeMs: row.lifetime_ms,
    isDisabled: row.is_disabled === 1,
    isSingleUse: row.is_single_use === 1,
    keys: JSON.parse(row.keys) as WorkloadKeys,
    creator: row.creator,
    epoch: row.epoch,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    lastUsedAtMs: row.last_used_at_ms ?? undefined,
    lastUsedFrom: row.last_used_address ?? undefined,
  };
}

function nameTaken(name: string): OciError {
  return new OciError('CONFLICT', `a workload rule named ${name} exists already`);
}
