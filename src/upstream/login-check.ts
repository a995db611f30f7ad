// The whole login as a container client performs it through the address clients use: GET /v2/ -> challenge -> token service -> /v2/ again,
// and, with a right to push, the start of an upload, which is taken back. It names what is wrong on the way and what to change.
// A password goes to the origin that was named, never to another one and never over a certificate that is not trusted; no redirect is followed.

import type { Secret } from '../lib/secret.ts';
import { parseChallenges } from './challenge.ts';
import { probeBody } from './login-body.ts';
import { type Arrival, howToTellAddress, type LoginProblem, wordsFor } from './login-problems.ts';

export type LoginStep = 'reach' | 'challenge' | 'realm' | 'token' | 'use' | 'body' | 'upload';

export interface LoginFinding {
  readonly step: LoginStep;
  readonly problem?: LoginProblem;
  readonly message: string;
  /** What to change; with a problem only. */
  readonly fix?: string;
}

export interface LoginReport {
  readonly url: string;
  /** Clients can log in; a problem of `body` alone is none of logging in, but of pushing. */
  readonly ok: boolean;
  /** One of each step that was reached, in order. */
  readonly findings: readonly LoginFinding[];
}

export interface LoginCheckOptions {
  /** http or https, a prefix is allowed, no slash at the end. */
  readonly url: string;
  readonly login?: { readonly name: string; readonly password: Secret };
  /** Where an upload is started and taken back; needs a login. */
  readonly repository?: string;
  readonly tls?: { readonly ca?: string; readonly insecure: boolean };
  /** How the request of the first step looked when it arrived: `other-server` when it did not. Absent: nobody can tell. */
  readonly arrival?: () => Promise<Arrival | 'other-server' | undefined>;
  readonly userAgent?: string;
  readonly timeoutMs?: number;
}

const timeoutDefaultMs = 10_000;
const answerMaxBytes = 64 * 1024;
/** A proxy that keeps whole bodies is told from a slow one by this much silence, or 20 times what a small answer took. */
const silenceMinMs = 3000;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

class Stop extends Error {}

/** Performs the check. Never throws for what the network does; takes at most some ten times `timeoutMs`. */
export async function checkLogin(options: LoginCheckOptions): Promise<LoginReport> {
  const { url } = options;
  const findings: LoginFinding[] = [];
  const add = (step: LoginStep, problem: LoginProblem, where: string, detail?: string): void => {
    findings.push({ step, problem, ...wordsFor(problem, where, detail) });
  };
  const well = (step: LoginStep, message: string): void => {
    findings.push({ step, message });
  };
  try {
    await perform(options, { add, well, findings });
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
  }
  return { url, ok: findings.every((finding) => finding.problem === undefined), findings };
}

interface Notes {
  readonly findings: LoginFinding[];
  add(step: LoginStep, problem: LoginProblem, where: string, detail?: string): void;
  well(step: LoginStep, message: string): void;
}

async function perform(options: LoginCheckOptions, notes: Notes): Promise<void> {
  const { url } = options;
  const root = new URL(url).origin;
  const ping = `${root}/v2/`;
  const line = createLine(options);
  const isTrustedLine = await reach(line, ping, notes);
  const startedMs = performance.now();
  const first = await line.ask(ping, {});
  const patienceMs = Math.max(silenceMinMs, 20 * (performance.now() - startedMs));
  if (typeof first === 'string') return stopWith(notes, 'reach', first, ping);
  checkPing(first, ping, notes);
  notes.well('reach', `${ping} asks for a login`);

  const arrival = await options.arrival?.();
  if (arrival === 'other-server') return stopWith(notes, 'challenge', 'other-server', ping);
  const { service } = checkRealm(first, url, arrival, notes);
  const realm = `${url}/service/token`;
  const query = service === undefined ? '' : `?service=${encodeURIComponent(service)}`;
  const anonymous = await fetchToken(line, `${realm}${query}`, undefined, notes);
  if (anonymous === undefined) return;
  notes.well('realm', `${realm} gives tokens`);

  // From here on something is sent that must not be seen.
  if (!isTrustedLine) return;
  const token = await logIn(line, { ...options, realm, query, anonymous }, notes);
  if (token === undefined) return;
  const used = await line.ask(ping, { authorization: `Bearer ${token}` });
  if (typeof used === 'string') return stopWith(notes, 'use', used, ping);
  if (used.status === 401) {
    const error = parseChallenges(used.headers.get('www-authenticate') ?? '')[0]?.parameters.get('error');
    notes.add('use', error === undefined ? 'authorization-removed' : 'token-refused', ping, error);
    return;
  }
  if (used.status !== 200) return stopWith(notes, 'use', 'token-refused', ping, statusOf(used));
  notes.well('use', 'the token opens /v2/');
  await checkBody({ ...options, patienceMs }, ping, notes);
  if (options.login !== undefined && options.repository !== undefined)
    await checkUpload(line, { ...options, login: options.login, repository: options.repository, realm, query, root }, notes);
}

