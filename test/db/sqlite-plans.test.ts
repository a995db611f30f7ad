// Every statement of every command and query finds its rows by an index: what is asked of a store with a million manifests costs what it
// costs in an empty one. The statements are those the program sends, as SQLite plans them.

import type { Database as SqliteFile } from 'bun:sqlite';
import { afterAll, beforeAll, expect, test } from 'bun:test';
import type { Kysely } from 'kysely';
import { listAccountSecrets, prepareSecretQuery } from '../../src/db/account-secrets.ts';
import { readLabelsOf } from '../../src/db/artifact-labels.ts';
import { findArtifact, findTaggedDigest, listAccessoryPage, listArtifactPage, readManifestIds } from '../../src/db/artifact-lists.ts';
import { listArtifactTags, readTagsOf } from '../../src/db/artifact-tags.ts';
import { listAudit, readAuditRows } from '../../src/db/audit.ts';
import { findCachedSample } from '../../src/db/canaries.ts';
import { type CommandArguments, type CommandName, commands, runCommand } from '../../src/db/commands.ts';
import {
  listReferrers,
  listRepositories,
  listTags,
  prepareContentQueries,
  readListedReferrers,
  readManifestsNaming,
  readReferenceTrails,
  readTagTrail,
} from '../../src/db/content.ts';
import { findExternalAccount, isSuspended, listProviderAccounts } from '../../src/db/directory-accounts.ts';
import { prepareAccountQuery, prepareLoginQuery } from '../../src/db/identity.ts';
import { findLabel, listLabels } from '../../src/db/labels.ts';
import { migrate } from '../../src/db/migrations.ts';
import { countOverview, searchNames } from '../../src/db/overview.ts';
import { compileTemplate, type Preparer } from '../../src/db/prepared.ts';
import { listProjectPage } from '../../src/db/project-lists.ts';
import { countMembers, readOwnRoles, readProjectDetails } from '../../src/db/project-words.ts';
import { findContent, getMeta, prepareProjectQueries } from '../../src/db/projects.ts';
import { findRepository, listRepositoryNames, listRepositoryPage } from '../../src/db/repository-lists.ts';
import { findRobot, listRobots, prepareRobotLoginQuery, prepareRobotQuery, readProjectNames } from '../../src/db/robots.ts';
import type { Schema } from '../../src/db/schema.ts';
import { sealedColumns } from '../../src/db/sealed-columns.ts';
import { countSessions, listSessions, prepareSessionQuery } from '../../src/db/sessions.ts';
import { readSourceHistory, sumSourceHistory } from '../../src/db/source-history.ts';
import { kyselyOn } from '../../src/db/sqlite-dialect.ts';
import { openSqlite } from '../../src/db/sqlite-file.ts';
import { createStatements } from '../../src/db/sqlite-statements.ts';
import { listTagPage } from '../../src/db/tag-pages.ts';
import { prepareUploadQuery } from '../../src/db/uploads.ts';
import { findUsageStretch, readUsage } from '../../src/db/usage.ts';
import {
  findWorkloadRule,
  listWorkloadRules,
  prepareRuleQuery,
  prepareRulesOfIssuerQuery,
  prepareWorkloadLoginQuery,
} from '../../src/db/workload-rules.ts';
import { auditRow } from './audit-cases.ts';
import { child, digest, layer, manifest, storedImage } from './fixture.ts';
import { accountLists, peopleLists, peopleSamples } from './people-plans.ts';
import { source } from './source-cases.ts';

/** Open sessions, registries and their sources, pinned images and warm-up runs are limited in number; values of an insert are no table. */
const mayScan = [
  /^SCAN account USING INDEX account_admin/,
  /^SCAN (role|user_group)\b/,
  /^SCAN label USING INDEX label_global/,
  /^SCAN setting\b/,
  /^SCAN upload USING COVERING INDEX/,
  // Bounded: the place in the index behind which there are too many rows.
  /^SCAN login_trace USING COVERING INDEX/,
  /^SCAN source_(registry|seed)\b/,
  /^SCAN (pin|warmup|identity_provider)\b/,
  /^SCAN (pin|warmup|audit_chain|token_key)\b/,
  /^SCAN \d+-ROW VALUES CLAUSE/,
  /^SCAN workload_rule\b/,
];

