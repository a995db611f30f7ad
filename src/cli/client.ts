// The commands' client of the admin API. Every request has a deadline, every answer a size limit, and every failure words for the person
// at the terminal. It must never follow a redirect: the password goes to the address that was named, nowhere else.

import type { z } from 'zod';
import { errorSchema } from '../api/schemas.ts';
import type { Connection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { plain } from './text.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below /api/v2.0, each segment encoded. */
  readonly path: string;
  /** A list gives the name several times. */
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: unknown;
}

export interface ApiUpload extends Pick<ApiRequest, 'path' | 'query'> {
  readonly contentType: string;
  readonly body: ReadableStream<Uint8Array>;
}

/** The server refused. `code` is that of the error body. */
export class ApiFailure extends CommandFailure {
  readonly code: string;

  constructor(code: string, message: string, options: { hint?: string }) {
    super(message, options);
    this.code = code;
  }
}

export interface ApiClient {
  /** The answer's JSON, checked; `raw` is what the server sent, for `--json`. Throws ApiFailure or CommandFailure. */
  read<T>(schema: z.ZodType<T>, request: ApiRequest): Promise<{ readonly value: T; readonly raw: unknown }>;
  /** For answers without a body. */
  send(request: ApiRequest): Promise<void>;
  /** An answer of one JSON value a line, as they come. The deadline holds for its beginning. */
  readLines<T>(schema: z.ZodType<T>, request: ApiRequest): AsyncGenerator<T>;
  /** An answer of bytes, as they come. */
  readBytes(request: ApiRequest): AsyncGenerator<Uint8Array>;
  /** Sends a stream, however long that takes, and reads the answer's JSON. */
  upload<T>(schema: z.ZodType<T>, request: ApiUpload): Promise<{ readonly value: T; readonly raw: unknown }>;
}

const timeoutDefaultMs = 30_000;
const answerMaxBytes = 64 * 1024 * 1024;
const apiPath = '/api/v2.0';

export function createApiClient(connection: Connection, { timeoutMs = timeoutDefaultMs }: { timeoutMs?: number } = {}): ApiClient {
  const login = async (): Promise<string> => {
    const { password } = connection;
    if (password instanceof CommandFailure) {
      await call(connection, { method: 'GET', path: '/ping' }, { timeoutMs });
      throw password;
    }
    return `Basic ${Buffer.from(`${connection.user}:${password.reveal()}`, 'utf8').toString('base64')}`;
  };
  const exchange = async (request: ApiRequest): Promise<string> => call(connection, request, { timeoutMs, authorization: await login() });
  return {
    read: async (schema, request) => {
      const raw = parseJson(await exchange(request));
      const parsed = schema.safeParse(raw);
      if (!parsed.success) throw notUnderstood(connection);
      return { value: parsed.data, raw };
    },
    send: async (request) => {
      await exchange(request);
    },
    readLines: async function* (schema, request) {
      const { response, deadline } = await openCall(connection, request, { timeoutMs, authorization: await login() });
      deadline.end();
      for await (const line of linesOf(connection, response)) {
        const parsed = schema.safeParse(parseJson(line));
        if (!parsed.success) throw notUnderstood(connection);
        yield parsed.data;
      }
    },
    readBytes: async function* (request) {
      const { response, deadline } = await openCall(connection, request, { timeoutMs, authorization: await login() });
      deadline.end();
      try {
        for await (const chunk of response.body ?? []) yield chunk;
      } catch (error) {
        throw brokenOff(connection, error);
      }
    },
    upload: async (schema, { path, query, contentType, body }) => {
      const request = { method: 'POST', path, ...(query === undefined ? {} : { query }), stream: { contentType, body } } as const;
      const text = await call(connection, request, { timeoutMs: Number.POSITIVE_INFINITY, authorization: await login() });
      const raw = parseJson(text);
      const parsed = schema.safeParse(raw);
      if (!parsed.success) throw notUnderstood(connection);
      return { value: parsed.data, raw };
    },
  };
}

function notUnderstood({ url }: Connection): CommandFailure {
  return new CommandFailure(`the answer of ${url} is not understood`, { hint: 'is the server of another version than this command?' });
}

interface CallOptions {
  readonly timeoutMs: number;
  readonly authorization?: string;
}

/** A request as it is sent: with a JSON value, a stream, or nothing as its body. */
type Outgoing = ApiRequest & { readonly stream?: Pick<ApiUpload, 'contentType' | 'body'> };

async function call(connection: Connection, request: Outgoing, options: CallOptions): Promise<string> {
  const { response, deadline } = await openCall(connection, request, options);
  try {
    return await readText(response);
  } catch (error) {
    throw error instanceof CommandFailure ? error : connectionFailure(connection, error, options.timeoutMs);
  } finally {
    deadline.end();
  }
}