/** Whether the connection may carry a secret. What is wrong with a certificate is noted, and the rest looked at all the same. */
async function reach(line: Line, ping: string, notes: Notes): Promise<boolean> {
  const answer = await line.ask(ping, {});
  if (typeof answer !== 'string') return true;
  if (!answer.startsWith('certificate-')) stopWith(notes, 'reach', answer, ping, line.lastFailure());
  notes.add('reach', answer, ping, line.lastFailure());
  line.ignoreCertificate();
  return false;
}

function checkPing(answer: Answer, ping: string, notes: Notes): void {
  const { status, headers, text } = answer;
  if (status === 400 && /plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server/i.test(text))
    stopWith(notes, 'reach', 'tls-wanted', ping);
  if (status >= 300 && status < 400) stopWith(notes, 'reach', 'redirected', ping, shorten(headers.get('location') ?? statusOf(answer)));
  if (status >= 502 && status <= 504) stopWith(notes, 'reach', 'server-unreachable', ping, statusOf(answer));
  if (status === 200 && headers.has('docker-distribution-api-version')) stopWith(notes, 'reach', 'no-login-asked', ping);
  if (status !== 401) stopWith(notes, 'reach', 'v2-not-routed', ping, statusOf(answer));
  const header = headers.get('www-authenticate');
  if (header === null) stopWith(notes, 'challenge', 'challenge-removed', ping);
  const challenges = parseChallenges(header ?? '');
  if (challenges.some(({ scheme }) => scheme === 'bearer')) return;
  const realm = challenges[0]?.parameters.get('realm');
  stopWith(notes, 'challenge', 'proxy-login', ping, realm === undefined ? undefined : shorten(realm));
}

/** The realm against what it must be. A wrong one is noted; the check goes on at the right one. */
function checkRealm(answer: Answer, url: string, arrival: Arrival | undefined, notes: Notes): { readonly service: string | undefined } {
  const bearer = parseChallenges(answer.headers.get('www-authenticate') ?? '').find(({ scheme }) => scheme === 'bearer');
  const service = bearer?.parameters.get('service');
  const text = bearer?.parameters.get('realm') ?? '';
  const realm = URL.parse(text);
  const wanted = new URL(`${url}/service/token`);
  if (realm === null) {
    notes.add('challenge', 'realm-unreadable', url, shorten(text));
    return { service };
  }
  const wrong = (what: 'scheme' | 'host' | 'port' | 'path', reason: string): void => {
    notes.findings.push({
      step: 'challenge',
      problem: `realm-${what}`,
      message: `clients are sent to ${shorten(text)} for their token: ${reason}`,
      fix: howToTellAddress(url, what, arrival),
    });
  };
  if (realm.protocol !== wanted.protocol)
    wrong('scheme', wanted.protocol === 'https:' ? 'the server does not know that clients use https' : 'clients use http here');
  else if (realm.hostname !== wanted.hostname) wrong('host', `the server does not know its name, ${wanted.hostname}`);
  else if (realm.port !== wanted.port) wrong('port', `the port is ${wanted.port === '' ? 'the usual one' : wanted.port}`);
  else if (realm.pathname !== wanted.pathname) wrong('path', `it must be ${wanted.pathname}`);
  else notes.well('challenge', `clients are sent to ${text} for their token`);
  return { service };
}

interface TokenAnswer {
  readonly token: string;
  readonly subject: string | undefined;
}