let file: SqliteFile;
let trx: Kysely<Schema>;
let sent: string[] = [];

beforeAll(async () => {
  file = openSqlite(':memory:', 'writer');
  const statements = createStatements(file);
  await migrate(kyselyOn(statements, { withTransactions: true }), 'sqlite');
  const recording = {
    ...statements,
    get: (sql: string) => {
      sent.push(sql);
      return statements.get(sql);
    },
  };
  trx = kyselyOn(recording, { withTransactions: false });
});
afterAll(() => file.close());

/** The steps of all statements sent meanwhile that read a table from end to end or sort what they read. */
async function badSteps(task: () => Promise<unknown>): Promise<string[]> {
  sent = [];
  await task();
  expect(sent.length).toBeGreaterThan(0);
  return planProblems([...new Set(sent)]);
}

function planProblems(statements: readonly string[]): string[] {
  return statements.flatMap((sql) =>
    planOf(sql)
      .filter((step) => /^SCAN |TEMP B-TREE|AUTOMATIC/.test(step) && !mayScan.some((allowed) => allowed.test(step)))
      .map((step) => `${step}: ${sql}`),
  );
}

function planOf(sql: string): string[] {
  const parameters = Array.from({ length: sql.split('?').length - 1 }, () => null);
  const statement = file.prepare<{ detail: string }, null[]>(`explain query plan ${sql}`);
  const steps = statement.all(...parameters).map((row) => row.detail);
  statement.finalize();
  return steps;
}

