// Workload identity: a job of a CI system shows the token that its system gave it, and a rule says what that opens here. The token is a password
// itself (`docker login -u workload -p $TOKEN`), or is exchanged for a short secret that outlives it (RFC 8693). No secret of ours is kept at the CI.

import type { Database } from '../db/database.ts';
import { prepareProjectQueries } from '../db/projects.ts';
import { readProjectNames } from '../db/robots.ts';
import {
  findWorkloadRule,
  listWorkloadRules,
  prepareRuleQuery,
  prepareRulesOfIssuerQuery,
  prepareWorkloadLoginQuery,
  type WorkloadKeys,
  type WorkloadRuleRecord,
} from '../db/workload-rules.ts';
import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { hashSecret, isMadeSecret, isSameDigest, makeSecret } from './credential-secret.ts';
import type { CredentialUses } from './credential-use.ts';
import { type Principal, principalKey, type WorkloadPrincipal } from './principal.ts';
import type { PrincipalSource } from './principals.ts';
import { describeGrants, findExcess, type PermissionWords, projectIdsOf, resolvePermissions, toGrantSet } from './robot-permissions.ts';
import { findUnmet, requireConditions } from './workload-claims.ts';
import { type KeyOwner, readKeySet, type WorkloadKeySets } from './workload-keys.ts';
import { checkToken, readIntro, type TokenFacts } from './workload-token.ts';

/** The user name that a CI's token is a password for; `workload+RULE` asks for one rule. */
const workloadName = 'workload';
const workloadLifetimeMaxMs = 60 * 60 * 1000;
/** Exchanged secrets of one rule that are alive at once. */
const loginsPerRuleMax = 2000;
const namePattern = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

/** A rule as it is shown. */
export interface WorkloadRuleView {
  readonly record: WorkloadRuleRecord;
  readonly permissions: readonly PermissionWords[];
}
export interface WorkloadRuleWish {
  readonly name: string;
  readonly description: string;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: WorkloadRuleRecord['claims'];
  readonly permissions: readonly PermissionWords[];
  readonly lifetimeMs: number;
  readonly isDisabled: boolean;
  readonly isSingleUse: boolean;
  readonly keys: WorkloadKeys;
}

/** What a token comes to: the rule it fits, or why it fits none. */
export type TokenVerdict =
  | { readonly rule: WorkloadRuleRecord; readonly facts: TokenFacts }
  | {
      readonly refusals: readonly { readonly rule?: string; readonly reason: string }[];
      /** The keys of an issuer could not be had: a later try may go better. */
      readonly failure?: OciError;
    };

export interface ExchangedToken {
  readonly secret: Secret;
  readonly expiresAtMs: number;
  /** That the secret is a password of. */
  readonly username: string;
  readonly principal: WorkloadPrincipal;
}

export interface Workloads {
  list(): Promise<WorkloadRuleView[]>;
  find(id: number): Promise<WorkloadRuleView | undefined>;
  /** BAD_REQUEST; CONFLICT when the name is taken; DENIED for rights the caller does not hold. */
  create(caller: Principal, wish: WorkloadRuleWish): Promise<WorkloadRuleView>;
  update(caller: Principal, id: number, wish: WorkloadRuleWish): Promise<WorkloadRuleView>;
  delete(id: number): Promise<void>;
  /** Which rule a token fits and why others do not: for administrators. */
  explain(token: string): Promise<TokenVerdict>;
  /** Whether a login under this name is a workload's. */
  ownsName(name: string): boolean;
  /** Undefined unless the password is a token that a rule lets in, or was exchanged for one and is alive. */
  authenticate(name: string, password: string, address: string | undefined): Promise<WorkloadPrincipal | undefined>;
  /** UNAUTHORIZED when no rule lets the token in; CONFLICT when it may be exchanged once and was. */
  exchange(token: string, options: { ruleName: string | undefined; address: string | undefined }): Promise<ExchangedToken>;
  /** Finds them for tokens: `workload:3:repo:team/app:ref:refs/heads/main`. */
  readonly principals: PrincipalSource;
}

