// A logged-in browser for the suites of sessions: the form of the login page, the token that goes with changes.

import type { RunningBreakwater } from '../support/breakwater.ts';
import { type Page, Visitor } from '../support/visitor.ts';

export const sessionCookie = 'breakwater';
export const tokenHeader = 'x-harbor-csrf-token';

export interface LoggedIn {
  readonly visitor: Visitor;
  /** A request to the admin API with the session, the token and the headers of our own pages. */
  api(path: string, init?: { method?: string; body?: unknown; headers?: Record<string, string> }): Promise<Page>;
  readonly token: () => string;
}

/** Harbor's way in: `/c/login` with a form. */
export async function logIn(server: RunningBreakwater, name = 'admin', password = server.adminPassword): Promise<LoggedIn> {
  const visitor = new Visitor();
  visitor.headers = { 'user-agent': 'a browser of the tests' };
  const answer = await visitor.send(`${server.url}/c/login`, { method: 'POST', body: new URLSearchParams({ principal: name, password }) });
  if (answer.status !== 200) throw new Error(`the login of ${name} was answered with ${answer.status}: ${answer.text}`);
  return asLoggedIn(server, visitor, answer.headers.get(tokenHeader) ?? '');
}

export function asLoggedIn(server: RunningBreakwater, visitor: Visitor, firstToken: string): LoggedIn {
  let token = firstToken;
  return {
    visitor,
    token: () => token,
    api: async (path, { method = 'GET', body, headers } = {}) => {
      const page = await visitor.send(`${server.url}/api/v2.0${path}`, {
        method,
        headers: {
          accept: 'application/json',
          'sec-fetch-site': 'same-origin',
          origin: server.url,
          ...(method === 'GET' ? {} : { [tokenHeader]: token }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      token = page.headers.get(tokenHeader) ?? token;
      return page;
    },
  };
}

/** The `reason` in the detail of the first error. */
export function reasonOf(page: Page): unknown {
  return JSON.parse(page.text).errors[0].detail?.reason;
}