const repositoryId = 1;
const robot = {
  creator: 'user:1',
  description: '',
  secretHash: 'h',
  isDisabled: false,
  durationDays: -1,
  grants: [],
  networks: [],
};
const workloadRule = {
  name: 'w',
  description: '',
  issuer: 'https://ci.example',
  audience: 'a',
  claims: [],
  grants: [],
  lifetimeMs: 60_000,
  isDisabled: false,
  isSingleUse: false,
  keys: { allowPrivate: false },
};
/** Gets a copy, and goes. */
const copyId = 2;
const copied = storedImage('a', 'b');
const samples: { readonly [N in CommandName]: CommandArguments<N>[] } = {
  ...peopleSamples,
  recordAudit: [{ rows: [auditRow(), auditRow()] }],
  removeOldAudit: [
    { beforeMs: 1, max: 10, actor: 'x' },
    { beforeMs: 9_999_999, max: 10, actor: 'x' },
  ],
  setMeta: [{ key: 'k', value: 'v' }],
  addTokenKey: [
    { id: 'k1', privateKey: 'x', youngest: null, othersRetireAtMs: 1 },
    { id: 'k2', privateKey: 'x', youngest: 'k1', othersRetireAtMs: 1 },
  ],
  recordLogins: [
    { changes: [{ place: 'p', failures: 1, windowMs: 1000, failedAtMs: 1, expiresAtMs: 2_000_000 }] },
    { changes: [{ place: 'p', failures: 0, windowMs: 1000, failedAtMs: 0, succeededAtMs: 5, expiresAtMs: 2_000_000 }] },
  ],
  sweepLogins: [{ max: 0 }],
  createAccount: [{ name: 'a', passwordHash: 'h', isAdmin: true }],
  createProject: [{ name: 'p', kind: 'local', isPublic: true }],
  ensureMirrorProject: [
    { registry: 'm', isPublic: true },
    { registry: 'm', isPublic: false },
  ],
  ensureRepository: [
    { projectId: 1, name: 'p/r' },
    { projectId: 1, name: 'p/r' },
    { projectId: 1, name: 'p/gone' },
  ],
  createUpload: [
    {
      id: 'u',
      repositoryId,
      principal: 'user:1',
      algorithm: 'sha256',
      expiresAtMs: 1,
      limits: { perPrincipal: 9, perRepository: 9, total: 9 },
    },
  ],
  extendUpload: [{ id: 'u', expiresAtMs: 1 }],
  deleteExpiredUploads: [{ inUse: ['x', 'y'], max: 10 }],
  deleteUpload: [{ id: 'u' }],
  recordBlob: ['a', 'a', 'b'].map((text, index) => ({
    repositoryId,
    digest: digest(text),
    storageKey: `${text}.${index}`,
    sizeBytes: 1,
    origin: 'public',
    trail: '{}',
    uploadId: 'u',
  })),
  linkBlob: [{ repositoryId, digest: digest('a') }],
  mountBlob: [{ repositoryId, fromRepository: 'p/r', digest: digest('a') }],
  putManifest: [
    manifest(repositoryId, 'kid', { tags: ['t'] }),
    manifest(repositoryId, 'image', { references: [layer('a'), layer('b')], tags: ['t'], subjectDigest: digest('kid') }),
    { ...copied, repositoryId },
    { ...storedImage('a', 'b', copied.digest), repositoryId, subjectDigest: copied.digest },
    manifest(repositoryId, 'index', { references: [child('kid'), layer('c')], tags: ['t', 'u'], completeness: 'mirror' }),
  ],
  recordListedReferrers: [{ repositoryId, subject: digest('index'), descriptors: '[]' }],
  recordTagRemoval: [{ repositoryId, tag: 't', digest: digest('index'), trail: '{}' }],
  recordTagCheck: [{ repositoryId, tag: 't', digest: digest('index'), verified: true, trust: 'confirmed', trail: '{}' }],
  deleteTag: [{ repositoryId, tag: 'u' }],
  deleteManifest: [{ repositoryId, digest: digest('index'), allowsSparse: false }],
  describeRepository: [{ repositoryId, description: 'd' }],
  createTag: [
    { repositoryId, digest: digest('image'), tag: 'new' },
    { repositoryId, digest: digest('image'), tag: 'new' },
  ],
  copyArtifact: [{ fromRepositoryId: repositoryId, repositoryId: copyId, digest: copied.digest, tags: ['c'], completeness: 'complete' }],
  addArtifactLabel: [{ repositoryId, digest: digest('image'), labelId: 1 }],
  removeArtifactLabel: [{ repositoryId, digest: digest('image'), labelId: 1 }],
  deleteArtifact: [{ repositoryId, digest: digest('kid'), allowsSparse: true }],
  deleteBlob: [{ repositoryId, digest: digest('c') }],
  deleteProject: [{ name: 'm' }],
  recordUse: [
    {
      tags: [{ repository: 'p/r', tags: ['1', '2'] }],
      blobs: [digest('a'), digest('b')],
      pulls: [{ repository: 'p/r', count: 2, digests: [digest('a')] }],
    },
  ],
  adoptBlob: [{ repositoryId, digest: digest('a') }],
  addPins: [{ set: 's', pins: [{ image: 'i:1', platforms: 'all', repository: 'p/r', reference: '1' }] }],
  removePins: [{ set: 's', images: ['i:1'] }, { set: 's' }],
  createWarmup: [{ id: 'w', name: 'n', spec: '{}' }],
  endWarmup: [{ id: 'w', state: 'done', result: '[]' }],
  reconcileSources: [
    { registries: [{ name: 'm', origin: 'config', hash: 'h', sources: [{ ...source('https://a.test'), hash: 'a' }] }] },
    { registries: [{ name: 'm', origin: 'config', hash: 'i', sources: [{ ...source('https://a.test'), hash: 'b' }] }] },
    { registries: [] },
  ],
  recordSourceHistory: [1, 2].map(() => ({
    activities: [{ source: 's', atMs: 1_000_000, requests: 1, ok: 1, bytes: 1, latencies: [1], verdicts: { timeout: 1 } }],
  })),
  addRegistry: [{ name: 's', origin: 'api', sources: [source('https://a.test'), source('https://b.test')] }],
  changeRegistry: [{ name: 's', isPublic: false }],
  describeRegistry: [{ name: 's', words: { title: 'mine', type: 'harbor', description: 'd' } }],
  addSource: [{ registry: 's', origin: 'api', values: source('https://c.test') }],
  changeSource: [{ id: 2, values: { url: 'https://d.test' } }],
  orderSources: [{ registry: 's', ids: [2, 3, 4] }],
  removeSource: [{ id: 2 }],
  removeRegistry: [{ name: 's', force: true }],
  finishRewrap: [{ checkKey: 'a', check: 'b', nextKey: 'c' }],
  createIdentityProvider: [{ name: 'i', kind: 'ldap', isEnabled: true, settings: '{}' }],
  changeIdentityProvider: [{ name: 'i', revision: 1, isEnabled: false }],
  removeIdentityProvider: [{ name: 'i' }],
  onboardAccount: [
    { identity: { provider: 'i', externalId: 'x', name: 'n', groups: [{ externalName: 'g', name: 'g' }] }, mayCreate: true, isLogin: true },
    { identity: { provider: 'i', externalId: 'x', name: 'm', groups: [] }, mayCreate: true, isLogin: true },
  ],
  suspendAccounts: [{ provider: 'i', ids: [2, 3] }],
  replaceSealed: [{ replacements: sealedColumns.map(({ row }, column) => ({ column, key: row, before: 'a', after: 'b' })) }],
  createLabel: [
    { name: 'l', description: '', color: '' },
    { name: 'l', description: '', color: '', projectId: 1 },
  ],
  changeLabel: [{ id: 1, name: 'm', description: '', color: '' }],
  deleteLabel: [{ id: 1 }],
  createRobot: [
    { ...robot, name: 'r' },
    { ...robot, name: 'r', projectId: 1 },
  ],
  changeRobot: [{ id: 1, description: 'd', secretHash: 'h' }],
  deleteRobot: [{ id: 1 }],
  createAccountSecret: [{ accountId: 1, name: 's', reach: 'api', secretHash: 'h', replaces: true }],
  deleteAccountSecrets: [{ accountId: 1, id: 1 }, { accountId: 1 }],
  createWorkloadRule: [{ ...workloadRule, creator: 'user:1' }],
  changeWorkloadRule: [{ ...workloadRule, id: 1 }],
  createWorkloadLogin: [{ ruleId: 1, subject: 's', expiresAtMs: 1, secretHash: 'h', tokenHash: 't', max: 9 }],
  deleteWorkloadRule: [{ id: 1 }],
  recordCredentialUse: [
    { uses: (['robot', 'account_secret', 'workload_rule'] as const).map((kind) => ({ kind, id: 1, atMs: 1, from: '10.0.0.1' })) },
  ],
  changeProject: [
    { id: 1, isPublic: false, metadata: [{ name: 'auto_scan', value: 'true' }], removedMetadata: ['severity'], cveAllowlist: '{}' },
  ],
  changeSettings: [{ values: [{ name: 's', value: '1' }] }],
  removeRepositoryPart: Array.from({ length: 5 }, () => ({ repositoryId: copyId })),
  createSession: [
    { secretHash: 'a', accountId: 1, accountEpoch: 0, userAgent: '', expiresAtMs: 1, replaces: 'b' },
    { secretHash: 'b', accountId: 1, accountEpoch: 0, userAgent: '', expiresAtMs: 1 },
  ],
  touchSession: [{ id: 1 }],
  renewSession: [{ id: 1, secretHash: 'c' }],
  deleteSession: [{ id: 1 }, { id: 1, accountId: 1 }],
  deleteSessions: [{ accountId: 1 }, { accountId: 1, exceptId: 1 }],
  deleteExpiredSessions: [{ idleMs: 1 }],
  createLoginAttempt: [{ stateHash: 's', browserHash: 'b', provider: 'p', purpose: 'login', returnTo: '/', lifeMs: 1 }],
  takeLoginAttempt: [{ stateHash: 's', browserHash: 'b' }],
};

