// What the suites of this folder share: a client whose names resolve as the test says, sources, and content with its digests.

import type { Clock } from '../../src/lib/clock.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { createUpstreamClient, type UpstreamClient, type UpstreamObserver } from '../../src/upstream/client.ts';
import type { LoginBook } from '../../src/upstream/logins.ts';
import type { Source } from '../../src/upstream/source.ts';
import type { UpstreamLimits } from '../../src/upstream/upstream-limits.ts';
import { UpstreamError } from '../../src/upstream/verdict.ts';
import { type FakeUpstream, type Script, startFakeUpstream } from './fake-upstream.ts';

export interface Bench {
  readonly client: UpstreamClient;
  /** All that was logged, as text. */
  readonly logged: () => string;
  /** Starts a fake upstream that ends with the bench. */
  start(script: Script, options?: Parameters<typeof startFakeUpstream>[1]): Promise<FakeUpstream>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Names not in `names` do not exist. */
export function setUp(
  options: {
    names?: Readonly<Record<string, readonly string[]>>;
    limits?: Partial<UpstreamLimits>;
    clock?: Clock;
    logins?: LoginBook;
    observer?: UpstreamObserver;
  } = {},
): Bench {
  let logged = '';
  const started: FakeUpstream[] = [];
  const client = createUpstreamClient({
    clock: options.clock ?? systemClock,
    log: createLog({
      write: (line) => {
        logged += line;
      },
    }),
    version: '0.0.0-test',
    resolve: async (host) => {
      const found = options.names?.[host];
      if (found === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      return found;
    },
    limits: options.limits ?? {},
    ...(options.logins === undefined ? {} : { logins: options.logins }),
    ...(options.observer === undefined ? {} : { observer: options.observer }),
  });
  return {
    client,
    logged: () => logged,
    start: async (script, more) => {
      const upstream = await startFakeUpstream(script, more);
      started.push(upstream);
      return upstream;
    },
    [Symbol.asyncDispose]: async () => {
      client.close();
      await Promise.all(started.map((upstream) => upstream.stop()));
    },
  };
}

export function sourceAt(url: string, more: Partial<Source> = {}): Source {
  return { id: `source of ${url}`, registry: 'docker.io', url, trust: 'digest-only', priority: 10, realms: [], ...more };
}

/** The error a call ends with; fails when it does not. */
export async function failureOf(work: Promise<unknown>): Promise<UpstreamError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof UpstreamError) return error;
    throw error;
  }
  throw new Error('expected a failure');
}

export const calm = { timeoutMs: 5_000 } as const;
export const calmBlob = { offset: 0, firstByteTimeoutMs: 5_000, idleTimeoutMs: 5_000 } as const;

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';
export const manifestBytes: Uint8Array = new TextEncoder().encode(
  `{ "schemaVersion": 2,\n  "mediaType": "${manifestType}", "config": {"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:${'0'.repeat(64)}","size":2}, "layers": [] }\n`,
);
export const manifestDigest: Digest = digestOf(manifestBytes);

/** Bytes that differ from place to place, the same for the same size. */
export function blobOf(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = (at * 31 + (at >> 8)) & 0xff;
  return bytes;
}

/** What came, and the failure it ended with, if any. */
export async function collect(body: AsyncIterable<Uint8Array>): Promise<{ bytes: Uint8Array; error: UpstreamError | undefined }> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of body) chunks.push(chunk);
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    return { bytes: Buffer.concat(chunks), error };
  }
  return { bytes: Buffer.concat(chunks), error: undefined };
}
