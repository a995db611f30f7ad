// A registry source that follows a script: it serves the repositories it is given, and each rule may turn an answer into a fault. Spoken over
// bare TCP or TLS, so that every fault is possible down to the byte. It counts connections, requests and body bytes, and listens on loopback only.

import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Content, Image, Manifest } from './images.ts';

export interface SourceRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  /** From 1, among the requests on its connection. */
  readonly turn: number;
}

export interface Answer {
  readonly status: number;
  /** An empty one is left out; Content-Length is added. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Before the first byte. */
  readonly wait?: Promise<unknown>;
  /** Nothing is sent: the connection stays silent, is closed or is reset. */
  readonly silence?: 'stall' | 'end' | 'reset';
  /** The body's rate. */
  readonly bytesPerSecond?: number;
  /** Chunks instead of Content-Length; the end that `breakAt` brings then lacks its last chunk. */
  readonly isChunked?: boolean;
  /** After this many body bytes. `pause` goes on when its promise is kept; the others are the end. */
  readonly breakAt?: { readonly bytes: number; readonly by: 'end' | 'reset' | 'stall' | 'pause'; readonly until?: Promise<unknown> };
}

/** Gives another answer, or undefined to leave it to the next rule. */
export type Rule = (request: SourceRequest, answer: Answer) => Answer | undefined;

export interface FakeSource {
  readonly url: string;
  readonly port: number;
  readonly host: string;
  readonly requests: SourceRequest[];
  /** Connections taken so far. */
  connections(): number;
  /** Requests whose path ends so; of one method when given. */
  count(pathEnd: string, method?: string): number;
  /** Body bytes written for paths that end so. */
  bytes(pathEnd: string): number;
  /** Serves an image, and its tags. */
  add(repository: string, image: Image | Manifest, ...tags: string[]): void;
  addBlob(repository: string, content: Content): void;
  /** No longer serves an image, nor remembers what was asked of it. */
  forget(repository: string, image: Image): void;
  /** The first rule that answers counts; the latest is asked first. */
  rule(rule: Rule): void;
  /** Back to good behaviour. */
  clearRules(): void;
  /** Refuses connections and closes those that are open. */
  down(): Promise<void>;
  /** Listens again on the same port. */
  up(): Promise<void>;
  stop(): Promise<void>;
}

interface Repository {
  readonly tags: Map<string, string>;
  readonly manifests: Map<string, Manifest>;
  readonly blobs: Map<string, Content>;
}

export interface FakeSourceOptions {
  /** A loopback address; 127.0.0.1 by default. */
  readonly address?: string;
  /** PEM text of a certificate and its key: it speaks TLS. */
  readonly tls?: string;
  /** How long a receiver has for what it was sent before the connection breaks; 300 by default. */
  readonly drainMs?: number;
}