for (const name of Object.keys(samples) as CommandName[]) {
  test(`${name} scans no table`, async () => {
    for (const args of samples[name] as unknown[]) {
      // A refusal is no matter here: its statements were sent too.
      const problems = await badSteps(() => runCommand({ trx, dialect: 'sqlite', nowMs: 1_000_000 }, name, args).catch(() => undefined));
      expect(problems).toEqual([]);
    }
  });
}

test('what a new blob completes is found among what is absent, however many manifests have it', async () => {
  sent = [];
  await runCommand({ trx, dialect: 'sqlite', nowMs: 1 }, 'recordBlob', {
    repositoryId,
    digest: digest('popular'),
    storageKey: 'popular.1',
    sizeBytes: 1,
    origin: 'public',
  }).catch(() => undefined);
  const update = sent.filter((sql) => sql.startsWith('update "manifest_ref"'));
  expect(update.length).toBe(1);
  expect(planOf(update[0] ?? '').join()).toContain('manifest_ref_absent');
});

test('every command has a sample here', () => {
  expect(Object.keys(samples).sort()).toEqual(Object.keys(commands).sort());
});

test('the prepared queries scan no table', () => {
  const texts: string[] = [];
  const preparer: Preparer = {
    prepare: (build) => {
      texts.push(compileTemplate(trx, build).sql);
      return { all: async () => [], first: async () => undefined };
    },
  };
  prepareContentQueries(preparer);
  prepareProjectQueries(preparer);
  prepareUploadQuery(preparer);
  prepareAccountQuery(preparer);
  prepareLoginQuery(preparer);
  prepareRobotLoginQuery(preparer);
  prepareRobotQuery(preparer);
  prepareSecretQuery(preparer);
  prepareRulesOfIssuerQuery(preparer);
  prepareRuleQuery(preparer);
  prepareWorkloadLoginQuery(preparer);
  prepareSessionQuery(preparer);
  expect(texts.length).toBeGreaterThanOrEqual(10);
  // The mirror of a registry is looked up among projects, which are few, and its answer is kept.
  const projects = texts.filter((sql) => sql.includes('"registry" = ?'));
  expect(projects.length).toBe(1);
  expect(planProblems(texts.filter((sql) => !projects.includes(sql)))).toEqual([]);
});

