// The HTTP side of the server inside the test's own process, so that its times can be made short. Local content only: it has no mirror.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogins } from '../../src/auth/logins.ts';
import { createPasswords, hashPassword } from '../../src/auth/passwords.ts';
import { createPrincipals } from '../../src/auth/principals.ts';
import { temporaryKeys } from '../../src/auth/token-keys-fixture.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import { prepareContentQueries } from '../../src/db/content.ts';
import { prepareLoginQuery } from '../../src/db/identity.ts';
import { prepareProjectQueries } from '../../src/db/projects.ts';
import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { createArrivals } from '../../src/http/arrivals.ts';
import { createAuthentication } from '../../src/http/authentication.ts';
import type { BodyPace } from '../../src/http/body.ts';
import { createDistribution } from '../../src/http/distribution.ts';
import { createClients } from '../../src/http/origin.ts';
import { type ListenOptions, startServer } from '../../src/http/server.ts';
import { createTokenService } from '../../src/http/token-service.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { createBlobCheck } from '../../src/registry/blob-check.ts';
import { createCatalog } from '../../src/registry/catalog.ts';
import { createIngest } from '../../src/registry/ingest.ts';
import type { Mirror } from '../../src/registry/mirror.ts';
import { createProjectCache } from '../../src/registry/project-cache.ts';
import { createPull } from '../../src/registry/pull.ts';
import { createPush } from '../../src/registry/push.ts';
import { createRepositories } from '../../src/registry/repositories.ts';
import { createUploads } from '../../src/registry/uploads.ts';

export interface InProcess {
  readonly url: string;
  readonly port: number;
  readonly authorization: string;
  /** Lines of the log. */
  readonly logged: string[];
  /** Drains and ends the server; the rest goes with `close`. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

const password = 'a password for tests';
const none = async (): Promise<never> => {
  throw new Error('there is no mirror here');
};
const noMirror: Mirror = {
  manifest: none,
  blob: none,
  tags: none,
  referrers: none,
  lastFailure: () => undefined,
  absence: () => undefined,
  drift: () => undefined,
  doubt: () => undefined,
  equivalents: () => [],
  stats: () => ({ fillsRunning: 0, fillsQueued: 0, readers: 0, hedgesStarted: 0, hedgesWon: 0 }),
  close: async () => undefined,
};

export async function startInProcess(options: { bodyPace?: BodyPace } & Omit<ListenOptions, 'hostname' | 'port'> = {}): Promise<InProcess> {
  const { bodyPace, ...listen } = options;
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-http-'));
  const store = await openFilesystemStore(join(folder, 'blobs'));
  const database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), onFatal: () => undefined });
  await database.run('createProject', { name: 'library', kind: 'local', isPublic: true });
  await database.run('createAccount', { name: 'admin', passwordHash: await hashPassword(password), isAdmin: true });
  const logged: string[] = [];
  const log = createLog({ write: (line) => logged.push(line) });
  const clock = systemClock;
  const content = prepareContentQueries(database);
  const repositories = createRepositories({ database, content });
  const ingest = createIngest({ store, database });
  const names = {
    projects: createProjectCache(prepareProjectQueries(database), clock),
    registries: new Set<string>(),
    rootRegistry: undefined,
  };
  const policy = { anonymousPull: true };
  const principals = createPrincipals({ database, clock });
  const logins = createLogins({ find: prepareLoginQuery(database), passwords: createPasswords({ clock }), principals });
  const tokens = createTokens({ keys: await temporaryKeys(), clock, audience: 'here' });
  const authentication = createAuthentication({ tokens, logins, policy, principals });
  const uploads = createUploads({
    store,
    database,
    repositories,
    ingest,
    clock,
    log,
    limits: {
      blobMaxBytes: 1e9,
      uploadsPerPrincipal: 100,
      uploadsPerRepository: 100,
      uploadsTotal: 100,
      idleExpiryMs: 60_000,
      absoluteExpiryMs: 60_000,
      minimumFree: { percent: 0, sizeBytes: 0 },
    },
  });
  const clients = createClients({ externalUrl: undefined, trustedProxies: [], hasTls: listen.tls !== undefined });
  const server = startServer(
    {
      distribution: createDistribution({
        names,
        authentication,
        pull: createPull({ content, store, check: createBlobCheck({ store, clock: systemClock }), mirror: noMirror }),
        push: createPush({ database, content, repositories, ingest }),
        uploads,
        catalog: createCatalog({ database, content, mirror: noMirror, limits: { sizeDefault: 100, sizeMax: 1000 } }),
        manifestMaxBytes: 1e6,
        service: 'here',
        ...(bodyPace === undefined ? {} : { bodyPace }),
      }),
      tokenService: createTokenService({ tokens, logins, policy, names, service: 'here' }),
      clients,
      arrivals: createArrivals({ clients, externalUrl: undefined }),
      door: { enter: none },
      console: { answer: () => undefined },
      api: { handle: none },
      isReady: async () => true,
      log,
    },
    { hostname: '127.0.0.1', port: 0, ...listen },
  );
  return {
    url: `${listen.tls === undefined ? 'http' : 'https'}://127.0.0.1:${server.port}`,
    port: server.port,
    authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`,
    logged,
    stop: server.stop,
    close: async () => {
      await server.stop();
      await uploads.close();
      await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
