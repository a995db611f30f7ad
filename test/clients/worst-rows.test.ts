// Real clients pull an image through Breakwater whose first source does the worst: it says nothing, stalls or is reset in mid-body, sends
// wrong bytes, a limit, a whitelist's refusal or a login page. The second source is honest, so every pull must end in the right image at once.
// Each pull has a server, sources and content of its own: nothing is cached or known of the sources. See faults.md F5 to F27.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLayout, packLayer } from '../images/layout-writer.ts';
import { randomBytesOf } from '../images/random-bytes.ts';
import { writeTar } from '../images/tar.ts';
import { imageTools, type TestImages, testImages } from '../images/test-images.ts';
import { type Answer, breakAt, type FakeSource, flipByte, html, type Rule, stall, startFakeSource, status } from '../mirror/fake-source.ts';
import { contentOf } from '../mirror/images.ts';
import { startBreakwater } from '../support/breakwater.ts';
import { freePort } from '../support/docker-registry.ts';
import { fullRun, requireRoot, requireTools } from '../support/requirements.ts';
import { type Containerd, startContainerd } from './containerd.ts';
import { type DockerEngine, startDockerEngine } from './docker-engine.ts';
import { mirrorConfig } from './mirror-config.ts';
import { createPodman, dockerHubMirrorConfig } from './podman.ts';
import { createSkopeo } from './skopeo.ts';
import { auditStoredBlobs } from './stored-blobs.ts';

const ready = requireTools(...imageTools, 'containerd', 'ctr', 'dockerd', 'docker', 'prlimit', 'podman', 'skopeo') && requireRoot();
const mebibyte = 1024 * 1024;
/** Large enough to be streamed before it is verified where the source is believed. */
const layerBytes = 12 * mebibyte;

const isLayer = (answer: Answer): boolean => answer.body.length >= layerBytes;
const inLayer =
  (turn: (answer: Answer) => Answer): Rule =>
  (_request, answer) =>
    isLayer(answer) ? turn(answer) : undefined;
const everywhere =
  (turn: (answer: Answer) => Answer): Rule =>
  (request, answer) =>
    request.path === '/v2/' ? undefined : turn(answer);

const rows: readonly (readonly [name: string, trust: 'authority' | 'digest-only', rule: Rule])[] = [
  ['silent', 'authority', everywhere(stall)],
  ['stalled', 'authority', inLayer(breakAt(5 * mebibyte, 'stall'))],
  ['reset', 'authority', inLayer(breakAt(5 * mebibyte, 'reset'))],
  ['wrong', 'digest-only', inLayer(flipByte(mebibyte))],
  ['limited', 'authority', everywhere(status(429, { 'retry-after': '60' }, '{"errors":[{"code":"TOOMANYREQUESTS"}]}'))],
  ['whitelist', 'digest-only', everywhere(status(403, {}, '{"errors":[{"code":"DENIED"}]}'))],
  ['page', 'digest-only', everywhere(html)],
];
const clients = ['docker', 'ctr', 'podman', 'skopeo'] as const;
/** In the quick run each row meets two clients. */
const cases = rows.flatMap(([name, trust, rule], row) =>
  clients
    .filter((_, place) => fullRun() || place === row % 4 || place === (row + 1) % 4)
    .map((client): [string, string, Rule, 'authority' | 'digest-only'] => [name, client, rule, trust]),
);

