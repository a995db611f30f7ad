// A small upstream registry with one image, which can be told to break off or to refuse: enough to see where bytes came from.

export interface SmallUpstream {
  readonly url: string;
  /** Blobs are cut off after this many bytes; undefined for whole ones. */
  cutAfterBytes: number | undefined;
  isDown: boolean;
  stop(): void;
}

export interface SmallImage {
  readonly manifest: Uint8Array;
  readonly manifestDigest: string;
  readonly layer: Uint8Array;
  readonly layerDigest: string;
  readonly config: Uint8Array;
  readonly configDigest: string;
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json';

export function makeImage(layerSizeBytes: number): SmallImage {
  const layer = crypto.getRandomValues(new Uint8Array(Math.min(layerSizeBytes, 65_536)));
  const whole = Buffer.concat(Array.from({ length: Math.ceil(layerSizeBytes / layer.length) }, () => layer)).subarray(0, layerSizeBytes);
  const config = new TextEncoder().encode('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');
  const manifest = new TextEncoder().encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(whole), size: whole.length }],
    }),
  );
  return {
    manifest,
    manifestDigest: digestOf(manifest),
    layer: whole,
    layerDigest: digestOf(whole),
    config,
    configDigest: digestOf(config),
  };
}

/** Serves the image as `library/app:1`. */
export function startUpstream(image: SmallImage): SmallUpstream {
  const blobs = new Map([
    [image.layerDigest, image.layer],
    [image.configDigest, image.config],
  ]);
  const state = { cutAfterBytes: undefined as number | undefined, isDown: false };
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: (request) => {
      if (state.isDown) return new Response('down', { status: 503 });
      const path = new URL(request.url).pathname;
      if (path === '/v2/library/app/manifests/1' || path === `/v2/library/app/manifests/${image.manifestDigest}`) {
        const headers = {
          'content-type': manifestType,
          'docker-content-digest': image.manifestDigest,
          'content-length': String(image.manifest.length),
        };
        return new Response(request.method === 'HEAD' ? null : Buffer.from(image.manifest), { headers });
      }
      const blob = blobs.get(path.slice('/v2/library/app/blobs/'.length));
      if (blob === undefined || !path.startsWith('/v2/library/app/blobs/')) return new Response('{"errors":[]}', { status: 404 });
      return sendBlob(blob, request.headers.get('range'), blob === image.layer ? state.cutAfterBytes : undefined);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    get cutAfterBytes() {
      return state.cutAfterBytes;
    },
    set cutAfterBytes(value) {
      state.cutAfterBytes = value;
    },
    get isDown() {
      return state.isDown;
    },
    set isDown(value) {
      state.isDown = value;
    },
    stop: () => void server.stop(true),
  };
}

function sendBlob(blob: Uint8Array, range: string | null, cutAfterBytes: number | undefined): Response {
  const from = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
  const bytes = Buffer.from(blob.subarray(from));
  const headers = {
    'content-type': 'application/octet-stream',
    ...(range === null ? {} : { 'content-range': `bytes ${from}-${blob.length - 1}/${blob.length}` }),
  };
  const status = range === null ? 200 : 206;
  // Without a length, and short of what the manifest says: every byte of it arrives, which a reset connection does not promise.
  const isCut = cutAfterBytes !== undefined && bytes.length > cutAfterBytes;
  return new Response(isCut ? streamOf(bytes.subarray(0, cutAfterBytes)) : bytes, { status, headers });
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`;
}