test('pages of the audit log come from an index, whatever they are asked for by', async () => {
  const wish = { scope: 'all' as const, conditions: [], limit: 10, offset: 0, after: { atMs: 5, id: 5 } };
  const reader = { read: trx, dialect: 'sqlite' as const };
  const fields = [
    ['username', 'a'],
    ['operation', 'create'],
    ['resource_type', 'project'],
  ] as const;
  for (const descending of [true, false]) {
    expect(await badSteps(() => listAudit(reader, { ...wish, descending }))).toEqual([]);
    expect(await badSteps(() => listAudit(reader, { ...wish, descending, scope: [7] }))).toEqual([]);
    for (const [field, value] of fields)
      expect(await badSteps(() => listAudit(reader, { ...wish, descending, conditions: [{ field, kind: 'exact', value }] }))).toEqual([]);
    const range = [{ field: 'op_time' as const, kind: 'range' as const, min: 1, max: 9 }];
    expect(await badSteps(() => listAudit(reader, { ...wish, descending, conditions: range }))).toEqual([]);
  }
  expect(await badSteps(() => readAuditRows(trx, { afterId: 3, limit: 10 }))).toEqual([]);
});

test('lists of people scan no table and sort nothing; a part of a name is looked for among all', async () => {
  for (const list of peopleLists(trx)) expect(await badSteps(list)).toEqual([]);
  for (const list of accountLists(trx)) expect((await badSteps(list)).filter((step) => !/^SCAN account\b/.test(step))).toEqual([]);
});

