// Real clients through nginx that terminates TLS: docker, podman and skopeo log in, push and pull, with the server at the root of a host and
// below a path of it, with external_url set and with trusted forwarded headers alone.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Registry, startRegistry } from '../http/registry.ts';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { freePort, goodHeaders, type Nginx, startNginx } from '../support/nginx.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { runToSuccess } from './command.ts';
import { type DockerEngine, startDockerEngine } from './docker-engine.ts';
import { createPodman, type Podman } from './podman.ts';

const ready = requireTools(...imageTools, 'nginx', 'openssl', 'docker', 'dockerd', 'podman') && requireRoot();
const isolated = 'presets: false\nmirror: { root: false }\n';
const prefix = '/registry-a';

const atRoot = (upstream: string): string => `location / { proxy_pass ${upstream}; ${goodHeaders} }`;
/** The prefix is taken off; /v2/ lies at the root, where Docker and podman look for it. Anything else of the host is somebody else's. */
const belowPath = (upstream: string): string => `
  location /v2/ { proxy_pass ${upstream}; ${goodHeaders} }
  location ${prefix}/ { proxy_pass ${upstream}/; proxy_set_header X-Forwarded-Prefix ${prefix}; ${goodHeaders} }
  location / { return 418; }`;

const fronts = [
  { name: 'at the root of a host, by trusted headers', server: atRoot, config: () => 'trusted_proxies: [127.0.0.1]\n' },
  { name: 'at the root of a host, by external_url', server: atRoot, config: (url: string) => `external_url: ${url}\n` },
  { name: 'below a path, by external_url', server: belowPath, config: (url: string) => `external_url: ${url}${prefix}\n` },
];

describe.skipIf(!ready)('clients behind nginx with TLS', () => {
  let images: TestImages;
  let engine: DockerEngine;
  let podman: Podman;
  let folder: string;

  beforeAll(async () => {
    images = await testImages();
    engine = await startDockerEngine({});
    podman = createPodman(images, 'unqualified-search-registries = ["docker.io"]\n');
    folder = mkdtempSync(join(tmpdir(), 'breakwater-proxied-'));
  }, 300_000);
  afterAll(async () => {
    podman?.close();
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  for (const [index, front] of fronts.entries()) {
    describe(front.name, () => {
      let registry: Registry;
      let nginx: Nginx;
      let host: string;

      beforeAll(async () => {
        const port = freePort();
        registry = await startRegistry({ config: `${isolated}${front.config(`https://127.0.0.1:${port}`)}` });
        nginx = await startNginx({ server: front.server, upstreamPort: registry.port, tls: true, port });
        host = `127.0.0.1:${port}`;
      }, 60_000);
      afterAll(async () => {
        await nginx?.stop();
        await registry?.stop();
      });

      test('docker logs in, pushes and pulls', async () => {
        const login = await engine.tryDocker(['login', '--username', 'admin', '--password-stdin', host], registry.admin.password);
        expect(login.stdout + login.stderr).toContain('Login Succeeded');
        const wrong = await engine.tryDocker(['login', '--username', 'admin', '--password-stdin', host], 'wrong');
        expect(wrong.code).not.toBe(0);
        await engine.tryDocker(['login', '--username', 'admin', '--password-stdin', host], registry.admin.password);
        const name = `${host}/library/made:${index}`;
        const context = mkdtempSync(join(folder, 'context-'));
        writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
        await engine.docker('build', '--quiet', '--tag', name, context);
        await engine.docker('push', '--quiet', name);
        const { id } = await engine.image(name);
        await engine.docker('rmi', '--force', name);
        await engine.docker('pull', '--quiet', name);
        expect((await engine.image(name)).id).toBe(id);
      }, 120_000);

      test('podman and skopeo trust the certificate, log in, push and pull', async () => {
        const name = `${host}/library/copied:${index}`;
        const auth = join(folder, `auth-${index}.json`);
        const logIn = ['login', '--cert-dir', nginx.certDir, '--username', 'admin', '--password-stdin', host];
        const login = await podman.tryPodman(logIn, registry.admin.password);
        expect(login.stdout + login.stderr).toContain('Login Succeeded');
        const skopeo = (...words: readonly string[]): Promise<string> =>
          runToSuccess(['skopeo', '--policy', images.policyFile, ...words], { env: { REGISTRY_AUTH_FILE: auth } });
        writeFileSync(auth, '{}');
        await skopeo('login', '--cert-dir', nginx.certDir, '--username', 'admin', '--password', registry.admin.password, host);
        await skopeo('copy', '--quiet', '--dest-cert-dir', nginx.certDir, images.oci('artifacts', 'oras'), `docker://${name}`);
        const raw = await skopeo('inspect', '--raw', '--cert-dir', nginx.certDir, `docker://${name}`);
        expect(JSON.parse(raw).schemaVersion).toBe(2);
        await podman.podman('pull', '--quiet', '--cert-dir', nginx.certDir, `${host}/library/made:${index}`);
        await podman.podman(
          'push',
          '--quiet',
          '--cert-dir',
          nginx.certDir,
          `${host}/library/made:${index}`,
          `${host}/library/again:${index}`,
        );
      }, 120_000);
    });
  }
});
