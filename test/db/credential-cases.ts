// The contract on robots, users' tokens and workload rules.

import { describe, expect, test } from 'bun:test';
import { listAccountSecrets, prepareSecretQuery, secretsPerAccountMax } from '../../src/db/account-secrets.ts';
import { prepareLoginQuery } from '../../src/db/identity.ts';
import type { NewRobot } from '../../src/db/robot-commands.ts';
import { findRobot, listRobots, prepareRobotLoginQuery, prepareRobotQuery, readProjectNames } from '../../src/db/robots.ts';
import {
  findWorkloadRule,
  listWorkloadRules,
  prepareRuleQuery,
  prepareRulesOfIssuerQuery,
  prepareWorkloadLoginQuery,
  type WorkloadRuleValues,
} from '../../src/db/workload-rules.ts';
import { type Fixture, outcome } from './fixture.ts';

const grants = [{ where: { kind: 'project', projectId: 1 }, actions: ['repository:pull'] }] as const;

function robot(name: string, more: Partial<NewRobot> = {}): NewRobot {
  return {
    name,
    creator: 'user:1',
    description: 'd',
    secretHash: `hash of ${name}`,
    isDisabled: false,
    durationDays: 30,
    expiresAtMs: 1_900_000_000_000,
    grants,
    networks: ['10.0.0.0/8'],
    ...more,
  };
}
function rule(name: string, more: Partial<WorkloadRuleValues> = {}): WorkloadRuleValues & { creator: string } {
  return {
    name,
    description: '',
    issuer: 'https://ci.example',
    audience: 'registry',
    claims: [{ claim: 'sub', equals: 'x' }],
    grants,
    lifetimeMs: 60_000,
    isDisabled: false,
    isSingleUse: false,
    keys: { allowPrivate: false },
    creator: 'user:1',
    ...more,
  };
}

