// A TCP proxy in front of a plain HTTP/1.1 upstream that plants network faults and counts, per response, the body bytes it really gave away.
// It forwards bytes unchanged unless a fault says otherwise, and knows which request a response belongs to. It must never speak TLS, follow
// redirects or cache. One client connection has one upstream connection, so keep-alive behaves as without it.
//
//   client -> [proxy: request head -> fault? -> upstream] ; upstream -> [response head -> body pieces -> fault? -> client, counted]

import { setTimeout as sleep } from 'node:timers/promises';
import type { Socket } from 'bun';
import { ByteStream, type HttpHead, type Piece, requestFraming, responseFraming } from './fault-proxy-stream.ts';

export type FaultAction =
  /** Ends the connection after that many body bytes of a response; 0 means right after the head. */
  | { readonly kind: 'cut'; readonly afterBodyBytes: number; readonly how: 'fin' | 'reset' }
  /** Stops after that many body bytes for `forMs`, by default until the proxy goes down. */
  | { readonly kind: 'stall'; readonly afterBodyBytes: number; readonly forMs?: number }
  | { readonly kind: 'trickle'; readonly bytesPerSecond: number; readonly afterBodyBytes?: number }
  /** Keeps the response head back. */
  | { readonly kind: 'delay-headers'; readonly delayMs: number }
  /** Inverts one bit of the body byte at this offset of the response (not of the blob). */
  | { readonly kind: 'flip'; readonly atBodyByte: number }
  /** Answers itself; the upstream never sees the request. */
  | { readonly kind: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** Closes the connection without an answer. */
  | { readonly kind: 'hang-up'; readonly how: 'fin' | 'reset' };

export interface Fault {
  /** Both must match when given; without them every request does. The path includes the query. */
  readonly method?: RegExp;
  readonly path?: RegExp;
  /** How many matching requests pass unharmed first; default 0. */
  readonly skip?: number;
  /** How many matching requests are harmed after those; default all. */
  readonly times?: number;
  readonly action: FaultAction;
}

export interface ResponseCounter {
  readonly method: string;
  readonly path: string;
  /** First byte of a `Range: bytes=N-`; 0 without one. */
  readonly rangeStart: number;
  /** 0 until a status line was sent. */
  status: number;
  /** Body bytes the kernel took for the client, chunk framing not counted. */
  bodyBytes: number;
  /** The whole response was given away. */
  complete: boolean;
  /** What was done to it, if anything. */
  fault: FaultAction['kind'] | undefined;
  /** Unix time the request head had arrived, milliseconds. */
  readonly atMs: number;
}

export interface FaultProxy {
  readonly url: string;
  readonly port: number;
  /** Replaces all faults; undefined heals. Counting of `skip` and `times` starts anew. */
  setFault(fault: Fault | readonly Fault[] | undefined): void;
  /** One entry per request since the start or the last `resetCounters`, in order of arrival. Live objects. */
  counters(): readonly ResponseCounter[];
  resetCounters(): void;
  /** Client connections accepted so far. */
  readonly connections: number;
  /** Refuses connections from now on and resets the open ones. */
  down(): void;
  /** Listens again on the same port. */
  up(): void;
  stop(): void;
}

interface ArmedFault {
  readonly fault: Fault;
  seen: number;
}

interface Connection {
  readonly client: ByteStream;
  upstream: ByteStream | undefined;
}

/** Starts the proxy on a free loopback port. */
export function startFaultProxy(options: { readonly upstreamPort: number; readonly upstreamHost?: string }): FaultProxy {
  const { upstreamPort, upstreamHost = '127.0.0.1' } = options;
  const open = new Set<Connection>();
  let armed: ArmedFault[] = [];
  let counters: ResponseCounter[] = [];
  let accepted = 0;

  const dial = async (connection: Connection): Promise<ByteStream> => {
    if (connection.upstream !== undefined && !connection.upstream.isClosed) return connection.upstream;
    const stream = new ByteStream();
    await Bun.connect({ hostname: upstreamHost, port: upstreamPort, socket: ByteStream.handlers(() => stream) });
    connection.upstream = stream;
    return stream;
  };

  const serve = async (connection: Connection): Promise<void> => {
    const { client } = connection;
    for (;;) {
      const head = await client.readHead();
      if (head === undefined) return client.end();
      const counter = countRequest(head);
      counters.push(counter);
      const action = takeFault(armed, counter);
      counter.fault = action?.kind;
      if (action?.kind === 'hang-up') return await close(client, action.how);
      if (action?.kind === 'answer') {
        await discard(client.readBody(requestFraming(head)));
        await answer(client, { action, counter });
        continue;
      }
      const upstream = await dial(connection);
      const sent = forwardRequest({ client, upstream, head });
      const goesOn = await forwardResponse({ client, upstream, counter, action });
      if (!goesOn) return;
      await sent;
    }
  };

  const accept = (client: ByteStream): void => {
    accepted += 1;
    const connection: Connection = { client, upstream: undefined };
    open.add(connection);
    void client.gone.then(() => {
      connection.upstream?.reset();
      open.delete(connection);
    });
    // Whatever goes wrong between the two ends is a lost connection for the client.
    serve(connection).catch(() => client.reset());
  };

  const listen = (port: number): Bun.TCPSocketListener<ByteStream> => {
    const handlers = ByteStream.handlers((socket: Socket<ByteStream>) => socket.data);
    return Bun.listen<ByteStream>({
      hostname: '127.0.0.1',
      port,
      socket: {
        ...handlers,
        open: (socket) => {
          socket.data = new ByteStream();
          handlers.open(socket);
          accept(socket.data);
        },
      },
    });
  };

  let listener: Bun.TCPSocketListener<ByteStream> | undefined = listen(0);
  const port = listener.port;
  const down = (): void => {
    listener?.stop(true);
    listener = undefined;
    for (const connection of open) {
      connection.client.reset();
      connection.upstream?.reset();
    }
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    setFault: (fault) => {
      const list = fault === undefined ? [] : Array.isArray(fault) ? (fault as readonly Fault[]) : [fault as Fault];
      armed = list.map((each) => ({ fault: each, seen: 0 }));
    },
    counters: () => counters,
    resetCounters: () => {
      counters = [];
    },
    get connections() {
      return accepted;
    },
    down,
    up: () => {
      listener ??= listen(port);
    },
    stop: down,
  };
}

function countRequest(head: HttpHead): ResponseCounter {
  const [method = '', path = ''] = head.firstLine.split(' ');
  const range = /^bytes=(\d+)-/.exec(head.header('range') ?? '');
  return {
    method,
    path,
    rangeStart: Number(range?.[1] ?? 0),
    status: 0,
    bodyBytes: 0,
    complete: false,
    fault: undefined,
    atMs: Date.now(),
  };
}

function takeFault(armed: readonly ArmedFault[], request: ResponseCounter): FaultAction | undefined {
  for (const entry of armed) {
    const { method, path, skip = 0, times = Number.POSITIVE_INFINITY, action } = entry.fault;
    if (method?.test(request.method) === false || path?.test(request.path) === false) continue;
    entry.seen += 1;
    if (entry.seen > skip && entry.seen <= skip + times) return action;
  }
  return undefined;
}

async function forwardRequest(parts: {
  readonly client: ByteStream;
  readonly upstream: ByteStream;
  readonly head: HttpHead;
}): Promise<void> {
  const { client, upstream, head } = parts;
  await upstream.write(head.bytes);
  try {
    for await (const piece of client.readBody(requestFraming(head))) await upstream.write(piece.bytes);
  } catch {
    // The client left in the middle of its body; the upstream must see that too.
    upstream.reset();
  }
}

interface ResponseParts {
  readonly client: ByteStream;
  readonly upstream: ByteStream;
  readonly counter: ResponseCounter;
  readonly action: FaultAction | undefined;
}

/** False when the client's connection is finished. */
async function forwardResponse(parts: ResponseParts): Promise<boolean> {
  const { client, upstream, counter, action } = parts;
  for (;;) {
    const head = await upstream.readHead();
    if (head === undefined) {
      client.reset();
      return false;
    }
    const status = Number(head.firstLine.split(' ')[1]);
    if (status >= 200 && action?.kind === 'delay-headers') await waitUnlessGone(client, action.delayMs);
    await client.write(head.bytes);
    if (status < 200 && status !== 101) continue;
    counter.status = status;
    const framing = responseFraming(head, { method: counter.method, status });
    const goesOn = await forwardBody(parts, upstream.readBody(framing));
    if (!goesOn) return false;
    counter.complete = true;
    const closing = framing.kind === 'until-close' || /close/i.test(head.header('connection') ?? '');
    if (closing) client.end();
    return !closing;
  }
}

async function forwardBody(parts: ResponseParts, body: AsyncIterable<Piece>): Promise<boolean> {
  const { client, upstream, counter, action } = parts;
  const limitBytes = action?.kind === 'cut' || action?.kind === 'stall' ? action.afterBodyBytes : Number.POSITIVE_INFINITY;
  const give = async (bytes: Uint8Array): Promise<boolean> => {
    const taken = await client.write(bytes, (countBytes) => {
      counter.bodyBytes += countBytes;
    });
    return taken === bytes.length;
  };
  let tripped = false;
  const trip = async (): Promise<boolean> => {
    tripped = true;
    if (action?.kind === 'stall') {
      await waitUnlessGone(client, action.forMs ?? Number.POSITIVE_INFINITY);
      return !client.isClosed;
    }
    if (action?.kind === 'cut') await close(client, action.how);
    upstream.reset();
    return false;
  };
  if (limitBytes === 0 && !(await trip())) return false;
  try {
    for await (const piece of body) {
      if (!piece.isBody) {
        await client.write(piece.bytes);
        continue;
      }
      const bytes = action?.kind === 'flip' ? flipped(piece.bytes, action.atBodyByte - counter.bodyBytes) : piece.bytes;
      const before = tripped ? bytes.length : Math.max(0, Math.min(bytes.length, limitBytes - counter.bodyBytes));
      if (action?.kind === 'trickle') {
        if (!(await trickle({ client, bytes, action, give, givenBytes: counter.bodyBytes }))) return false;
        continue;
      }
      if (!(await give(bytes.subarray(0, before)))) return false;
      if (!tripped && counter.bodyBytes >= limitBytes && !(await trip())) return false;
      if (!(await give(bytes.subarray(before)))) return false;
    }
    return !client.isClosed;
  } catch {
    // The upstream ended inside the body: so does the client's connection.
    await close(client, 'reset');
    return false;
  } finally {
    if (client.isClosed) upstream.reset();
  }
}

async function answer(client: ByteStream, parts: { readonly action: FaultAction & { kind: 'answer' }; readonly counter: ResponseCounter }) {
  const { action, counter } = parts;
  const body = Buffer.from(action.body ?? '');
  const headers = { 'Content-Type': 'text/plain', ...action.headers, 'Content-Length': String(body.length) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  await client.write(Buffer.from(`HTTP/1.1 ${action.status} Planted\r\n${lines.join('')}\r\n`));
  counter.status = action.status;
  if (counter.method !== 'HEAD') {
    await client.write(body, (countBytes) => {
      counter.bodyBytes += countBytes;
    });
  }
  counter.complete = true;
}

/**
 * Waits a moment first: a reset drops what the peer's kernel has not received, and a client like Bun's `fetch` drops received bytes that its
 * reader has not taken when the connection ends. So the counters say what the client could read.
 */
async function close(client: ByteStream, how: 'fin' | 'reset'): Promise<void> {
  await sleep(50);
  if (how === 'fin') client.end();
  else client.reset();
}

async function waitUnlessGone(client: ByteStream, forMs: number): Promise<void> {
  if (!Number.isFinite(forMs)) return client.gone;
  const abort = new AbortController();
  const timer = sleep(forMs, undefined, { signal: abort.signal }).catch(() => undefined);
  await Promise.race([timer, client.gone]);
  abort.abort();
}

async function discard(body: AsyncIterable<Piece>): Promise<void> {
  for await (const _ of body);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const byte = bytes[at];
  if (byte === undefined) return bytes;
  const copy = bytes.slice();
  copy[at] = byte ^ 0x10;
  return copy;
}

interface TrickleParts {
  readonly client: ByteStream;
  readonly bytes: Uint8Array;
  readonly action: FaultAction & { kind: 'trickle' };
  readonly give: (bytes: Uint8Array) => Promise<boolean>;
  /** Body bytes given before these. */
  readonly givenBytes: number;
}

/** Gives the bytes in parts of a twentieth of a second. */
async function trickle(parts: TrickleParts): Promise<boolean> {
  const { client, bytes, action, give, givenBytes } = parts;
  const fastBytes = Math.max(0, Math.min(bytes.length, (action.afterBodyBytes ?? 0) - givenBytes));
  const partBytes = Math.max(1, Math.floor(action.bytesPerSecond / 20));
  if (!(await give(bytes.subarray(0, fastBytes)))) return false;
  for (let at = fastBytes; at < bytes.length; at += partBytes) {
    const part = bytes.subarray(at, at + partBytes);
    if (!(await give(part))) return false;
    await waitUnlessGone(client, (part.length / action.bytesPerSecond) * 1000);
  }
  return true;
}
