// Pushers for the crash suites: monolithic and chunked blobs, mounts, manifests by tag, retags, sessions left open. Each notes its intent,
// sends, and notes the acknowledgement only after the status line; a connection that breaks leaves the matter open.

import { contentOf, createRandom, type Ledger, type PushedBlob, sha256, type TagHistory } from './ledger.ts';

export interface LoadOptions {
  readonly url: string;
  readonly password: string;
  readonly ledger: Ledger;
  readonly seed: number;
  readonly workers: number;
  readonly blobMaxBytes: number;
}
export interface RunningLoad {
  /** Ends the workers; requests under way break off by themselves when the server dies. */
  stop(): Promise<void>;
}

class Broken extends Error {}

/** Starts the pushers. Throws out of `stop` when the server answered something other than success. */
export function startLoad(options: LoadOptions): RunningLoad {
  let isStopped = false;
  const workers = Array.from({ length: options.workers }, async (_, index) => {
    const worker = createWorker(options, index);
    while (!isStopped) {
      try {
        await worker();
      } catch (error) {
        if (error instanceof Broken) return;
        throw error;
      }
    }
  });
  const all = Promise.all(workers);
  all.catch(() => undefined);
  return {
    stop: async () => {
      isStopped = true;
      await all;
    },
  };
}

function createWorker(options: LoadOptions, index: number): () => Promise<void> {
  const { ledger, url } = options;
  const random = createRandom(options.seed * 1000 + index);
  const repository = `library/crash-${index}`;
  const authorization = `Basic ${Buffer.from(`admin:${options.password}`).toString('base64')}`;
  const own: PushedBlob[] = [];
  let nextTag = 0;

  const send = async (
    method: string,
    path: string,
    body?: Uint8Array | string,
    headers: Record<string, string> = {},
  ): Promise<Response> => {
    try {
      const response = await fetch(path.startsWith('http') ? path : `${url}${path}`, {
        method,
        headers: { authorization, ...headers },
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
        signal: AbortSignal.timeout(30_000),
      });
      await response.arrayBuffer();
      return response;
    } catch (error) {
      throw new Broken(String(error));
    }
  };
  const expectStatus = (response: Response, status: number): Response => {
    if (response.status !== status) throw new Error(`${response.url} answered ${response.status}, expected ${status}`);
    return response;
  };
  const begin = async (): Promise<string> =>
    expectStatus(await send('POST', `/v2/${repository}/blobs/uploads/`), 202).headers.get('location') ?? '';
  const newBlob = (): PushedBlob & { readonly bytes: Uint8Array } => {
    const seed = Math.floor(random() * 2 ** 31);
    const sizeBytes = 1 + Math.floor(random() ** 3 * options.blobMaxBytes);
    const bytes = contentOf(seed, sizeBytes);
    return { repository, seed, sizeBytes, bytes, digest: sha256(bytes) };
  };
  const acked = (blob: PushedBlob): void => {
    ledger.blobs.push({ repository: blob.repository, seed: blob.seed, sizeBytes: blob.sizeBytes, digest: blob.digest });
    own.push(blob);
  };
  const closing = (location: string, digest: string): string => `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`;

  const pushWhole = async (): Promise<void> => {
    const { bytes, ...blob } = newBlob();
    expectStatus(await send('PUT', closing(await begin(), blob.digest), bytes), 201);
    acked(blob);
  };
  const pushChunks = async (leaveOpen: boolean): Promise<void> => {
    const { bytes, ...blob } = newBlob();
    let location = await begin();
    const session = { repository, location, seed: blob.seed, sizeBytes: blob.sizeBytes, ackedBytes: 0 };
    if (leaveOpen) ledger.sessions.push(session);
    const chunks = 3 + Math.floor(random() * 3);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const start = Math.floor((bytes.byteLength * chunk) / chunks);
      const end = Math.floor((bytes.byteLength * (chunk + 1)) / chunks);
      if (end === start) continue;
      if (leaveOpen && chunk === chunks - 1) return;
      const range = { 'content-range': `${start}-${end - 1}`, 'content-type': 'application/octet-stream' };
      location = expectStatus(await send('PATCH', location, bytes.subarray(start, end), range), 202).headers.get('location') ?? '';
      session.ackedBytes = end;
    }
    if (leaveOpen) return;
    expectStatus(await send('PUT', closing(location, blob.digest)), 201);
    acked(blob);
  };
  const mount = async (): Promise<void> => {
    const from = ledger.blobs[Math.floor(random() * ledger.blobs.length)];
    if (from === undefined || from.repository === repository) return;
    const response = await send('POST', `/v2/${repository}/blobs/uploads/?mount=${from.digest}&from=${from.repository}`);
    expectStatus(response, 201);
    acked({ ...from, repository });
  };
  const pushManifest = async (tag: string): Promise<void> => {
    const pick = (): PushedBlob | undefined => own[Math.floor(random() * own.length)];
    const [config, layer] = [pick(), pick()];
    if (config === undefined || layer === undefined) return;
    const text = manifestText(config, layer);
    const digest = sha256(text);
    const key = `${repository}:${tag}`;
    const history: TagHistory = ledger.tags.get(key) ?? { repository, tag, values: [] };
    ledger.tags.set(key, history);
    const value = { digest, isAcked: false };
    history.values.push(value);
    expectStatus(
      await send('PUT', `/v2/${repository}/manifests/${tag}`, text, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }),
      201,
    );
    value.isAcked = true;
    ledger.manifests.push({ repository, digest, text });
  };

  return async () => {
    const dice = random();
    if (dice < 0.3) return pushWhole();
    if (dice < 0.5) return pushChunks(false);
    if (dice < 0.55) return pushChunks(true);
    if (dice < 0.65) return mount();
    if (dice < 0.85) return pushManifest(`v${options.seed}-${nextTag++}`);
    return pushManifest('moving');
  };
}

function manifestText(config: PushedBlob, layer: PushedBlob): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.sizeBytes },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer.digest, size: layer.sizeBytes }],
  });
}
