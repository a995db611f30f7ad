// The admin API of a real server: projects from creation to deletion, who may do it, and what is refused with which error.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { z } from 'zod';
import { createdProjectSchema, projectSchema } from '../../src/api/schemas.ts';
import { statusOf } from '../../src/http/errors.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { codeOf, postJson, send } from './client.ts';

let server: RunningBreakwater;

beforeAll(async () => {
  const config = { presets: false, registries: { 'docker.io': { sources: [{ url: 'http://127.0.0.1:1', trust: 'authority' }] } } };
  server = await startBreakwater({ config: JSON.stringify(config) });
});
afterAll(async () => {
  await server?.stop();
});

describe('projects', () => {
  test('the first boot has made library and a mirror of each registry', async () => {
    const listed = z.array(z.strictObject(projectSchema.shape)).parse((await send(server, '/projects')).json());
    expect(listed.map(({ name, kind, metadata, registry }) => ({ name, kind, public: metadata.public, registry }))).toEqual([
      { name: 'docker.io', kind: 'mirror', public: 'true', registry: 'docker.io' },
      { name: 'library', kind: 'overlay', public: 'true', registry: 'docker.io' },
    ]);
  });

  test('is created, read by name and id, listed and deleted', async () => {
    const created = await postJson(server, '/projects', { name: 'team-a', public: true, allows_sparse: true });
    expect(created.status).toBe(201);
    const { warnings, ...project } = z.strictObject(createdProjectSchema.shape).parse(created.json());
    expect(warnings).toEqual([]);
    expect(project).toMatchObject({ name: 'team-a', kind: 'local', metadata: { public: 'true' }, allows_sparse: true });
    expect(Math.abs(Date.parse(project.creation_time) - Date.now())).toBeLessThan(60_000);
    expect(created.headers.get('location')).toBe(`/api/v2.0/projects/${project.project_id}`);
    expect((await send(server, '/projects/team-a')).json()).toEqual(project);
    expect((await send(server, `/projects/${project.project_id}`)).json()).toEqual(project);
    expect((await send(server, '/projects?name=team-')).json()).toEqual([project]);
    expect((await send(server, '/projects?project_name=team-a', { method: 'HEAD' })).status).toBe(200);
    const deleted = await send(server, '/projects/team-a', { method: 'DELETE' });
    expect([deleted.status, deleted.text]).toEqual([200, '']);
    const gone = await send(server, '/projects/team-a');
    expect([gone.status, codeOf(gone)]).toEqual([404, 'NOT_FOUND']);
    expect((await send(server, '/projects?project_name=team-a', { method: 'HEAD' })).status).toBe(404);
  });

  test('is private unless it says otherwise, and visible at once to pulls', async () => {
    expect((await postJson(server, '/projects', { name: 'closed' })).status).toBe(201);
    expect((await postJson(server, '/projects', { name: 'open', public: true })).status).toBe(201);
    const pull = async (name: string): Promise<number> => (await fetch(`${server.url}/v2/${name}/app/manifests/1`)).status;
    expect(await pull('closed')).toBe(401);
    expect(await pull('open')).toBe(404);
  });

  test('a name that is taken is a conflict, also for the mirrors', async () => {
    for (const name of ['library', 'docker.io']) {
      const answer = await postJson(server, '/projects', { name });
      expect([answer.status, codeOf(answer)]).toEqual([409, 'CONFLICT']);
    }
  });

  test('a name, kind or registry that makes no sense is refused', async () => {
    const refused: readonly (readonly [body: object, code: string])[] = [
      [{ name: 'Team' }, 'NAME_INVALID'],
      [{ name: 'a/b' }, 'NAME_INVALID'],
      [{ name: 'a', kind: 'mirror' }, 'BAD_REQUEST'],
      [{ name: 'a', kind: 'overlay', registry: 'unknown.example' }, 'BAD_REQUEST'],
      [{ name: 'a', registry: 'docker.io' }, 'BAD_REQUEST'],
      [{ name: 'a', colour: 'blue' }, 'BAD_REQUEST'],
    ];
    for (const [body, code] of refused) {
      const answer = await postJson(server, '/projects', body);
      expect([answer.status, codeOf(answer)]).toEqual([400, code]);
    }
  });

  test('a project that holds content is not deleted', async () => {
    await postJson(server, '/projects', { name: 'full' });
    const bytes = new TextEncoder().encode('content');
    const digest = `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
    const pushed = await fetch(`${server.url}/v2/full/app/blobs/uploads/?digest=${digest}`, {
      method: 'POST',
      body: bytes,
      headers: { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` },
    });
    expect(pushed.status).toBe(201);
    const answer = await send(server, '/projects/full', { method: 'DELETE' });
    expect([answer.status, codeOf(answer)]).toEqual([409, 'CONFLICT']);
    expect((await send(server, '/projects/full')).status).toBe(200);
  });

  test('of twenty that create one name at once, one succeeds', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => postJson(server, '/projects', { name: 'raced' })));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(19);
  });

  test('who created and deleted what is in the log', async () => {
    await postJson(server, '/projects', { name: 'logged' });
    await send(server, '/projects/logged', { method: 'DELETE' });
    expect(server.logs()).toMatch(/"event":"project.created","project":"logged".*"by":"admin"/);
    expect(server.logs()).toMatch(/"event":"project.deleted","project":"logged","by":"admin"/);
  });
});