describe.skipIf(!ready)('the worst a first source can do', () => {
  let images: TestImages;
  let folder: string;
  let port: number;
  let containerd: Containerd;
  let engine: DockerEngine;

  beforeAll(async () => {
    images = await testImages();
    folder = mkdtempSync(join(tmpdir(), 'worst-rows-'));
    port = await freePort();
    [containerd, engine] = await Promise.all([startContainerd(), startDockerEngine({ 'registry-mirrors': [`http://127.0.0.1:${port}`] })]);
  }, 300_000);

  afterAll(async () => {
    await containerd?.stop();
    await engine?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  test.each(cases)(
    '%s: %s pulls the right image at once',
    async (name, client, rule, trust) => {
      const [bad, good] = [await startFakeSource(), await startFakeSource()];
      const image = addImage(`${name}-${client}`, [bad, good]);
      bad.rule(rule);
      const config = mirrorConfig({
        registries: {
          'docker.io': [
            { url: bad.url, trust, priority: 1 },
            { url: good.url, trust: 'authority', priority: 2 },
          ],
        },
      });
      const server = await startBreakwater({ config, args: ['--listen', `127.0.0.1:${port}`] });
      try {
        expect(await pulledDigest(client, `${name}-${client}`)).toBe(
          client === 'docker' || client === 'podman' ? image.configDigest : image.digest,
        );
        expect(bad.requests.length).toBeGreaterThan(0);
        expect((await auditStoredBlobs(server.dataDir)).wrong).toEqual([]);
      } finally {
        await server.stop();
        await Promise.all([bad.stop(), good.stop()]);
      }
    },
    120_000,
  );

  test('an authority that lies once it streams: ctr ends in the right image at its own retry, at the latest', async () => {
    const [bad, good] = [await startFakeSource(), await startFakeSource()];
    const image = addImage('lie-ctr', [bad, good]);
    bad.rule(inLayer(flipByte(mebibyte)));
    const sources = [bad, good].map(({ url }, place) => ({ url, trust: 'authority' as const, priority: place + 1 }));
    const server = await startBreakwater({
      config: mirrorConfig({ registries: { 'docker.io': sources } }),
      args: ['--listen', `127.0.0.1:${port}`],
    });
    try {
      let digest = '';
      for (let pulls = 0; digest === '' && pulls < 4; pulls++) {
        // containerd throws its wrong beginning away when it collects garbage (docs/decisions/0005).
        if (pulls > 0) await Bun.sleep(3000);
        digest = await pulledDigest('ctr', 'lie-ctr').catch(() => '');
      }
      expect(digest).toBe(image.digest);
      expect((await auditStoredBlobs(server.dataDir)).wrong).toEqual([]);
    } finally {
      await server.stop();
      await Promise.all([bad.stop(), good.stop()]);
    }
  }, 120_000);

  /** Puts `library/NAME:1` on both sources. */
  function addImage(name: string, sources: readonly FakeSource[]): { readonly digest: string; readonly configDigest: string } {
    const layout = createLayout(join(folder, name));
    const layers = [layerBytes, 1000].map((sizeBytes, index) =>
      packLayer(Uint8Array.from(writeTar([{ name: `data-${index}.bin`, data: randomBytesOf(`${name} ${index}`, sizeBytes) }])), 'stored'),
    );
    const descriptor = layout.image({ layers });
    layout.close();
    const blobs = readdirSync(join(layout.directory, 'blobs', 'sha256')).map((hex) =>
      contentOf(readFileSync(join(layout.directory, 'blobs', 'sha256', hex))),
    );
    const manifest = blobs.find((blob) => blob.digest === descriptor.digest);
    if (manifest === undefined) throw new Error('no manifest');
    for (const source of sources) {
      source.add(`library/${name}`, { ...manifest, mediaType: descriptor.mediaType }, '1');
      for (const blob of blobs) source.addBlob(`library/${name}`, blob);
    }
    const { config }: { config: { digest: string } } = JSON.parse(manifest.bytes.toString());
    return { digest: manifest.digest, configDigest: config.digest };
  }

  /** The image id for Docker and podman, the manifest's digest for the others. Throws when the first pull fails. */
  async function pulledDigest(client: string, name: string): Promise<string> {
    switch (client) {
      case 'docker':
        await engine.docker('pull', '--quiet', `${name}:1`);
        return (await engine.image(`${name}:1`)).id;
      case 'ctr': {
        const host = `http://127.0.0.1:${port}`;
        const hosts = containerd.hostsDir('docker.io', `server = "${host}"\n[host."${host}"]\ncapabilities = ["pull", "resolve"]\n`);
        await containerd.ctr('images', 'pull', '--hosts-dir', hosts, `docker.io/library/${name}:1`);
        return containerd.digestOf(`docker.io/library/${name}:1`);
      }
      case 'podman': {
        const podman = createPodman(images, dockerHubMirrorConfig(`127.0.0.1:${port}/docker.io`));
        try {
          await podman.podman('pull', '--quiet', `docker.io/library/${name}:1`);
          return (await podman.image(`docker.io/library/${name}:1`)).id;
        } finally {
          podman.close();
        }
      }
      default: {
        const skopeo = createSkopeo(images);
        try {
          await skopeo.copy({ from: `docker://127.0.0.1:${port}/library/${name}:1`, to: `oci:${join(folder, `${name}-copy`)}:1` });
          const index: { manifests: { digest: string }[] } = JSON.parse(readFileSync(join(folder, `${name}-copy`, 'index.json'), 'utf8'));
          return index.manifests[0]?.digest ?? '';
        } finally {
          skopeo.close();
        }
      }
    }
  }
});