export async function startFakeSource(options: FakeSourceOptions = {}): Promise<FakeSource> {
  const { address = '127.0.0.1', tls, drainMs = 300 } = options;
  const repositories = new Map<string, Repository>();
  const requests: SourceRequest[] = [];
  const bytesByPath = new Map<string, number>();
  const open = new Set<Socket>();
  let rules: Rule[] = [];
  let accepted = 0;
  const repositoryOf = (name: string): Repository => {
    const found = repositories.get(name) ?? { tags: new Map(), manifests: new Map(), blobs: new Map() };
    repositories.set(name, found);
    return found;
  };
  const respond = async (socket: Socket, request: SourceRequest): Promise<void> => {
    requests.push(request);
    const honest = honestAnswer(repositories, request);
    const answer = rules.reduce<Answer | undefined>((found, rule) => found ?? rule(request, honest), undefined) ?? honest;
    await send(socket, request, { ...answer, drainMs }, (count) =>
      bytesByPath.set(request.path, (bytesByPath.get(request.path) ?? 0) + count),
    );
  };
  const onConnection = (socket: Socket): void => {
    accepted++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    let buffered = '';
    let received = 0;
    let turn = Promise.resolve();
    socket.on('data', (chunk) => {
      buffered += chunk.toString('latin1');
      for (let end = buffered.indexOf('\r\n\r\n'); end !== -1; end = buffered.indexOf('\r\n\r\n')) {
        const request = parseRequest(buffered.slice(0, end), ++received);
        buffered = buffered.slice(end + 4);
        turn = turn.then(() => respond(socket, request));
      }
    });
  };
  const server = tls === undefined ? createServer(onConnection) : createTlsServer({ cert: tls, key: tls }, onConnection);
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, address, () => resolve());
    });
  const down = async (): Promise<void> => {
    for (const socket of open) socket.resetAndDestroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  await listen(0);
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${address}:${port}`,
    port,
    host: `${address}:${port}`,
    requests,
    connections: () => accepted,
    count: (pathEnd, method) =>
      requests.filter((request) => request.path.endsWith(pathEnd) && (method === undefined || request.method === method)).length,
    bytes: (pathEnd) => [...bytesByPath].reduce((sum, [path, count]) => (path.endsWith(pathEnd) ? sum + count : sum), 0),
    add: (name, item, ...tags) => {
      const { manifests, blobs, tags: known } = repositoryOf(name);
      const manifest = 'manifest' in item ? item.manifest : item;
      manifests.set(manifest.digest, manifest);
      if ('manifest' in item) for (const content of [item.config, ...item.layers]) blobs.set(content.digest, content);
      for (const tag of tags) known.set(tag, manifest.digest);
    },
    addBlob: (name, content) => {
      repositoryOf(name).blobs.set(content.digest, content);
    },
    forget: (name, image) => {
      const { manifests, blobs } = repositoryOf(name);
      manifests.delete(image.manifest.digest);
      for (const content of [image.config, ...image.layers]) blobs.delete(content.digest);
      requests.length = 0;
      bytesByPath.clear();
    },
    rule: (rule) => {
      rules = [rule, ...rules];
    },
    clearRules: () => {
      rules = [];
    },
    down,
    up: () => listen(port),
    stop: down,
  };
}

/** Rules for paths that end so; `*` is every path. */
export function on(pathEnd: string, turn: (answer: Answer, request: SourceRequest) => Answer | undefined): Rule {
  return (request, answer) => (pathEnd === '*' || request.path.endsWith(pathEnd) ? turn(answer, request) : undefined);
}
export function status(code: number, headers: Readonly<Record<string, string>> = {}, text = '{"errors":[]}'): () => Answer {
  return () => ({ status: code, headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(text) });
}
export function html(): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: Buffer.from('<!doctype html><html><body>Please log in to the hotel network</body></html>'),
  };
}
export function flipByte(at: number): (answer: Answer) => Answer {
  return (answer) => {
    const body = Buffer.from(answer.body);
    const place = at < 0 ? body.length + at : at;
    body[place] = (body[place] ?? 0) ^ 1;
    return { ...answer, body };
  };
}
/** Nothing is said, the connection stays. */
export function stall(answer: Answer): Answer {
  return { ...answer, silence: 'stall' };
}
export function breakAt(bytes: number, by: 'end' | 'reset' | 'stall'): (answer: Answer) => Answer {
  return (answer) => ({ ...answer, breakAt: { bytes, by } });
}
/** The rule's answer the first `count` times, good behaviour afterwards. */
export function times(count: number, turn: (answer: Answer, request: SourceRequest) => Answer | undefined): typeof turn {
  let left = count;
  return (answer, request) => (left-- > 0 ? turn(answer, request) : undefined);
}

/** What a good registry says, ranges included. distribution-spec v1.1 end-2, end-3, end-8, end-12. */
function honestAnswer(repositories: ReadonlyMap<string, Repository>, request: SourceRequest): Answer {
  const match = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(request.path);
  const repository = repositories.get(match?.[1] ?? '');
  const name = match?.[3] ?? '';
  if (repository === undefined) return json(404, { errors: [{ code: 'NAME_UNKNOWN' }] });
  switch (match?.[2]) {
    case 'manifests': {
      const manifest = repository.manifests.get(repository.tags.get(name) ?? name);
      if (manifest === undefined) return json(404, { errors: [{ code: 'MANIFEST_UNKNOWN' }] });
      return {
        status: 200,
        headers: { 'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest },
        body: manifest.bytes,
      };
    }
    case 'blobs': {
      const blob = repository.blobs.get(name);
      return blob === undefined ? json(404, { errors: [{ code: 'BLOB_UNKNOWN' }] }) : blobAnswer(blob.bytes, request.headers['range']);
    }
    case 'tags':
      return json(200, { name: match[1], tags: [...repository.tags.keys()] });
    case 'referrers': {
      const manifests = [...repository.manifests.values()].flatMap((manifest) => {
        const value: { subject?: { digest: string }; artifactType?: string } = JSON.parse(manifest.bytes.toString());
        if (value.subject?.digest !== name) return [];
        return [{ mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length, artifactType: value.artifactType }];
      });
      const index = json(200, { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests });
      return { ...index, headers: { 'content-type': 'application/vnd.oci.image.index.v1+json' } };
    }
    default:
      return json(404, { errors: [] });
  }
}

function blobAnswer(bytes: Buffer, range: string | undefined): Answer {
  const headers = { 'content-type': 'application/octet-stream' };
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? -1);
  if (from === -1) return { status: 200, headers, body: bytes };
  if (from >= bytes.length) return { status: 416, headers: { 'content-range': `bytes */${bytes.length}` }, body: Buffer.alloc(0) };
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` },
    body: bytes.subarray(from),
  };
}