/** A good answer, its body unread. The deadline goes on until it is ended, for whoever reads the body in one piece. */
async function openCall(
  connection: Connection,
  request: Outgoing,
  { timeoutMs, authorization }: CallOptions,
): Promise<{ readonly response: Response; readonly deadline: { end(): void } }> {
  const target = new URL(`${connection.url}${apiPath}${request.path}`);
  for (const [name, value] of Object.entries(request.query ?? {}))
    for (const item of typeof value === 'string' ? [value] : value) target.searchParams.append(name, item);
  const { ca, insecure } = connection.tls;
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(target.hostname);
  const deadline = startDeadline(timeoutMs);
  try {
    const response = await fetch(target, {
      method: request.method,
      redirect: 'manual',
      signal: deadline.signal,
      headers: {
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
        // What looks like a number is a name all the same.
        'x-is-resource-name': 'true',
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(request.stream === undefined ? {} : { 'content-type': request.stream.contentType }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(request.stream === undefined ? {} : { body: request.stream.body }),
      tls: { rejectUnauthorized: !insecure, ...(ca === undefined ? {} : { ca }) },
      // A proxy from the environment is not asked for this machine.
      ...(isLoopback ? noProxy : {}),
    });
    if (response.ok) return { response, deadline };
    throw refusal(connection, response, await readText(response));
  } catch (error) {
    deadline.end();
    throw error instanceof CommandFailure ? error : connectionFailure(connection, error, timeoutMs);
  }
}

function startDeadline(timeoutMs: number): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort(new DOMException('no answer in time', 'TimeoutError'));
  const timer = Number.isFinite(timeoutMs) ? setTimeout(abort, timeoutMs) : undefined;
  return { signal: controller.signal, end: () => clearTimeout(timer) };
}

async function* linesOf(connection: Connection, response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > answerMaxBytes) throw new CommandFailure(`a line of the answer is larger than ${answerMaxBytes} bytes`);
      for (const line of lines) if (line !== '') yield line;
    }
  } catch (error) {
    throw error instanceof CommandFailure ? error : brokenOff(connection, error);
  }
  if (rest !== '') throw brokenOff(connection, undefined);
}

function brokenOff({ url }: Connection, cause: unknown): CommandFailure {
  return new CommandFailure(`the answer of ${url} broke off`, { hint: "the server's log says more", cause });
}

/** Bun reads `false` as "no proxy at all, whatever the environment says"; its types do not know. */
const noProxy: Readonly<Record<string, unknown>> = { proxy: false };

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > answerMaxBytes) throw new CommandFailure(`the answer is larger than ${answerMaxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refusal(connection: Connection, response: Response, text: string): CommandFailure {
  const parsed = errorSchema.safeParse(parseJson(text));
  const [first] = parsed.success ? parsed.data.errors : [];
  if (first !== undefined) return new ApiFailure(first.code, plain(first.message), hintFor(first.code));
  const location = response.headers.get('location');
  if (location !== null) {
    return new CommandFailure(`${connection.url} redirects to ${plain(location).slice(0, 200)}`, {
      hint: 'name the server itself with --url',
    });
  }
  const kind = response.headers.get('content-type') ?? 'no content type';
  return new CommandFailure(`what answers at ${connection.url} is not Breakwater (status ${response.status}, ${plain(kind)})`, {
    hint: 'name its address with --url',
  });
}

function hintFor(code: string): { hint?: string } {
  if (code === 'UNAUTHORIZED') {
    return {
      hint: 'check --user and the password (--password-file, BREAKWATER_PASSWORD, or admin.password in the data folder, see --data)',
    };
  }
  return code === 'DENIED' ? { hint: 'this needs an administrator' } : {};
}

function connectionFailure({ url }: Connection, error: unknown, timeoutMs: number): CommandFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new CommandFailure(`no answer from ${url} within ${timeoutMs / 1000} s`);
  if (code === 'ECONNREFUSED') {
    return new CommandFailure(`no server is running at ${url}`, {
      hint: 'start one with `breakwater serve`, or name the address of another one with --url',
    });
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return new CommandFailure(`the host of ${url} is not known (${code})`);
  if (code === 'EPROTO') return new CommandFailure(`what listens at ${url} does not speak TLS`, { hint: 'use http:// in --url' });
  if (/CERT|SELF_SIGNED|VERIFY|ISSUER/.test(code)) {
    return new CommandFailure(`the certificate of ${url} is not accepted: ${message}`, {
      hint: 'use the name in the certificate, name its authority with --ca-file FILE, or (tests only) pass --insecure',
    });
  }
  const hint = url.startsWith('http:') ? 'does the server want https://?' : undefined;
  return new CommandFailure(`the connection to ${url} failed: ${message}`, hint === undefined ? {} : { hint });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
