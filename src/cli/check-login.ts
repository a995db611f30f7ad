// `breakwater check-login`: performs a login through the address that clients use, as they do, and says what is wrong on the way.
// With an administrator's login the server is asked how the request reached it, so that the advice names the proxy's own address.

import { arrivalSchema } from '../api/login-check-schemas.ts';
import { checkLogin, type LoginReport } from '../upstream/login-check.ts';
import type { Arrival } from '../upstream/login-problems.ts';
import { createApiClient } from './client.ts';
import { type Connection, type ConnectionOptions, loadServerConfig, resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';
import { plain } from './text.ts';

export interface CheckLoginOptions extends ConnectionOptions {
  readonly json?: boolean;
  readonly repository?: string;
  readonly anonymous?: boolean;
}

/** Exit code 1 when clients could not log in, or push. JSON: the report. */
export async function checkLoginThrough(address: string | undefined, options: CheckLoginOptions, terminal: Terminal): Promise<void> {
  const named = address ?? options.url ?? (terminal.env['BREAKWATER_URL'] || undefined);
  const external = named ?? (await loadServerConfig(options, terminal.env)).externalUrl;
  const connection = await resolveConnection({ ...options, ...(external === undefined ? {} : { url: external }) }, terminal);
  const { url } = connection;
  const hasLogin = options.anonymous !== true && !(connection.password instanceof CommandFailure);
  if (options.repository !== undefined && !hasLogin)
    throw new CommandFailure('--repository needs a login', {
      hint: 'name the password with --password-file FILE or BREAKWATER_PASSWORD',
      exitCode: 2,
    });
  const report = await checkLogin({
    url,
    tls: connection.tls,
    ...(hasLogin && !(connection.password instanceof CommandFailure)
      ? { login: { name: connection.user, password: connection.password }, arrival: () => askArrival(connection) }
      : {}),
    ...(options.repository === undefined ? {} : { repository: options.repository }),
  });
  await terminal.write(options.json === true ? toJson(report) : formatReport(report));
  if (report.ok) return;
  const wrong = report.findings.filter((finding) => finding.problem !== undefined).length;
  throw new CommandFailure(`${wrong} ${wrong === 1 ? 'thing is' : 'things are'} wrong between clients and the server`);
}

/** How requests to this address reach the server; undefined when it does not tell this user. */
async function askArrival(connection: Connection): Promise<Arrival | undefined> {
  if (!connection.url.startsWith('https:') && !/^http:\/\/(localhost|127\.|\[::1\])/.test(connection.url)) return undefined;
  try {
    const { value } = await createApiClient(connection, { timeoutMs: 10_000 }).read(arrivalSchema, {
      method: 'GET',
      path: '/system/arrival',
    });
    return value;
  } catch {
    return undefined;
  }
}

function formatReport({ url, findings }: LoginReport): string {
  const lines = findings.flatMap((finding) =>
    finding.problem === undefined
      ? [`ok    ${plain(finding.message)}`]
      : [`WRONG ${plain(finding.message)}`, `      ${plain(finding.fix ?? '')}`],
  );
  return [`Logging in through ${plain(url)}`, ...lines, ''].join('\n');
}
