// Images, indexes and accessories pushed to a server over the registry API, as small as they can be and each different from the others.

import type { RunningBreakwater } from '../support/breakwater.ts';

export const imageType = 'application/vnd.oci.image.manifest.v1+json';
export const indexType = 'application/vnd.oci.image.index.v1+json';
export const configType = 'application/vnd.oci.image.config.v1+json';
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip';

export interface Pushed {
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  /** Of the config and the layers. */
  readonly blobBytes: number;
}
export interface ImageWish {
  /** Makes it differ from others. */
  readonly note: string;
  readonly architecture?: string;
  readonly tags?: readonly string[];
  readonly subject?: Pushed;
  readonly artifactType?: string;
  readonly configMediaType?: string;
  readonly config?: object;
}

export function configOf({ note, architecture = 'amd64' }: ImageWish): object {
  return {
    architecture,
    os: 'linux',
    author: `who made ${note}`,
    created: '2026-11-24T08:00:00Z',
    config: { Env: ['PATH=/bin'], Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: [] },
    history: [{ created: '2026-11-24T08:00:00Z', created_by: `COPY ${note} /` }],
  };
}

export async function pushImage(server: RunningBreakwater, repository: string, wish: ImageWish): Promise<Pushed> {
  const config = await pushBlob(server, repository, Buffer.from(JSON.stringify(wish.config ?? configOf(wish))));
  const layer = await pushBlob(server, repository, Buffer.from(`layer of ${wish.note}`));
  const manifest = {
    schemaVersion: 2,
    mediaType: imageType,
    ...(wish.artifactType === undefined ? {} : { artifactType: wish.artifactType }),
    config: { mediaType: wish.configMediaType ?? configType, ...config },
    layers: [{ mediaType: layerType, ...layer }],
    ...(wish.subject === undefined
      ? {}
      : { subject: { mediaType: wish.subject.mediaType, digest: wish.subject.digest, size: wish.subject.size } }),
    annotations: { note: wish.note },
  };
  const pushed = await pushManifest(server, repository, {
    manifest,
    mediaType: imageType,
    ...(wish.tags === undefined ? {} : { tags: wish.tags }),
  });
  return { ...pushed, blobBytes: config.size + layer.size };
}

export async function pushIndex(
  server: RunningBreakwater,
  repository: string,
  { children, tags }: { children: readonly { readonly image: Pushed; readonly architecture: string }[]; tags: readonly string[] },
): Promise<Pushed> {
  const manifests = children.map(({ image, architecture }) => ({
    mediaType: image.mediaType,
    digest: image.digest,
    size: image.size,
    platform: { os: 'linux', architecture, ...(architecture === 'arm64' ? { variant: 'v8' } : {}) },
  }));
  const pushed = await pushManifest(server, repository, {
    manifest: { schemaVersion: 2, mediaType: indexType, manifests },
    mediaType: indexType,
    tags,
  });
  return { ...pushed, blobBytes: 0 };
}

async function pushBlob(server: RunningBreakwater, repository: string, bytes: Uint8Array): Promise<{ digest: string; size: number }> {
  const digest = digestOf(bytes);
  const answer = await fetch(`${server.url}/v2/${repository}/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    headers: login(server),
    body: new Uint8Array(bytes),
  });
  if (answer.status !== 201) throw new Error(`a blob was answered ${answer.status}: ${await answer.text()}`);
  return { digest, size: bytes.byteLength };
}

async function pushManifest(
  server: RunningBreakwater,
  repository: string,
  { manifest, mediaType, tags = [] }: { manifest: object; mediaType: string; tags?: readonly string[] },
): Promise<{ digest: string; mediaType: string; size: number }> {
  const body = JSON.stringify(manifest);
  const digest = digestOf(Buffer.from(body));
  for (const reference of [digest, ...tags]) {
    const answer = await fetch(`${server.url}/v2/${repository}/manifests/${reference}`, {
      method: 'PUT',
      headers: { ...login(server), 'content-type': mediaType },
      body,
    });
    if (answer.status !== 201) throw new Error(`a manifest was answered ${answer.status}: ${await answer.text()}`);
  }
  return { digest, mediaType, size: Buffer.byteLength(body) };
}

function login(server: RunningBreakwater): { authorization: string } {
  return { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` };
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
}