export function credentialCases(now: () => Fixture): void {
  describe('robots', () => {
    test('a robot is found by id and by name with all that was said of it', async () => {
      const { database } = now();
      const made = await database.run('createRobot', robot('found'));
      expect(made).toMatchObject({ name: 'found', projectId: undefined, durationDays: 30, expiresAtMs: 1_900_000_000_000, epoch: 0 });
      expect(made).toMatchObject({ grants, networks: ['10.0.0.0/8'], lastUsedAtMs: undefined, creator: 'user:1' });
      expect(await findRobot(database.read, made.id)).toEqual(made);
      expect(await prepareRobotQuery(database)(made.id)).toEqual(made);
      expect(await prepareRobotLoginQuery(database)('found', undefined)).toEqual({ ...made, secretHash: 'hash of found' });
      expect(await prepareRobotLoginQuery(database)('Found', undefined)).toBeUndefined();
      expect(await findRobot(database.read, made.id + 1000)).toBeUndefined();
    });
    test('a name is taken once', async () => {
      const { database } = now();
      await database.run('createRobot', robot('twice'));
      expect(await outcome(database.run('createRobot', robot('twice')))).toBe('CONFLICT');
      const made = await Promise.allSettled(Array.from({ length: 8 }, () => database.run('createRobot', robot('race'))));
      expect(made.filter((result) => result.status === 'fulfilled').length).toBe(1);
    });
    test('robots of a project go with it, and are listed apart from those of the server', async () => {
      const { database } = now();
      const project = await database.run('createProject', { name: 'robots-p', kind: 'local', isPublic: false });
      const made = await database.run('createRobot', robot('ci', { projectId: project.id }));
      const ofServer = await database.run('createRobot', robot('ci', { secretHash: 'of the server' }));
      expect(made).toMatchObject({ name: 'ci', projectId: project.id, projectName: 'robots-p' });
      const byLogin = prepareRobotLoginQuery(database);
      expect(await byLogin('ci', 'robots-p')).toMatchObject({ id: made.id, projectName: 'robots-p' });
      expect(await byLogin('ci', undefined)).toMatchObject({ id: ofServer.id, projectName: undefined });
      expect(await byLogin('ci', 'absent')).toBeUndefined();
      expect((await listRobots(database.read, project.id)).map((one) => one.id)).toEqual([made.id]);
      expect((await listRobots(database.read, undefined)).map((one) => one.id)).not.toContain(made.id);
      expect([...(await readProjectNames(database.read, [project.id, 1_000_000]))]).toEqual([[project.id, 'robots-p']]);
      await database.run('deleteProject', { name: 'robots-p' });
      expect(await findRobot(database.read, made.id)).toBeUndefined();
      expect(await outcome(database.run('createRobot', robot('ci', { projectId: project.id })))).toBe('NAME_UNKNOWN');
    });
    test('what changes is changed and the rest stays; a new secret, a switch-off and networks count the epoch up', async () => {
      const { database } = now();
      const { id } = await database.run('createRobot', robot('changing'));
      expect(await database.run('changeRobot', { id, description: 'other' })).toMatchObject({
        description: 'other',
        epoch: 0,
        durationDays: 30,
      });
      expect(await database.run('changeRobot', { id, lifetime: { durationDays: -1 } })).toMatchObject({
        durationDays: -1,
        expiresAtMs: undefined,
      });
      expect(await database.run('changeRobot', { id, secretHash: 'other' })).toMatchObject({ epoch: 1 });
      expect(await database.run('changeRobot', { id, isDisabled: true })).toMatchObject({ epoch: 2, isDisabled: true });
      expect(await database.run('changeRobot', { id, isDisabled: false })).toMatchObject({ epoch: 2, isDisabled: false });
      expect(await database.run('changeRobot', { id, networks: [] })).toMatchObject({ epoch: 3, networks: [] });
      expect(await database.run('changeRobot', { id, grants: [] })).toMatchObject({ epoch: 3, grants: [], description: 'other' });
      expect(await database.run('deleteRobot', { id })).toBe(true);
      expect(await database.run('deleteRobot', { id })).toBe(false);
      expect(await outcome(database.run('changeRobot', { id, description: 'x' }))).toBe('NOT_FOUND');
    });
  });

  describe('tokens of users', () => {
    async function account(name: string): Promise<number> {
      const { database } = now();
      await database.run('createAccount', { name, passwordHash: 'h', isAdmin: false });
      const found = await prepareLoginQuery(database)(name);
      if (found === undefined) throw new Error('no account');
      return found.id;
    }
    const token = (accountId: number, name: string, hash = `${accountId} ${name}`) =>
      ({ accountId, name, reach: 'registry', secretHash: hash, replaces: false }) as const;

    test('a token is found by its hash for its own account alone', async () => {
      const { database } = now();
      const [one, other] = [await account('token-one'), await account('token-other')];
      const made = await database.run('createAccountSecret', { ...token(one, 't', 'shared'), reach: 'api', expiresAtMs: 5 });
      expect(made).toMatchObject({ accountId: one, name: 't', reach: 'api', expiresAtMs: 5, lastUsedAtMs: undefined });
      const find = prepareSecretQuery(database);
      expect(await find(one, 'shared')).toEqual({ ...made, secretHash: 'shared' });
      expect(await find(other, 'shared')).toBeUndefined();
      expect(await find(one, 'else')).toBeUndefined();
      expect(await database.run('deleteAccountSecrets', { accountId: other, id: made.id })).toBe(0);
      expect(await database.run('deleteAccountSecrets', { accountId: one, id: made.id })).toBe(1);
      expect(await listAccountSecrets(database.read, one)).toEqual([]);
      for (const name of ['a', 'b']) await database.run('createAccountSecret', token(one, name));
      await database.run('createAccountSecret', token(other, 'a'));
      expect(await database.run('deleteAccountSecrets', { accountId: one })).toBe(2);
      expect((await listAccountSecrets(database.read, other)).map((row) => row.name)).toEqual(['a']);
    });
    test('a name is taken once unless it is replaced, and there is a limit', async () => {
      const { database } = now();
      const id = await account('token-many');
      await database.run('createAccountSecret', token(id, 'cli', 'first'));
      expect(await outcome(database.run('createAccountSecret', token(id, 'cli', 'second')))).toBe('CONFLICT');
      await database.run('createAccountSecret', { ...token(id, 'cli', 'third'), replaces: true });
      expect(await prepareSecretQuery(database)(id, 'first')).toBeUndefined();
      expect(await prepareSecretQuery(database)(id, 'third')).toBeDefined();
      for (let index = 1; index < secretsPerAccountMax; index++) await database.run('createAccountSecret', token(id, `t${index}`));
      expect(await outcome(database.run('createAccountSecret', token(id, 'more')))).toBe('CONFLICT');
      await database.run('createAccountSecret', { ...token(id, 'cli', 'fourth'), replaces: true });
      expect(await outcome(database.run('createAccountSecret', token(1_000_000, 'x')))).toBe('NOT_FOUND');
    });
  });

  describe('workload rules', () => {
    test('a rule is found by id, by issuer and in the list', async () => {
      const { database } = now();
      const first = await database.run(
        'createWorkloadRule',
        rule('wl-b', { issuer: 'https://wl.example', keys: { allowPrivate: true, ca: 'pem' } }),
      );
      const second = await database.run('createWorkloadRule', rule('wl-a', { issuer: 'https://wl.example' }));
      expect(first).toMatchObject({ ...rule('wl-b', { issuer: 'https://wl.example', keys: { allowPrivate: true, ca: 'pem' } }), epoch: 0 });
      expect(await findWorkloadRule(database.read, first.id)).toEqual(first);
      expect(await prepareRuleQuery(database)(first.id)).toEqual(first);
      expect((await prepareRulesOfIssuerQuery(database)('https://wl.example')).map((one) => one.id)).toEqual([first.id, second.id]);
      expect(await prepareRulesOfIssuerQuery(database)('https://wl.example/')).toEqual([]);
      expect((await listWorkloadRules(database.read)).map((one) => one.name).filter((name) => name.startsWith('wl-'))).toEqual([
        'wl-a',
        'wl-b',
      ]);
      expect(await outcome(database.run('createWorkloadRule', rule('wl-a')))).toBe('CONFLICT');
      expect(await outcome(database.run('changeWorkloadRule', { ...rule('wl-a'), id: first.id }))).toBe('CONFLICT');
      expect(await outcome(database.run('changeWorkloadRule', { ...rule('wl-none'), id: 1_000_000 }))).toBe('NOT_FOUND');
    });
    test('what was exchanged ends when its rule is changed or deleted', async () => {
      const { database } = now();
      const find = prepareWorkloadLoginQuery(database);
      const { id } = await database.run('createWorkloadRule', rule('wl-login'));
      const login = (secretHash: string) => ({ ruleId: id, subject: 's', expiresAtMs: Date.now() + 60_000, secretHash, max: 100 });
      await database.run('createWorkloadLogin', login('l1'));
      expect(await find('l1')).toMatchObject({ ruleId: id, subject: 's' });
      expect(await database.run('changeWorkloadRule', { ...rule('wl-login'), id })).toMatchObject({ epoch: 1 });
      expect(await find('l1')).toBeUndefined();
      await database.run('createWorkloadLogin', login('l2'));
      expect(await database.run('deleteWorkloadRule', { id })).toBe(true);
      expect(await find('l2')).toBeUndefined();
      expect(await database.run('deleteWorkloadRule', { id })).toBe(false);
    });
    test('a token that counts once is exchanged once in a race, and what has expired is cleared away', async () => {
      const { database } = now();
      const find = prepareWorkloadLoginQuery(database);
      const { id } = await database.run('createWorkloadRule', rule('wl-once'));
      const login = (secretHash: string, lifeMs = 60_000) => ({
        ruleId: id,
        subject: 's',
        expiresAtMs: Date.now() + lifeMs,
        secretHash,
        max: 100,
      });
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, (_, index) => database.run('createWorkloadLogin', { ...login(`race ${index}`), tokenHash: 'token' })),
      );
      expect(results.filter((result) => result.status === 'fulfilled').length).toBe(1);
      await database.run('createWorkloadLogin', login('old', -1));
      expect(await find('old')).toBeDefined();
      await database.run('createWorkloadLogin', login('new'));
      expect(await find('old')).toBeUndefined();
      expect(await outcome(database.run('createWorkloadLogin', { ...login('too many'), max: 2 }))).toBe('TOOMANYREQUESTS');
      const other = await database.run('createWorkloadRule', rule('wl-other'));
      await database.run('createWorkloadLogin', { ...login('of another rule'), ruleId: other.id, max: 2 });
    });
  });

  test('the last use of credentials is kept, the newest note wins, and notes on what is gone are dropped', async () => {
    const { database } = now();
    const { id } = await database.run('createRobot', robot('used'));
    const use = (kind: 'robot' | 'account_secret' | 'workload_rule', of: number, atMs: number) => ({
      kind,
      id: of,
      atMs,
      from: '10.0.0.1',
    });
    await database.run('recordCredentialUse', {
      uses: [use('robot', id, 2000), use('robot', id, 1000), use('account_secret', 1_000_000, 1), use('workload_rule', 1_000_000, 1)],
    });
    expect(await findRobot(database.read, id)).toMatchObject({ lastUsedAtMs: 2000, lastUsedFrom: '10.0.0.1' });
  });
}