/** Asks the token service; a failure is noted, and undefined given. */
async function fetchToken(line: Line, where: string, authorization: string | undefined, notes: Notes): Promise<TokenAnswer | undefined> {
  const step = authorization === undefined ? 'realm' : 'token';
  const answer = await line.ask(where, authorization === undefined ? {} : { authorization });
  if (typeof answer === 'string') {
    notes.add(step, answer, where, line.lastFailure());
    return undefined;
  }
  const token = readToken(answer);
  if (token !== undefined) return token;
  if (answer.status === 401 && authorization !== undefined) notes.add(step, 'login-refused', where);
  else if (answer.status === 401) notes.add(step, 'proxy-login', where);
  else if (answer.status === 429) notes.add(step, 'throttled', where, waitOf(answer));
  else if (answer.status >= 502 && answer.status <= 504) notes.add(step, 'server-unreachable', where, statusOf(answer));
  else notes.add(step, 'token-not-routed', where.split('?')[0] ?? where, statusOf(answer));
  return undefined;
}

/** A token of the login, or without one the anonymous token once it is seen that the Authorization header arrives. */
async function logIn(
  line: Line,
  options: LoginCheckOptions & { readonly realm: string; readonly query: string; readonly anonymous: TokenAnswer },
  notes: Notes,
): Promise<string | undefined> {
  const { login, realm, query } = options;
  if (login === undefined) {
    const answer = await line.ask(`${realm}${query}`, { authorization: 'Bearer none' });
    if (typeof answer === 'string') return stopWith(notes, 'token', answer, realm);
    if (answer.status !== 200) {
      notes.well('token', 'the Authorization header arrives at the token service');
      return options.anonymous.token;
    }
    notes.add('token', 'authorization-removed', realm);
    return undefined;
  }
  const found = await fetchToken(line, `${realm}${query}`, basicOf(login), notes);
  if (found === undefined) return undefined;
  if (found.subject === 'anonymous') {
    notes.add('token', 'authorization-removed', realm);
    return undefined;
  }
  notes.well('token', `${login.name} is logged in`);
  return found.token;
}

async function checkBody(options: LoginCheckOptions & { readonly patienceMs: number }, ping: string, notes: Notes): Promise<void> {
  const target = new URL(`${ping}breakwater-login-check/none/blobs/uploads/`);
  const insecure = options.tls?.insecure === true;
  const seen = await probeBody(target, { patienceMs: options.patienceMs, ca: options.tls?.ca, insecure });
  if (seen === 'passes') notes.well('body', 'layers of any size pass, as they come');
  else notes.add('body', seen.problem, ping, seen.detail);
}

async function checkUpload(
  line: Line,
  options: { login: NonNullable<LoginCheckOptions['login']>; repository: string; realm: string; query: string; root: string; url: string },
  notes: Notes,
): Promise<void> {
  const { repository, root } = options;
  const scope = `${options.query === '' ? '?' : `${options.query}&`}scope=${encodeURIComponent(`repository:${repository}:pull,push`)}`;
  const found = await fetchToken(line, `${options.realm}${scope}`, basicOf(options.login), notes);
  if (found === undefined) return;
  const authorization = `Bearer ${found.token}`;
  const start = `${root}/v2/${repository}/blobs/uploads/`;
  const begun = await line.ask(start, { authorization }, 'POST');
  if (typeof begun === 'string') return stopWith(notes, 'upload', begun, start, line.lastFailure());
  if (begun.status === 405 && readError(begun) === undefined) return notes.add('upload', 'method-blocked', start, 'POST');
  if (begun.status !== 202) return notes.add('upload', 'push-refused', start, readError(begun) ?? statusOf(begun));
  const location = begun.headers.get('location') ?? '';
  const upload = URL.parse(location, start);
  if (upload === null || upload.origin !== root || !upload.pathname.includes(`/v2/${repository}/blobs/uploads/`))
    return notes.add('upload', 'location-changed', start, shorten(location === '' ? 'it is missing' : location));
  for (const [method, wanted] of [
    ['PATCH', 202],
    ['DELETE', 204],
  ] as const) {
    const answer = await line.ask(upload.href, { authorization }, method);
    if (typeof answer === 'string') return stopWith(notes, 'upload', answer, start, line.lastFailure());
    if (answer.status === wanted) continue;
    const isOurs = readError(answer) !== undefined;
    return notes.add('upload', isOurs ? 'location-changed' : 'method-blocked', start, isOurs ? readError(answer) : method);
  }
  notes.well('upload', `an upload to ${repository} was started and taken back`);
}

