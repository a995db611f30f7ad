// The audit log of a real server: what is in it, who may read it, and that tampering is found.

import { Database as SqliteFile } from 'bun:sqlite';
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditReportSchema } from '../../src/api/audit-schemas.ts';
import { codeOf, postJson, send } from '../api/client.ts';
import { runCli } from '../cli/run.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { basicOf, entries, pushImage } from './server.ts';

const config = 'presets: false\nprobes: { enabled: false }\n';
let dataDir: string;
let server: RunningBreakwater;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-audit-'));
  server = await startBreakwater({ config, dataDir });
});
afterAll(async () => {
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
});
const verify = async () => auditReportSchema.parse((await send(server, '/audit/verify')).json());

test('a change is in the log when its answer comes, with who, from where and what', async () => {
  const created = await postJson(
    server,
    '/projects',
    { name: 'team-a', public: true },
    { headers: { 'x-request-id': 'req-1', 'user-agent': 'test-agent' } },
  );
  expect(created.status).toBe(201);
  const [entry] = (await send(server, '/auditlog-exts?page_size=1&q=resource_type%3Dproject')).json() as Record<string, unknown>[];
  expect(entry).toMatchObject({
    username: 'admin',
    operation: 'create',
    resource_type: 'project',
    operation_result: true,
    actor: { kind: 'user', id: '1', method: 'password' },
    address: '127.0.0.1',
    request_id: 'req-1',
    user_agent: 'test-agent',
  });
});

test('what was refused or failed is in the log with its reason', async () => {
  expect((await postJson(server, '/projects', { name: 'team-a' })).status).toBe(409);
  const failed = await entries(server, 'outcome=failed,resource_type=project', (found) => found.length > 0);
  expect(failed[0]?.detail?.reason).toStartWith('CONFLICT: ');
  expect((await postJson(server, '/projects', { name: 'team-x' }, { password: false })).status).toBe(401);
  const denied = await entries(server, 'outcome=denied', (found) => found.length > 0);
  expect(denied[0]).toMatchObject({ username: 'anonymous', operation: 'create', resource_type: 'project', operation_result: false });
});

test('reads are not in the log', async () => {
  const before = await verify();
  for (const path of ['/projects', '/sources', '/audit-logs', '/no-such-path']) await send(server, path);
  await Bun.sleep(1200);
  const after = await verify();
  const added = await entries(server, `id=[${(before.last_id ?? 0) + 1}~]`);
  expect(added.filter((entry) => entry.operation !== 'login' && entry.outcome !== 'denied')).toEqual([]);
  expect(after.whole).toBe(true);
});

test('pushes, moved tags, deletes and pulls are in the log of their project', async () => {
  const first = await pushImage(server, 'team-a/app', '1', 'one');
  const second = await pushImage(server, 'team-a/app', '1', 'two');
  for (let turn = 0; turn < 5; turn++) await (await fetch(`${server.url}/v2/team-a/app/manifests/1`)).arrayBuffer();
  const deleted = await fetch(`${server.url}/v2/team-a/app/manifests/${first}`, { method: 'DELETE', headers: basicOf(server) });
  expect(deleted.status).toBe(202);
  const found = await entries(server, 'resource=~team-a/app', (all) => all.some((entry) => entry.operation === 'pull'));
  const told = found.map((entry) => `${entry.operation} ${entry.resource_type} ${entry.resource}`);
  expect(told.toSorted()).toEqual([
    'create artifact team-a/app:1',
    'create artifact team-a/app:1',
    `delete artifact team-a/app@${first}`,
    'pull artifact team-a/app:1',
    'update tag team-a/app:1',
  ]);
  const moved = found.find((entry) => entry.resource_type === 'tag');
  expect(moved?.detail).toEqual({ before: { digest: first }, after: { digest: second } });
  expect(found.find((entry) => entry.operation === 'pull')).toMatchObject({ username: 'anonymous', count: 1, address: '127.0.0.1' });
  expect(found.find((entry) => entry.operation === 'create')?.user_agent).toBe('test-pusher/1');
  const own = (await send(server, '/projects/team-a/logs')).json() as { resource: string }[];
  expect(own.length).toBeGreaterThanOrEqual(5);
  expect(own.every((entry) => entry.resource.includes('team-a'))).toBe(true);
});