export function json(code: number, value: unknown): Answer {
  return { status: code, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) };
}

async function send(
  socket: Socket,
  request: SourceRequest,
  answer: Answer & { readonly drainMs: number },
  onBytes: (count: number) => void,
): Promise<void> {
  await answer.wait;
  if (answer.silence === 'stall') return;
  if (answer.silence !== undefined) {
    if (answer.silence === 'end') socket.destroy();
    else socket.resetAndDestroy();
    return;
  }
  const framing = answer.isChunked === true ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(answer.body.length) };
  const headers = { ...framing, ...answer.headers };
  const lines = Object.entries(headers).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}\r\n`]));
  await write(socket, Buffer.from(`HTTP/1.1 ${answer.status} X\r\n${lines.join('')}\r\n`));
  if (request.method === 'HEAD') return;
  const { breakAt: cut } = answer;
  const isCut = cut !== undefined && cut.bytes <= answer.body.length;
  await writeBody(socket, { ...answer, body: isCut ? answer.body.subarray(0, cut.bytes) : answer.body }, onBytes);
  if (!isCut) {
    if (answer.isChunked === true) await write(socket, Buffer.from('0\r\n\r\n'));
    return;
  }
  if (cut.by === 'pause') {
    await cut.until;
    await writeBody(socket, { ...answer, body: answer.body.subarray(cut.bytes) }, onBytes);
  } else if (cut.by === 'end' || cut.by === 'reset') {
    // A receiver that learns of the end drops what it has not read yet: time to read it first.
    await Bun.sleep(answer.drainMs);
    if (cut.by === 'end') socket.end();
    else socket.resetAndDestroy();
  } else await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

/** In pieces, at the pace of the receiver or at the answer's own. */
async function writeBody(socket: Socket, answer: Answer, onBytes: (count: number) => void): Promise<void> {
  const { body, bytesPerSecond, isChunked } = answer;
  const pieceBytes = bytesPerSecond === undefined ? 65_536 : Math.max(1, Math.min(65_536, Math.floor(bytesPerSecond / 20)));
  for (let at = 0; at < body.length && !socket.destroyed; at += pieceBytes) {
    const piece = body.subarray(at, at + pieceBytes);
    onBytes(piece.length);
    if (isChunked === true) await write(socket, Buffer.from(`${piece.length.toString(16)}\r\n`));
    await write(socket, piece);
    if (isChunked === true) await write(socket, Buffer.from('\r\n'));
    if (bytesPerSecond !== undefined) await Bun.sleep((piece.length / bytesPerSecond) * 1000);
  }
}

function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    const onClose = (): void => resolve();
    socket.once('close', onClose);
    socket.write(bytes, () => {
      socket.off('close', onClose);
      resolve();
    });
  });
}

function parseRequest(head: string, turn: number): SourceRequest {
  const [first = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const [path = '', query = ''] = target.split('?');
  const headers: Record<string, string> = {};
  for (const line of lines) headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
  return { method, path, query, headers, turn };
}
