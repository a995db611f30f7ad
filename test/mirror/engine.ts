// The mirror alone, in this process: real store, database and outbound client, waits that a test can bear, and a disk that can be made to
// fail. For what the whole server is too slow or too healthy to show.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Access, authorize } from '../../src/auth/access.ts';
import { anonymous } from '../../src/auth/principal.ts';
import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import type { BlobStore } from '../../src/blobs/store.ts';
import { prepareContentQueries } from '../../src/db/content.ts';
import type { Database } from '../../src/db/database.ts';
import { prepareProjectQueries } from '../../src/db/projects.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { requireDigest } from '../../src/oci/digest.ts';
import { OciError } from '../../src/oci/errors.ts';
import { requireReference, requireRepositoryName } from '../../src/oci/reference.ts';
import type { BlobAnswer, BlobRequest, ManifestAnswer } from '../../src/registry/answers.ts';
import { createBlobCheck } from '../../src/registry/blob-check.ts';
import type { DiskReserve } from '../../src/registry/disk-reserve.ts';
import { createIngest } from '../../src/registry/ingest.ts';
import { createMirror, type Mirror } from '../../src/registry/mirror.ts';
import type { MirrorTimings } from '../../src/registry/mirror-timings.ts';
import { resolveName } from '../../src/registry/names.ts';
import { createRepositories } from '../../src/registry/repositories.ts';
import { createSourcePool } from '../../src/registry/source-pool.ts';
import type { TagRules } from '../../src/registry/tag-policies.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import type { Resolve } from '../../src/upstream/guard.ts';
import { createSourceHealth, type SourceHealth } from '../../src/upstream/health.ts';
import { createLoginBook } from '../../src/upstream/logins.ts';
import type { Source } from '../../src/upstream/source.ts';
import type { UpstreamLimits } from '../../src/upstream/upstream-limits.ts';
import type { FakeSource } from './fake-source.ts';
import { type Content, imageOf } from './images.ts';

export interface Engine {
  readonly dataDir: string;
  readonly health: SourceHealth;
  /** Log lines so far. */
  readonly logs: string[];
  idOf(source: FakeSource): string;
  manifest(repository: string, reference: string): Promise<ManifestAnswer>;
  blob(
    repository: string,
    digest: string,
    request?: { startBytes?: number; signal?: AbortSignal; pace?: BlobRequest['pace'] },
  ): Promise<BlobAnswer>;
  stats(): ReturnType<Mirror['stats']>;
  lastFailure(repository: string, reference: string): readonly { readonly source: string; readonly verdict: string }[];
  /** Ends the fetches under way. */
  closeMirror(): Promise<void>;
  stop(): Promise<void>;
}