test('good logins are one entry, bad ones are told as bad, and the password is in neither', async () => {
  for (let turn = 0; turn < 5; turn++)
    expect((await send(server, '/users/current', { password: 'wrong-canary-password' })).status).toBe(401);
  const bad = await entries(server, 'operation=login,outcome=failed', (found) => found.length > 0);
  expect(bad[0]).toMatchObject({ username: 'admin', resource: 'admin', address: '127.0.0.1', operation_result: false });
  const good = await entries(server, 'operation=login,outcome=success');
  expect(good.length).toBe(1);
  const all = JSON.stringify(await entries(server));
  for (const secret of ['wrong-canary-password', server.adminPassword]) expect(all).not.toContain(secret);
});

test('without a login nothing of the log is shown', async () => {
  for (const path of [
    '/audit-logs',
    '/auditlog-exts',
    '/auditlog-exts/events',
    '/projects/team-a/logs',
    '/projects/team-a/auditlog-exts',
    '/audit/verify',
  ])
    expect([path, (await send(server, path, { password: false })).status]).toEqual([path, 401]);
});

test('pages by number and by cursor hold every entry once, and unknown fields are refused', async () => {
  const total = Number((await send(server, '/audit-logs?page_size=1')).headers.get('x-total-count'));
  expect(total).toBeGreaterThan(5);
  const seen: number[] = [];
  let path = '/audit-logs?page_size=3';
  for (let turn = 0; turn < 50; turn++) {
    const answer = await send(server, path);
    const rows = answer.json() as { id: number }[];
    seen.push(...rows.map((row) => row.id));
    // Added while somebody pages: it does not shift what follows.
    await postJson(server, '/projects', { name: 'team-a' });
    const next = answer.headers.get('x-next-cursor');
    if (next === null) break;
    path = `/audit-logs?page_size=3&cursor=${next}`;
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBeGreaterThanOrEqual(total);
  const second = await send(server, '/audit-logs?page=2&page_size=3');
  expect(second.headers.get('link')).toContain('rel="prev"');
  for (const wrong of ['q=secret%3Dx', 'q=hash%3Dx', 'sort=resource', 'cursor=x', 'page=2&cursor=1.1', 'what=1'])
    expect([wrong, codeOf(await send(server, `/audit-logs?${wrong}`))]).toEqual([wrong, 'BAD_REQUEST']);
});

test("Harbor's members and kinds of entries are there", async () => {
  const [entry] = (await send(server, '/audit-logs?page_size=1')).json() as object[];
  expect(Object.keys(entry ?? {}).toSorted()).toEqual(['id', 'op_time', 'operation', 'resource', 'resource_type', 'username']);
  const kinds = (await send(server, '/auditlog-exts/events')).json() as { event_type: string }[];
  expect(kinds.map((kind) => kind.event_type)).toContain('create_artifact');
});

test('the command line lists entries and says whether the log is whole', async () => {
  const run = (...words: string[]) =>
    runCli(['audit', ...words, '--url', server.url, '--data', dataDir], { env: { BREAKWATER_PASSWORD: server.adminPassword } });
  const listed = await run('list', '--operation', 'create', '--type', 'artifact', '--by', 'admin');
  expect([listed.code, listed.stderr]).toEqual([0, '']);
  expect(listed.stdout).toContain('team-a/app:1');
  const asJson = await run('list', '--project', 'team-a', '--since', '2020-01-01', '--limit', '3', '--json');
  expect((JSON.parse(asJson.stdout) as unknown[]).length).toBe(3);
  const all = await run('list', '--limit', '150', '--json');
  expect(new Set((JSON.parse(all.stdout) as { id: number }[]).map((entry) => entry.id)).size).toBe(JSON.parse(all.stdout).length);
  expect((await run('list', '--since', 'yesterday')).code).toBe(2);
  const whole = await run('verify');
  expect([whole.code, whole.stdout]).toEqual([0, expect.stringContaining('the audit log is whole')]);
});

test('the log is whole after a restart, and a row changed in the file is found and named', async () => {
  const before = await verify();
  expect(before).toMatchObject({ whole: true });
  await server.stop();
  server = await startBreakwater({ config, dataDir });
  expect(await verify()).toMatchObject({ whole: true, first_id: 1 });
  await server.stop();
  const file = new SqliteFile(join(dataDir, 'db', 'breakwater.sqlite'));
  file.run("update audit_event set actor_name = 'nobody' where id = 3");
  file.close();
  server = await startBreakwater({ config, dataDir });
  expect(await verify()).toMatchObject({ whole: false, broken: { id: 3 } });
  const told = await runCli(['audit', 'verify', '--url', server.url, '--data', dataDir]);
  expect([told.code, told.stderr]).toEqual([1, expect.stringContaining('broken at entry 3')]);
});
