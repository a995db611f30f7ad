// Requests to the admin API as one user or another.

import type { RunningBreakwater } from '../support/breakwater.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The code of an error body; undefined in any other. */
  readonly code: string | undefined;
  readonly message: string;
  json<T = unknown>(): T;
}
export interface Caller {
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown): Promise<Answer>;
  put(path: string, body: unknown): Promise<Answer>;
  delete(path: string): Promise<Answer>;
}

const timeoutMs = 20_000;

/** Without a password: without a login. */
export function callerOf(server: Pick<RunningBreakwater, 'url'>, user: string, password?: string): Caller {
  const send = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${server.url}/api/v2.0${path}`, {
      method,
      headers: {
        ...(password === undefined ? {} : { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    const [error] = response.status >= 400 ? (JSON.parse(text) as { errors: { code: string; message: string }[] }).errors : [];
    return {
      status: response.status,
      headers: response.headers,
      text,
      code: error?.code,
      message: error?.message ?? '',
      json: () => JSON.parse(text),
    };
  };
  return {
    get: (path) => send('GET', path),
    post: (path, body) => send('POST', path, body),
    put: (path, body) => send('PUT', path, body),
    delete: (path) => send('DELETE', path),
  };
}

export const goodPassword = 'correct horse battery';

/** A user made by an administrator, and how to call as it. */
export async function makeUser(
  server: Pick<RunningBreakwater, 'url'>,
  admin: Caller,
  name: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<Caller & { readonly id: number; readonly name: string }> {
  const made = await admin.post('/users', { username: name, password: goodPassword, ...more });
  if (made.status !== 201) throw new Error(`${name} was not made: ${made.text}`);
  const { user_id: id } = made.json<{ user_id: number }>();
  return { ...callerOf(server, name, goodPassword), id, name };
}