export function createWorkloads(options: {
  database: Database;
  clock: Clock;
  keySets: WorkloadKeySets;
  uses: CredentialUses;
  /** Rights were changed. */
  onChange: () => void;
}): Workloads {
  const { database, clock, keySets, uses, onChange } = options;
  const rulesOf = prepareRulesOfIssuerQuery(database);
  const ruleById = prepareRuleQuery(database);
  const loginOf = prepareWorkloadLoginQuery(database);
  const projects = prepareProjectQueries(database);

  const show = async (records: readonly WorkloadRuleRecord[]): Promise<WorkloadRuleView[]> => {
    const names = await readProjectNames(database.read, [...new Set(records.flatMap((record) => projectIdsOf(record.grants)))]);
    return records.map((record) => ({ record, permissions: describeGrants(record.grants, names) }));
  };
  const showOne = async (record: WorkloadRuleRecord): Promise<WorkloadRuleView> => {
    const [view] = await show([record]);
    if (view === undefined) throw new Error('a rule was not shown');
    return view;
  };
  const prepare = async (caller: Principal, { permissions, ...wish }: WorkloadRuleWish) => {
    requireRule(wish);
    const grants = await resolvePermissions(permissions, (name) => projects.byName(name));
    const excess = findExcess(caller, grants, await readProjectNames(database.read, projectIdsOf(grants)));
    if (excess !== undefined) throw new OciError('DENIED', `you do not have the right ${excess} yourself, so no rule gives it for you`);
    return { ...wish, grants };
  };

  const judge = async (token: string, ruleName: string | undefined): Promise<TokenVerdict> => {
    const intro = readIntro(token);
    if (intro === undefined) return refused('it is no token of a CI system (a JSON Web Token with an iss)');
    const all = await rulesOf(intro.issuer);
    const rules = all.filter((rule) => !rule.isDisabled && (ruleName === undefined || rule.name === ruleName));
    if (rules.length === 0)
      return refused(`no enabled rule ${ruleName === undefined ? '' : `named ${ruleName} `}has its issuer ${intro.issuer}`);
    const checks = new Map<string, Awaited<ReturnType<typeof checkToken>>>();
    const refusals: { rule: string; reason: string }[] = [];
    let failure: OciError | undefined;
    for (const rule of rules) {
      // Rules that take their keys from one place are answered by one check.
      const place = JSON.stringify(rule.keys);
      const facts =
        checks.get(place) ??
        (await check(token, rule, intro.kid).catch((error) => {
          if (!(error instanceof OciError)) throw error;
          failure = error;
          return { refusal: error.message };
        }));
      checks.set(place, facts);
      const reason = 'refusal' in facts ? facts.refusal : findMisfit(rule, facts);
      if (reason === undefined && !('refusal' in facts)) return { rule, facts };
      refusals.push({ rule: rule.name, reason: reason ?? '' });
    }
    return { refusals, ...(failure === undefined ? {} : { failure }) };
  };
  const check = async (token: string, owner: KeyOwner, kid: string | undefined) => {
    const keys = await keySets.keysFor(owner, { kid });
    return checkToken(token, { issuer: owner.issuer, keys, nowMs: clock.nowMs() });
  };

  return {
    list: async () => show(await listWorkloadRules(database.read)),
    find: async (id) => {
      const record = await findWorkloadRule(database.read, id);
      return record === undefined ? undefined : showOne(record);
    },
    create: async (caller, wish) => {
      const values = await prepare(caller, wish);
      return showOne(await database.run('createWorkloadRule', { ...values, creator: principalKey(caller) }));
    },
    update: async (caller, id, wish) => {
      const changed = await database.run('changeWorkloadRule', { ...(await prepare(caller, wish)), id });
      onChange();
      return showOne(changed);
    },
    delete: async (id) => {
      if (!(await database.run('deleteWorkloadRule', { id }))) throw new OciError('NOT_FOUND', 'there is no such workload rule');
      onChange();
    },
    explain: (token) => judge(token, undefined),
    ownsName: (name) => name === workloadName || name.startsWith(`${workloadName}+`),
    authenticate: async (name, password, address) => {
      const ruleName = ruleNameOf(name);
      if (isMadeSecret('workload', password)) {
        const hash = hashSecret(password);
        const login = await loginOf(hash);
        if (login === undefined || !isSameDigest(hash, login.secretHash) || login.expiresAtMs <= clock.nowMs()) return undefined;
        const rule = await ruleById(login.ruleId);
        if (rule === undefined || rule.isDisabled || (ruleName !== undefined && rule.name !== ruleName)) return undefined;
        uses.note('workload_rule', rule.id, address);
        return toPrincipal(rule, login.subject);
      }
      const verdict = await judge(password, ruleName);
      if ('refusals' in verdict) throwFailure(verdict.failure);
      if ('refusals' in verdict || verdict.rule.isSingleUse) return undefined;
      uses.note('workload_rule', verdict.rule.id, address);
      return toPrincipal(verdict.rule, verdict.facts.subject);
    },
    exchange: async (token, { ruleName, address }) => {
      const verdict = await judge(token, ruleName);
      if ('refusals' in verdict) throwFailure(verdict.failure);
      if ('refusals' in verdict) throw new OciError('UNAUTHORIZED', 'no rule lets this token in', { detail: { reason: 'invalid_token' } });
      const { rule, facts } = verdict;
      const secret = makeSecret('workload');
      const expiresAtMs = clock.nowMs() + rule.lifetimeMs;
      await database.run('createWorkloadLogin', {
        ruleId: rule.id,
        subject: facts.subject,
        expiresAtMs,
        secretHash: hashSecret(secret.reveal()),
        max: loginsPerRuleMax,
        ...(rule.isSingleUse ? { tokenHash: hashSecret(token) } : {}),
      });
      uses.note('workload_rule', rule.id, address);
      return { secret, expiresAtMs, username: `${workloadName}+${rule.name}`, principal: toPrincipal(rule, facts.subject) };
    },
    principals: {
      prefix: 'workload',
      find: async (key) => {
        const [, id, subject] = /^workload:(\d{1,15}):(.+)$/.exec(key) ?? [];
        const rule = id === undefined ? undefined : await ruleById(Number(id));
        return rule === undefined || rule.isDisabled || subject === undefined ? undefined : toPrincipal(rule, subject);
      },
    },
  };
}

