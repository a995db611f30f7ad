// The commands' client against servers that are absent, silent, hostile or something else: each failure has words, a hint and an end.

import { afterEach, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ApiFailure, createApiClient } from '../../src/cli/client.ts';
import type { Connection } from '../../src/cli/connection.ts';
import { CommandFailure } from '../../src/cli/failure.ts';
import { Secret } from '../../src/lib/secret.ts';
import { runCli } from './run.ts';

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function serve(answer: (request: Request) => Response | Promise<Response>): string {
  const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: answer });
  stops.push(() => void server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

function connect(url: string, more: Partial<Connection> = {}): Connection {
  return { url, user: 'admin', password: new Secret('p:w'), tls: { insecure: false }, ...more };
}

async function failureOf(connection: Connection, timeoutMs = 5000): Promise<CommandFailure> {
  const read = createApiClient(connection, { timeoutMs }).read(z.array(z.string()), { method: 'GET', path: '/projects' });
  const error = await read.then(
    () => 'nothing failed',
    (thrown: unknown) => thrown,
  );
  if (error instanceof CommandFailure) return error;
  throw error;
}

test('sends the login, the words and the path it is given', async () => {
  const seen: (string | null)[] = [];
  const url = serve((request) => {
    seen.push(request.url, request.headers.get('authorization'));
    return Response.json(['a']);
  });
  const { value } = await createApiClient(connect(`${url}/prefix`)).read(z.array(z.string()), {
    method: 'GET',
    path: '/explain',
    query: { image: 'a b&c' },
  });
  expect(value).toEqual(['a']);
  expect(seen).toEqual([`${url}/prefix/api/v2.0/explain?image=a+b%26c`, `Basic ${btoa('admin:p:w')}`]);
});

describe('a failure says what is wrong', () => {
  test('no server is running', async () => {
    const failure = await failureOf(connect('http://127.0.0.1:1'));
    expect(failure.message).toBe('no server is running at http://127.0.0.1:1');
    expect(failure.hint).toContain('breakwater serve');
  });

  test('no server is running, which matters more than a missing password', async () => {
    const missing = connect('http://127.0.0.1:1', { password: new CommandFailure('there is no password') });
    expect((await failureOf(missing)).message).toContain('no server is running');
    const url = serve(() => new Response('Pong'));
    expect((await failureOf(connect(url, { password: new CommandFailure('there is no password') }))).message).toBe('there is no password');
  });

  test('the server does not answer in time, before and in mid-body', async () => {
    const silent = serve(() => new Promise<Response>(() => undefined));
    expect((await failureOf(connect(silent), 200)).message).toContain('no answer from');
    const stalled = serve(
      () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('[')) })),
    );
    expect((await failureOf(connect(stalled), 200)).message).toContain('no answer from');
  });

  test('a coded error is told in its own words, without control characters', async () => {
    const url = serve(() => Response.json({ errors: [{ code: 'CONFLICT', message: 'taken\u001b[31m' }] }, { status: 409 }));
    const failure = await failureOf(connect(url));
    expect(failure).toBeInstanceOf(ApiFailure);
    expect((failure as ApiFailure).code).toBe('CONFLICT');
    expect(failure.message).toBe('taken?[31m');
  });

  test('a redirect is not followed, and the password not sent on', async () => {
    let reached = 0;
    const target = serve(() => {
      reached++;
      return Response.json([]);
    });
    const url = serve(() => new Response(null, { status: 307, headers: { location: `${target}/x` } }));
    expect((await failureOf(connect(url))).message).toBe(`${url} redirects to ${target}/x`);
    expect(reached).toBe(0);
  });

  test('something else answers there', async () => {
    const page = serve(() => new Response('<html>', { status: 404, headers: { 'content-type': 'text/html' } }));
    expect((await failureOf(connect(page))).message).toBe(`what answers at ${page} is not Breakwater (status 404, text/html)`);
    const wrong = serve(() => Response.json({ some: 'thing' }));
    expect((await failureOf(connect(wrong))).message).toContain('is not understood');
  });

  test('plain HTTP where TLS was expected', async () => {
    const url = serve(() => Response.json([])).replace('http:', 'https:');
    expect((await failureOf(connect(url))).message).toContain('does not speak TLS');
  });
});

describe('TLS', () => {
  const fixtures = join(import.meta.dir, '../upstream/fixtures');
  const pem = readFileSync(join(fixtures, 'loopback.pem'), 'utf8');
  const startTls = (): string => {
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, tls: { cert: pem, key: pem }, fetch: () => Response.json(['a']) });
    stops.push(() => void server.stop(true));
    return `https://127.0.0.1:${server.port}`;
  };

  test('a certificate of an unknown authority is refused with a hint, before the password is sent', async () => {
    const failure = await failureOf(connect(startTls()));
    expect(failure.message).toContain('is not accepted');
    expect(failure.hint).toContain('--ca-file');
  });

  test('its authority, or --insecure, makes it accepted', async () => {
    const ca = readFileSync(join(fixtures, 'ca.pem'), 'utf8');
    for (const tls of [{ ca, insecure: false }, { insecure: true }]) {
      const { value } = await createApiClient(connect(startTls(), { tls })).read(z.array(z.string()), { method: 'GET', path: '/x' });
      expect(value).toEqual(['a']);
    }
  });

  test('the options of the command line reach it', async () => {
    const url = startTls();
    const env = { BREAKWATER_PASSWORD: 'x' };
    const result = await runCli(['sources', '--url', url], { env });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('is not accepted');
    const trusted = await runCli(['sources', '--url', url, '--ca-file', join(fixtures, 'ca.pem')], { env });
    expect(trusted.stderr).toContain('is not understood');
    expect((await runCli(['sources', '--url', url, '--insecure'], { env })).stderr).toContain('is not understood');
  });
});