describe('who may', () => {
  test('without a login the public routes answer and the others are 401 with a challenge', async () => {
    expect((await send(server, '/ping', { password: false })).text).toBe('Pong');
    expect((await send(server, '/health', { password: false })).json()).toMatchObject({ status: 'healthy' });
    expect((await send(server, '/openapi.json', { password: false })).json()).toMatchObject({ openapi: '3.1.0' });
    expect((await send(server, '/systeminfo', { password: false })).text).not.toContain('version');
    // What is public may be looked at by everybody.
    expect((await send(server, '/projects/library', { password: false })).json()).toMatchObject({ name: 'library' });
    expect((await send(server, '/projects?name=closed', { password: false })).json()).toEqual([]);
    for (const path of ['/projects/closed', '/projects/absent', '/sources', '/explain?image=a']) {
      const answer = await send(server, path, { password: false });
      expect([answer.status, codeOf(answer)]).toEqual([401, 'UNAUTHORIZED']);
      expect(answer.headers.get('www-authenticate')).toBe('Basic realm="breakwater"');
    }
    expect((await postJson(server, '/projects', { name: 'nobody' }, { password: false })).status).toBe(401);
    expect((await send(server, '/projects/library', { method: 'DELETE', password: false })).status).toBe(401);
    expect((await send(server, '/projects?name=nobody')).json()).toEqual([]);
  });

  test('a wrong password is 401 and creates nothing', async () => {
    const answer = await postJson(server, '/projects', { name: 'wrong' }, { password: 'wrong' });
    expect([answer.status, codeOf(answer)]).toEqual([401, 'UNAUTHORIZED']);
    expect((await send(server, '/projects?name=wrong')).json()).toEqual([]);
  });
});

describe('hostile requests', () => {
  test('SEC-G03: a body over 64 KiB is 413, also when it is chunked', async () => {
    const answer = await postJson(server, '/projects', { name: 'x'.repeat(65_536) });
    expect([answer.status, codeOf(answer)]).toEqual([413, 'SIZE_INVALID']);
    const chunked = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (let count = 0; count < 40; count++) controller.enqueue(new Uint8Array(4096).fill(0x20));
        controller.close();
      },
    });
    const streamed = await send(server, '/projects', { method: 'POST', body: chunked, headers: { 'content-type': 'application/json' } });
    expect(streamed.status).toBe(413);
  });

  test('what a form of another site can send is refused', async () => {
    const body = JSON.stringify({ name: 'forged' });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const answer = await send(server, '/projects', { method: 'POST', body, headers: { 'content-type': type } });
      expect([answer.status, codeOf(answer)]).toEqual([400, 'BAD_REQUEST']);
    }
    expect((await send(server, '/projects?name=forged')).json()).toEqual([]);
  });

  test('paths that do not exist, and ways around one that does, open nothing', async () => {
    for (const path of ['/nothing', '/projects/', '/projects//library', '/PROJECTS', '/projects/library/members', '/%70rojects/x/y']) {
      expect((await send(server, path, { password: false })).status).toBeOneOf([401, 404]);
    }
    const wrong = await send(server, '/projects', { method: 'DELETE' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
  });

  test('every error a route is described with has the status that the server uses', async () => {
    const document = JSON.parse((await send(server, '/openapi.json')).text);
    const text = JSON.stringify(document);
    const names = Object.keys(document.components.schemas);
    expect(names.length).toBeGreaterThan(20);
    // Every schema is referred to, so that none is left over; every reference has its schema.
    for (const name of names) expect(text).toContain(`"#/components/schemas/${name}"`);
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) expect(names).toContain(name);
    const described = document.paths['/api/v2.0/projects'].post.responses;
    for (const code of ['BAD_REQUEST', 'UNAUTHORIZED', 'DENIED', 'CONFLICT', 'BODY_TOO_LARGE', 'INTERNAL'] as const) {
      expect(described[String(statusOf(code))].description).toContain(code);
    }
  });
});