test('SEC-G08: lists and trails scan no table and sort nothing', async () => {
  const subject = digest('kid');
  for (const more of [{}, { after: 'm' }, { artifactType: 'a/x' }, { artifactType: 'a/x', after: 'm' }]) {
    expect(await badSteps(() => listTags(trx, { repositoryId, limit: 10, ...more }))).toEqual([]);
    expect(await badSteps(() => listReferrers(trx, { repositoryId, subject, limit: 10, ...more }))).toEqual([]);
  }
  expect(await badSteps(() => readTagTrail(trx, 'p/r', 't'))).toEqual([]);
  expect(await badSteps(() => getMeta(trx, 'k'))).toEqual([]);
  expect(await badSteps(() => readListedReferrers(trx, 'p/r', subject))).toEqual([]);
  expect(await badSteps(() => readManifestsNaming(trx, 'p/r', digest('a'), 5))).toEqual([]);
  expect(await badSteps(() => listTagPage(trx, { after: 0, limit: 10 }))).toEqual([]);
  expect(await badSteps(() => readSourceHistory(trx, { source: 's', spanMs: 60_000, sinceMs: 0 }))).toEqual([]);
  expect(await badSteps(() => sumSourceHistory(trx, { source: 's', sinceMs: 0 }))).toEqual([]);
  // Projects are few: a list of them may look at each, by its name's index.
  const wish = { conditions: [{ field: 'name', kind: 'part', value: 'a' } as const], order: [], offset: 0, limit: 10 };
  for (const scope of ['all', { publicToo: true, ids: [1, 2] }] as const) {
    const steps = await badSteps(() => listProjectPage({ read: trx, dialect: 'sqlite' }, { scope, wish }));
    expect(steps.filter((step) => !/^SCAN (project|json_each)\b/.test(step))).toEqual([]);
  }
  // So may numbers over all of them, and a search by a part of a name, which no index finds; repositories by the index of their names.
  for (const scope of ['all', { publicToo: true, ids: [1, 2] }] as const) {
    const mayLookAtAll = /^(SCAN (project|json_each)\b|SCAN repository USING INDEX|USE TEMP B-TREE FOR GROUP BY)/;
    const database = { read: trx, dialect: 'sqlite' } as const;
    for (const task of [() => countOverview(database, scope), () => searchNames(database, { scope, text: 'a', limit: 5 })])
      expect((await badSteps(task)).filter((step) => !mayLookAtAll.test(step))).toEqual([]);
  }
  expect(await badSteps(() => readProjectDetails(trx, [1, 2]))).toEqual([]);
  expect(await badSteps(() => readOwnRoles(trx, { accountId: 1, ids: [1, 2] }))).toEqual([]);
  expect((await badSteps(() => countMembers(trx, 1))).filter((step) => !step.startsWith('USE TEMP B-TREE FOR GROUP BY'))).toEqual([]);
  expect(await badSteps(() => findContent(trx, 1))).toEqual([]);
  expect(await badSteps(() => findUsageStretch(trx, { after: 'a', count: 10 }))).toEqual([]);
  // A stretch of digests is made distinct by sorting it; it has as many rows as its caller asked for.
  const usage = await badSteps(() => readUsage(trx, { after: 'a', through: 'b' }));
  expect(usage.filter((step) => !/^(USE TEMP B-TREE|SCAN (shown|once))/.test(step))).toEqual([]);
  expect(await badSteps(() => findLabel(trx, 1))).toEqual([]);
  for (const projectId of [1, undefined]) expect(await badSteps(() => listRobots(trx, projectId))).toEqual([]);
  expect(await badSteps(() => findRobot(trx, 1))).toEqual([]);
  expect(await badSteps(() => readProjectNames(trx, [1, 2]))).toEqual([]);
  expect(await badSteps(() => listAccountSecrets(trx, 1))).toEqual([]);
  expect(await badSteps(() => listWorkloadRules(trx))).toEqual([]);
  expect(await badSteps(() => findWorkloadRule(trx, 1))).toEqual([]);
  for (const projectId of [1, undefined])
    expect(await badSteps(() => listLabels({ read: trx, dialect: 'sqlite' }, { projectId, wish }))).toEqual([]);
  for (const more of [{}, { accountId: 1 }, { accountId: 1, offset: 5 }])
    expect(await badSteps(() => listSessions(trx, { limit: 10, ...more }))).toEqual([]);
  expect(await badSteps(() => countSessions(trx, 1))).toEqual([]);
  // One manifest's references, sorted by kind: as many as it has.
  // The sample of a registry starts at its project; projects are few.
  const sample = await badSteps(() => findCachedSample(trx, 'm', 1000));
  expect(sample.filter((step) => !step.startsWith('SCAN project'))).toEqual([]);
  const trails = await badSteps(() => readReferenceTrails(trx, 'p/r', digest('image')));
  expect(trails.filter((step) => !step.startsWith('USE TEMP B-TREE'))).toEqual([]);
  expect(await badSteps(() => findExternalAccount(trx, 'i', 'e'))).toEqual([]);
  expect(await badSteps(() => listProviderAccounts(trx, { provider: 'i', afterId: 1, max: 10 }))).toEqual([]);
  expect(await badSteps(() => isSuspended(trx, 1))).toEqual([]);
  for (const everything of [true, false]) {
    expect(await badSteps(() => listRepositories(trx, { limit: 10, everything, after: 'p' }))).toEqual([]);
  }
});