interface Line {
  /** The answer, or what kept it from coming. */
  ask(url: string, headers: Readonly<Record<string, string>>, method?: string): Promise<Answer | LoginProblem>;
  lastFailure(): string;
  ignoreCertificate(): void;
}

function createLine(options: LoginCheckOptions): Line {
  const { tls = { insecure: false }, timeoutMs = timeoutDefaultMs, userAgent = 'breakwater-login-check' } = options;
  let lastFailure = '';
  let isChecked = !tls.insecure;
  return {
    lastFailure: () => lastFailure,
    ignoreCertificate: () => {
      isChecked = false;
    },
    ask: async (url, headers, method = 'GET') => {
      try {
        const response = await fetch(url, {
          method,
          redirect: 'manual',
          signal: AbortSignal.timeout(timeoutMs),
          headers: { 'user-agent': userAgent, accept: 'application/json', ...headers },
          tls: { rejectUnauthorized: isChecked, ...(tls.ca === undefined ? {} : { ca: tls.ca }) },
          // Clients of the same machine would not go through a proxy of the environment either.
          ...(noProxy as object),
        });
        return { status: response.status, headers: response.headers, text: await readText(response) };
      } catch (error) {
        lastFailure = shorten(error instanceof Error ? error.message : String(error));
        return problemOf(error);
      }
    },
  };
}

/** Bun reads `false` as "no proxy at all, whatever the environment says"; its types do not know. */
const noProxy: Readonly<Record<string, unknown>> = { proxy: false };

function problemOf(error: unknown): LoginProblem {
  if (!(error instanceof Error)) return 'broken-off';
  if (error.name === 'TimeoutError') return 'silent';
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || /unable to resolve|getaddrinfo/i.test(error.message)) return 'host-unknown';
  if (code === 'ECONNREFUSED' || code === 'ConnectionRefused') return 'refused';
  if (/EXPIRED|NOT_YET_VALID/.test(code)) return 'certificate-expired';
  if (/ALTNAME|HOSTNAME/.test(code)) return 'certificate-name';
  if (/CERT|SELF_SIGNED|VERIFY|ISSUER/.test(code)) return 'certificate-unknown';
  return code === 'EPROTO' || /WRONG_VERSION|SSL/i.test(code) ? 'no-tls' : 'broken-off';
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    sizeBytes += chunk.byteLength;
    if (sizeBytes > answerMaxBytes) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

function readToken({ status, text }: Answer): TokenAnswer | undefined {
  if (status !== 200) return undefined;
  const body = parseObject(text);
  const token = body?.['token'] ?? body?.['access_token'];
  if (typeof token !== 'string') return undefined;
  const claims = parseObject(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
  return { token, subject: typeof claims?.['sub'] === 'string' ? claims['sub'] : undefined };
}

/** The first message of an error body of a registry. */
function readError({ text }: Answer): string | undefined {
  const errors = parseObject(text)?.['errors'];
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof first !== 'object' || first === null || !('message' in first)) return undefined;
  return shorten(String(first.message));
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function statusOf(answer: Answer): string {
  const type = answer.headers.get('content-type')?.split(';')[0];
  return `status ${answer.status}${type === undefined ? '' : `, ${shorten(type)}`}`;
}

function waitOf(answer: Answer): string | undefined {
  const header = answer.headers.get('retry-after');
  return header !== null && /^\d{1,6}$/.test(header) ? `${header} s` : undefined;
}

function basicOf({ name, password }: NonNullable<LoginCheckOptions['login']>): string {
  return `Basic ${Buffer.from(`${name}:${password.reveal()}`, 'utf8').toString('base64')}`;
}

function stopWith(notes: Notes, step: LoginStep, problem: LoginProblem, where: string, detail?: string): never {
  notes.add(step, problem, where, detail);
  throw new Stop();
}

/** What others sent, on one short line. */
function shorten(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?').slice(0, 200);
}
