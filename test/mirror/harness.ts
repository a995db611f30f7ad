// One server and its fake sources: every test takes a registry of its own on the shared server, so that the health of one test's sources
// says nothing about another's.

import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { type FakeSource, startFakeSource } from './fake-source.ts';
import { type Content, digestOf, imageOf } from './images.ts';

export interface SourceSetting {
  readonly source: FakeSource;
  readonly trust?: 'authority' | 'digest-only';
  readonly credentials?: { readonly username: string; readonly password: string };
  readonly realms?: readonly string[];
  /** PEM file of the authority that signed its certificate. */
  readonly caFile?: string;
}
export interface ServerSetting {
  readonly registries: Readonly<Record<string, readonly SourceSetting[]>>;
  readonly mirror?: Readonly<Record<string, unknown>>;
  readonly dataDir?: string;
  readonly limits?: Readonly<Record<string, unknown>>;
  /** Registries with credentials that everybody may pull from nevertheless. */
  readonly publicRegistries?: readonly string[];
}

export function startServer(setting: ServerSetting): Promise<RunningBreakwater> {
  const registries = Object.fromEntries(
    Object.entries(setting.registries).map(([name, sources]) => [
      name,
      {
        ...(setting.publicRegistries?.includes(name) === true ? { public: true } : {}),
        sources: sources.map(({ source, trust = 'authority', credentials, realms, caFile }, place) => ({
          url: source.url,
          trust,
          priority: place + 1,
          ...(credentials === undefined ? {} : { credentials }),
          ...(realms === undefined ? {} : { realms }),
          ...(caFile === undefined ? {} : { tls: { ca_file: caFile } }),
        })),
      },
    ]),
  );
  const config = {
    presets: false,
    probes: { enabled: false },
    mirror: { root: Object.keys(registries)[0], ...setting.mirror },
    registries,
    limits: setting.limits,
  };
  return startBreakwater({ config: JSON.stringify(config), ...(setting.dataDir === undefined ? {} : { dataDir: setting.dataDir }) });
}

/** Names of registries for tests, each with as many new sources as it wants. */
export async function startSources(wanted: Readonly<Record<string, readonly ('authority' | 'digest-only')[]>>): Promise<{
  readonly registries: Readonly<Record<string, readonly SourceSetting[]>>;
  readonly of: (registry: string) => readonly [FakeSource, FakeSource, FakeSource];
  stop(): Promise<void>;
}> {
  const registries: Record<string, readonly SourceSetting[]> = {};
  for (const [name, trusts] of Object.entries(wanted))
    registries[name] = await Promise.all(trusts.map(async (trust) => ({ source: await startFakeSource(), trust })));
  const unused = await startFakeSource();
  return {
    registries,
    of: (registry) => {
      const [first = unused, second = unused, third = unused] = (registries[registry] ?? []).map(({ source }) => source);
      return [first, second, third];
    },
    stop: async () => {
      await unused.stop();
      await Promise.all(Object.values(registries).flatMap((sources) => sources.map(({ source }) => source.stop())));
    },
  };
}

/** One layer of this size in all sources of a registry; pulls the manifest by tag, so that the size is known. */
export async function serveLayer(
  server: RunningBreakwater,
  sources: Awaited<ReturnType<typeof startSources>>,
  { registry, sizeBytes }: { readonly registry: string; readonly sizeBytes: number },
): Promise<{ readonly all: readonly FakeSource[]; readonly layer: Content; readonly path: string }> {
  const image = imageOf([sizeBytes]);
  const all = sources.of(registry);
  for (const source of all) source.add('library/app', image, 'v1');
  const pulled = await pull(server, `/v2/${registry}/library/app/manifests/v1`);
  const [layer] = image.layers;
  if (pulled.status !== 200 || layer === undefined) throw new Error(`the manifest was answered with ${pulled.status}`);
  return { all, layer, path: `/v2/${registry}/library/app/blobs/${layer.digest}` };
}

export interface Pulled {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly digest: string;
  /** The code and message of an error body. */
  readonly code: string | undefined;
  readonly message: string;
}

/** A request that is read to its end; throws when the connection is cut. */
export async function pull(server: RunningBreakwater, path: string, init: RequestInit = {}): Promise<Pulled> {
  const response = await fetch(`${server.url}${path}`, { redirect: 'manual', ...init });
  const bytes = Buffer.from(await response.arrayBuffer());
  const [error] = response.status >= 400 ? errorsOf(bytes) : [];
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    digest: digestOf(bytes),
    code: error?.code,
    message: error?.message ?? '',
  };
}

/** Like `pull`, for what may be cut off: gives the bytes that came and whether the end was clean. */
export async function pullUntilCut(
  server: RunningBreakwater,
  path: string,
): Promise<{ readonly status: number; readonly bytes: Buffer; readonly isWhole: boolean }> {
  const response = await fetch(`${server.url}${path}`);
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk);
    return { status: response.status, bytes: Buffer.concat(chunks), isWhole: true };
  } catch {
    return { status: response.status, bytes: Buffer.concat(chunks), isWhole: false };
  }
}

function errorsOf(bytes: Buffer): readonly { code: string; message: string }[] {
  if (bytes.length === 0) return [];
  const body: { errors?: { code: string; message: string }[] } = JSON.parse(bytes.toString());
  return body.errors ?? [];
}

export function basic(server: RunningBreakwater): { authorization: string } {
  return { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` };
}

/** What `explain` says of an image. */
export async function explain(server: RunningBreakwater, image: string): Promise<Explained> {
  const response = await fetch(`${server.url}/api/v2.0/explain?image=${encodeURIComponent(image)}`, { headers: basic(server) });
  if (!response.ok) throw new Error(`explain answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Explained;
}
export interface ExplainedAttempt {
  readonly source: string;
  readonly verdict: string;
  readonly bytes: number;
  readonly detail?: string;
}
export interface Explained {
  readonly cached: boolean;
  readonly digest?: string;
  readonly tag?: { readonly trust: string; readonly trail?: { readonly reason?: string; readonly attempts: readonly ExplainedAttempt[] } };
  readonly blobs: readonly {
    readonly digest: string;
    readonly cached: boolean;
    readonly sizeBytes: number;
    readonly segments: readonly { readonly source: string; readonly from: number; readonly to: number }[];
    readonly attempts: readonly ExplainedAttempt[];
    readonly reason?: string;
  }[];
  readonly lastFailure?: { readonly attempts: readonly ExplainedAttempt[] };
}

/** The live state of a source, by its URL. */
export async function sourceState(server: RunningBreakwater, source: FakeSource): Promise<string> {
  const response = await fetch(`${server.url}/api/v2.0/sources`, { headers: basic(server) });
  const listed = (await response.json()) as { sources: { url: string; state: string }[] }[];
  return listed.flatMap((registry) => registry.sources).find((one) => one.url === source.url)?.state ?? 'unknown';
}

export async function until(isTrue: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`did not come true within ${timeoutMs} ms: ${isTrue}`);
    await Bun.sleep(5);
  }
}