function toPrincipal(rule: WorkloadRuleRecord, subject: string): WorkloadPrincipal {
  const name = `${workloadName}+${rule.name}:${subject}`;
  return { kind: 'workload', ruleId: rule.id, subject, name, grants: toGrantSet(rule.grants), epoch: rule.epoch };
}

/** What is wrong with the issuer's keys is told to administrators (`explain`), not to whoever sends a token. */
function throwFailure(failure: OciError | undefined): void {
  if (failure === undefined) return;
  const retryAfterMs = failure.retryAfterMs;
  throw new OciError('UNAVAILABLE', 'the keys of the issuer of this token cannot be had now; try again shortly', {
    cause: failure,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function refused(reason: string): TokenVerdict {
  return { refusals: [{ reason }] };
}

function findMisfit(rule: WorkloadRuleRecord, facts: TokenFacts): string | undefined {
  if (!facts.audiences.includes(rule.audience)) return `its aud is ${facts.audiences.join(', ')}, not ${rule.audience}`;
  const unmet = findUnmet(rule.claims, facts.claims);
  return unmet === undefined ? undefined : `its claim ${unmet.claim} is not ${unmet.equals ?? `like ${unmet.glob ?? ''}`}`;
}

function ruleNameOf(name: string): string | undefined {
  return name.startsWith(`${workloadName}+`) ? name.slice(workloadName.length + 1) : undefined;
}

function requireRule(rule: Omit<WorkloadRuleWish, 'permissions'>): void {
  if (rule.name.length > 128 || !namePattern.test(rule.name))
    throw new OciError('BAD_REQUEST', 'name: expected at most 128 of a-z, 0-9, and single . _ - between them');
  const issuer = URL.parse(rule.issuer);
  const mayBeHttp = rule.keys.allowPrivate || rule.keys.jwks !== undefined;
  if (issuer === null || (issuer.protocol !== 'https:' && !(issuer.protocol === 'http:' && mayBeHttp)) || issuer.search !== '')
    throw new OciError('BAD_REQUEST', 'issuer: expected the https URL that the tokens have as iss, character for character');
  const { jwksUrl, jwks } = rule.keys;
  if (jwksUrl !== undefined && jwks !== undefined) throw new OciError('BAD_REQUEST', 'jwks_url and jwks: only one of them is possible');
  const keysAt = jwksUrl === undefined ? undefined : URL.parse(jwksUrl);
  if (keysAt === null || (keysAt !== undefined && keysAt.protocol !== 'https:' && !(keysAt.protocol === 'http:' && rule.keys.allowPrivate)))
    throw new OciError('BAD_REQUEST', 'jwks_url: expected an https URL');
  if (jwks !== undefined) requireKeySet(jwks);
  if (rule.audience === '')
    throw new OciError('BAD_REQUEST', 'audience: expected the aud of the tokens, such as the address of this registry');
  if (rule.lifetimeMs < 60_000 || rule.lifetimeMs > workloadLifetimeMaxMs)
    throw new OciError('BAD_REQUEST', 'lifetime_minutes: expected 1 to 60');
  requireConditions(rule.claims);
}

function requireKeySet(text: string): void {
  try {
    readKeySet(JSON.parse(text));
  } catch (cause) {
    throw new OciError('BAD_REQUEST', `jwks: ${cause instanceof Error ? cause.message : 'it is no key set'}`, { cause });
  }
}