test('lists of repositories, artifacts and tags read an index in their order, and never the tables from end to end', async () => {
  const reader = { read: trx, dialect: 'sqlite' as const };
  const page = { conditions: [], order: [], offset: 20, limit: 10 };
  const artifact = { id: 1, repositoryId, digest: digest('image'), tagCount: 9000 };
  const exact = (field: 'tags' | 'digest' | 'type', value: string) => ({ ...page, conditions: [{ field, kind: 'exact', value } as const] });
  // In the order they are shown in: no sorting.
  for (const scope of [{ repositoryId }, { projectId: 1 }, { projectId: 1, latestOnly: true }])
    expect(await badSteps(() => listArtifactPage(reader, { scope, wish: page }))).toEqual([]);
  for (const wish of [
    exact('tags', '*'),
    exact('tags', 'nil'),
    exact('tags', 'v1'),
    exact('digest', digest('image')),
    exact('type', 'IMAGE'),
  ])
    expect(await badSteps(() => listArtifactPage(reader, { scope: { repositoryId }, wish }))).toEqual([]);
  expect(await badSteps(() => listArtifactTags(reader, { artifact, wish: page }))).toEqual([]);
  expect(
    await badSteps(() => listArtifactTags(reader, { artifact, wish: { ...page, order: [{ field: 'name', descending: false }] } })),
  ).toEqual([]);
  expect(await badSteps(() => readTagsOf(trx, [artifact, { ...artifact, id: 2, tagCount: 2 }], 100))).toEqual([]);
  expect(await badSteps(() => listAccessoryPage(trx, { repositoryId, subject: digest('image'), offset: 0, limit: 10 }))).toEqual([]);
  expect(await badSteps(() => findArtifact(trx, repositoryId, digest('image')))).toEqual([]);
  expect(await badSteps(() => findTaggedDigest(trx, repositoryId, 'v1'))).toEqual([]);
  expect(await badSteps(() => readManifestIds(trx, repositoryId, [digest('image')]))).toEqual([]);
  expect(await badSteps(() => readLabelsOf(trx, [1, 2]))).toEqual([]);
  expect(await badSteps(() => findRepository(trx, 'p/r'))).toEqual([]);
  expect(await badSteps(() => listRepositoryNames(trx, { prefix: 'p', limit: 10 }))).toEqual([]);
  expect(await badSteps(() => listRepositoryPage(reader, { scope: { projectId: 1 }, wish: page }))).toEqual([]);
});

test('other orders and searches read the rows of one repository or the names of repositories, and sort what they read', async () => {
  const reader = { read: trx, dialect: 'sqlite' as const };
  const page = { conditions: [], order: [], offset: 0, limit: 10 };
  const may = (step: string): boolean => /^(USE TEMP B-TREE FOR ORDER BY|SCAN \(subquery-\d+\))/.test(step);
  const search = { ...page, conditions: [{ field: 'tags', kind: 'part', value: 'v' } as const] };
  const bySize = { ...page, order: [{ field: 'size', descending: true } as const] };
  for (const wish of [search, bySize]) {
    const steps = await badSteps(() => listArtifactPage(reader, { scope: { repositoryId }, wish }));
    expect(steps.filter((step) => !may(step))).toEqual([]);
  }
  // Over all projects the index of listed repositories is walked, for their number too: rows are read for the page alone.
  const all = await badSteps(() => listRepositoryPage(reader, { scope: 'all', wish: page }));
  expect(all.filter((step) => !/^SCAN repository USING (COVERING )?INDEX repository_(created|listed)/.test(step))).toEqual([]);
  const scope = { projects: { publicToo: true, ids: [1, 2] }, ids: [3] };
  const some = await badSteps(() => listRepositoryPage(reader, { scope, wish: page }));
  expect(some.filter((step) => !may(step) && !/^(SCAN project\b|SCAN json_each VIRTUAL TABLE|.*UNION)/.test(step))).toEqual([]);
});
