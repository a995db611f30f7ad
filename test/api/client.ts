// Requests to the admin API of a server under test, as raw as a test needs them.

import type { RunningBreakwater } from '../support/breakwater.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Parsed when the body is JSON. */
  json(): unknown;
}

export interface SendOptions {
  readonly method?: string;
  readonly body?: RequestInit['body'];
  readonly headers?: Readonly<Record<string, string>>;
  /** A password for admin, `false` for no login; the right one without it. */
  readonly password?: string | false;
}

const timeoutMs = 10_000;

export async function send(server: RunningBreakwater, path: string, options: SendOptions = {}): Promise<ApiAnswer> {
  const password = options.password ?? server.adminPassword;
  const response = await fetch(`${server.url}/api/v2.0${path}`, {
    method: options.method ?? 'GET',
    headers: { ...(password === false ? {} : { authorization: `Basic ${btoa(`admin:${password}`)}` }), ...options.headers },
    ...(options.body === undefined ? {} : { body: options.body }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
}

export function postJson(server: RunningBreakwater, path: string, body: unknown, options: SendOptions = {}): Promise<ApiAnswer> {
  const headers = { 'content-type': 'application/json', ...options.headers };
  return send(server, path, { ...options, method: 'POST', body: JSON.stringify(body), headers });
}

/** The code of the first error. */
export function codeOf(answer: ApiAnswer): unknown {
  const body = JSON.parse(answer.text);
  return body.errors[0].code;
}