/** Durability is not what these tests are about: in memory where there is such a folder. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export async function startEngine(options: {
  /** `more` adds to or replaces what a source is configured with. */
  sources: readonly { readonly source: FakeSource; readonly trust: Source['trust']; readonly more?: Partial<Source> }[];
  /** The names that resolve; by the system when left out. */
  resolve?: Resolve;
  upstreamLimits?: Partial<UpstreamLimits>;
  rules?: Partial<TagRules>;
  clock?: Clock;
  timings?: Partial<MirrorTimings>;
  wrapStore?: (store: BlobStore) => BlobStore;
  wrapDatabase?: (database: Database) => Database;
  fills?: number;
  minimumFree?: DiskReserve;
}): Promise<Engine> {
  const dataDir = mkdtempSync(join(scratch, 'breakwater-engine-'));
  const files = await openFilesystemStore(join(dataDir, 'blobs'));
  const store = options.wrapStore?.(files) ?? files;
  const opened = await openSqliteDatabase({
    path: join(dataDir, 'db', 'breakwater.sqlite'),
    onFatal: (message) => {
      throw new Error(message);
    },
  });
  const database = options.wrapDatabase?.(opened) ?? opened;
  await database.run('ensureMirrorProject', { registry: 'docker.io', isPublic: true });
  const content = prepareContentQueries(database);
  const logs: string[] = [];
  const log = createLog({ write: (line) => void logs.push(line) });
  const { clock = systemClock } = options;
  const logins = createLoginBook({ clock });
  const health = createSourceHealth({ clock, logins });
  const client = createUpstreamClient({
    clock,
    log,
    version: 'test',
    logins,
    observer: health,
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
    ...(options.upstreamLimits === undefined ? {} : { limits: options.upstreamLimits }),
  });
  const idOf = (source: FakeSource): string => `docker.io ${source.url}`;
  const list = options.sources.map(
    ({ source, trust, more }, place): Source => ({
      id: idOf(source),
      registry: 'docker.io',
      url: source.url,
      trust,
      priority: place,
      realms: [],
      ...more,
    }),
  );
  const mirror = createMirror({
    content,
    database,
    repositories: createRepositories({ database, content }),
    store,
    check: createBlobCheck({ store, clock: systemClock, log }),
    ingest: createIngest({ store, database, log }),
    client,
    pool: createSourcePool({ sources: new Map([['docker.io', list]]), health, clock }),
    rules: { tagTtlMs: 60_000, staleIfErrorMs: 86_400_000, revalidateTimeoutMs: 500, ...options.rules },
    limits: {
      blobMaxBytes: 100_000_000,
      fills: options.fills ?? 16,
      ...(options.minimumFree === undefined ? {} : { minimumFree: options.minimumFree }),
    },
    clock,
    log,
    ...(options.timings === undefined ? {} : { timings: options.timings }),
  });
  const names = { projects: prepareProjectQueries(database), registries: new Set(['docker.io']), rootRegistry: 'docker.io' };
  const accessTo = async (repository: string): Promise<Access<'pull'>> => {
    const target = await resolveName(names, requireRepositoryName(repository), undefined);
    if (target === undefined) throw new Error(`${repository} means nothing`);
    return authorize({ anonymousPull: true }, anonymous, 'pull', target);
  };
  const never = new AbortController().signal;
  let closing: Promise<void> | undefined;
  const closeMirror = (): Promise<void> => {
    closing ??= mirror.close();
    return closing;
  };
  return {
    dataDir,
    health,
    logs,
    idOf,
    manifest: async (repository, reference) => mirror.manifest(await accessTo(repository), requireReference(reference), never),
    blob: async (repository, digest, request = {}) =>
      mirror.blob(
        await accessTo(repository),
        requireDigest(digest),
        {
          head: false,
          startBytes: request.startBytes ?? 0,
          asPusher: false,
          ...(request.pace === undefined ? {} : { pace: request.pace }),
        },
        request.signal ?? never,
      ),
    lastFailure: (repository, reference) => mirror.lastFailure(`docker.io/${repository}`, reference)?.attempts ?? [],
    stats: mirror.stats,
    closeMirror,
    stop: async () => {
      await closeMirror();
      client.close();
      await opened.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** All bytes of an answer, read as a client would. */
export async function bytesOf(answer: BlobAnswer, signal = new AbortController().signal): Promise<Buffer> {
  switch (answer.kind) {
    case 'file':
      return Buffer.from(await Bun.file(answer.path).arrayBuffer());
    case 'arriving': {
      const chunks: Uint8Array[] = [];
      for await (const chunk of answer.follow(0, undefined, signal)) chunks.push(new Uint8Array(chunk));
      return Buffer.concat(chunks);
    }
    case 'known':
      throw new Error('only the size is known');
  }
}

/** An image with one layer of this size in all sources; its manifest is pulled. */
export async function serveLayer(engine: Engine, sources: readonly FakeSource[], sizeBytes: number): Promise<Content> {
  const image = imageOf([sizeBytes]);
  for (const source of new Set(sources)) source.add('library/app', image, 'v1');
  await engine.manifest('app', image.manifest.digest);
  const [layer] = image.layers;
  if (layer === undefined) throw new Error('an image without a layer');
  return layer;
}

/** The code of the error that the work ends with; `none` when it ends well. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) => (error instanceof OciError ? error.code : String(error)),
  );
}
