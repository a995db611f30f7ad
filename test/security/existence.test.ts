// SEC-A01, SEC-A04, SEC-A17: what may not be seen answers as what is not there: in status, headers and body, and in how long that takes. Measured over
// HTTP against a real server, samples of both kinds interleaved, compared by the Kolmogorov-Smirnov test.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { postJson } from '../api/client.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { count } from '../support/requirements.ts';
import { kolmogorovSmirnov } from './same-distribution.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const pairs = count({ quick: 400, full: 2000, env: 'BREAKWATER_TIMING_PAIRS' });
/** A busy machine may disturb one series; a real difference shows in every one. */
const attempts = 4;
const password = 'correct-horse-battery';
let server: RunningBreakwater;

beforeAll(async () => {
  server = await startBreakwater({ config: 'presets: false' });
  expect((await postJson(server, '/projects', { name: 'private' })).status).toBe(201);
  expect((await postJson(server, '/users', { username: 'nobody-here', email: 'n@example.com', realname: 'N', password })).status).toBe(201);
});
afterAll(async () => {
  await server?.stop();
});

interface Answer {
  readonly text: string;
  readonly ms: number;
}
type Ask = (name: string) => Promise<Response>;

async function ask(send: Ask, name: string): Promise<Answer> {
  const startMs = performance.now();
  const response = await send(name);
  const body = await response.text();
  const ms = performance.now() - startMs;
  const headers = [...response.headers]
    .filter(([header]) => !['date', 'x-request-id', 'x-harbor-csrf-token', 'set-cookie'].includes(header))
    .map(([header, value]) => `${header}: ${value}`);
  return { text: [response.status, ...headers, body].join('\n').replaceAll(name, 'NAME'), ms };
}

const basic = (user: string, secret: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${user}:${secret}`)}` });
const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
  fetch(`${server.url}${path}`, { method, headers, signal: AbortSignal.timeout(20_000) });
const asUser = (): Record<string, string> => basic('nobody-here', password);

/** What is asked, with the name of the private project or of one that is not there (both have seven letters). */
const questions: readonly (readonly [what: string, send: Ask])[] = [
  ['a manifest, anonymous', (name) => get(`/v2/${name}/app/manifests/latest`)],
  ['a manifest by digest, anonymous', (name) => get(`/v2/${name}/app/manifests/${digest}`)],
  ['a blob, anonymous', (name) => get(`/v2/${name}/app/blobs/${digest}`)],
  ['a blob by HEAD, anonymous', (name) => get(`/v2/${name}/app/blobs/${digest}`, {}, 'HEAD')],
  ['a part of a blob, anonymous', (name) => get(`/v2/${name}/app/blobs/${digest}`, { range: 'bytes=0-5' })],
  ['tags, anonymous', (name) => get(`/v2/${name}/app/tags/list`)],
  ['referrers, anonymous', (name) => get(`/v2/${name}/app/referrers/${digest}`)],
  ['an upload, anonymous', (name) => get(`/v2/${name}/app/blobs/uploads/`, {}, 'POST')],
  ['a mount, anonymous', (name) => get(`/v2/${name}/app/blobs/uploads/?mount=${digest}&from=${name}/other`, {}, 'POST')],
  ['a manifest, as a user without rights', (name) => get(`/v2/${name}/app/manifests/latest`, asUser())],
  ['an upload, as a user without rights', (name) => get(`/v2/${name}/app/blobs/uploads/`, asUser(), 'POST')],
  ['a deletion, as a user without rights', (name) => get(`/v2/${name}/app/manifests/${digest}`, asUser(), 'DELETE')],
  ['the project, anonymous', (name) => get(`/api/v2.0/projects/${name}`)],
  ['the project, as a user without rights', (name) => get(`/api/v2.0/projects/${name}`, asUser())],
  ['the project by HEAD, as a user without rights', (name) => get(`/api/v2.0/projects?project_name=${name}`, asUser(), 'HEAD')],
  ['its members, as a user without rights', (name) => get(`/api/v2.0/projects/${name}/members`, asUser())],
];

describe('a private project is like none', () => {
  test.each(questions)('in every letter: %s', async (_, send) => {
    expect((await ask(send, 'private')).text).toBe((await ask(send, 'absents')).text);
  });

  test.each(questions.filter(([what]) => /manifest, anonymous|manifest, as a user|the project, as a user/.test(what)))(
    'in the time it takes: %s',
    async (_, send) => {
      const seen: number[] = [];
      for (let attempt = 0; attempt < attempts; attempt++) {
        const times = { private: [] as number[], absents: [] as number[] };
        for (let pair = 0; pair < pairs; pair++) {
          // Which one goes first changes, so that neither always follows the other.
          for (const name of pair % 2 === 0 ? (['private', 'absents'] as const) : (['absents', 'private'] as const))
            times[name].push((await ask(send, name)).ms);
        }
        const probability = kolmogorovSmirnov(times.private, times.absents);
        seen.push(probability);
        if (probability > 0.01) break;
      }
      expect(Math.max(...seen)).toBeGreaterThan(0.01);
    },
  );

  test('in what a token may do', async () => {
    const claimsOf = async (name: string): Promise<unknown> => {
      const response = await get(`/service/token?scope=repository:${name}/app:pull,push&service=breakwater`, asUser());
      expect(response.status).toBe(200);
      const { token } = (await response.json()) as { token: string };
      return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).access;
    };
    expect(await claimsOf('private')).toEqual(await claimsOf('absents'));
  });
});

test('the measure sees a difference where there is one', () => {
  const noise = (): number => Math.random() + Math.random();
  const series = (shift: number): number[] => Array.from({ length: 400 }, () => noise() + shift);
  expect(kolmogorovSmirnov(series(0), series(0.4))).toBeLessThan(0.001);
  expect(kolmogorovSmirnov([1, 2, 3, 4], [1, 2, 3, 4])).toBe(1);
});
