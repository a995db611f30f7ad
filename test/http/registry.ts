// A registry of the suites in this folder: a real server on its own data folder, and the few calls they make. It holds no expectations.

import { createHash } from 'node:crypto';
import { type RunningBreakwater, type StartOptions, startBreakwater } from '../support/breakwater.ts';

export interface Login {
  readonly name: string;
  readonly password: string;
}
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | ReadableStream<Uint8Array>;
  /** Default: the administrator. `anonymous` sends nothing, a text goes out as a Bearer token. */
  readonly as?: Login | 'admin' | 'anonymous' | { readonly token: string };
}

export interface Registry extends RunningBreakwater {
  readonly admin: Login;
  call(path: string, options?: Call): Promise<Response>;
  /** A Bearer token; throws when there is none. */
  token(scopes: readonly string[], as?: Login | 'admin' | 'anonymous'): Promise<string>;
  createProject(name: string, settings?: { public?: boolean; kind?: string }): Promise<void>;
  deleteProject(name: string): Promise<void>;
  /** Opens an upload session; gives its path. */
  beginUpload(repository: string): Promise<string>;
  /** Gives the digest. */
  pushBlob(repository: string, bytes: Uint8Array): Promise<string>;
  /** A small image of one layer. */
  pushImage(repository: string, tag: string, layer?: Uint8Array): Promise<Image>;
}
export interface Image {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly layerDigest: string;
  readonly configDigest: string;
}

const isolated = 'presets: false\nmirror: { root: false }\n';
const roomy = 'limits: { minimum_free: { percent: 0, bytes: 1MiB } }\n';
export const imageType = 'application/vnd.oci.image.manifest.v1+json';

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
export const sha512 = (bytes: Uint8Array): string => `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const basicOf = ({ name, password }: Login): string => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

/** Without upstream registries unless `config` names some. `limits` is YAML below `limits:`. */
export async function startRegistry(options: StartOptions & { limits?: string } = {}): Promise<Registry> {
  const limits = options.limits === undefined ? roomy : `limits: ${options.limits}\n`;
  const server = await startBreakwater({ ...options, config: `${options.config ?? isolated}${limits}` });
  const admin: Login = { name: 'admin', password: server.adminPassword };
  const loginOf = (as: Call['as']): Login | undefined =>
    as === undefined || as === 'admin' ? admin : as === 'anonymous' || 'token' in as ? undefined : as;
  const authorization = (as: Call['as']): Record<string, string> => {
    if (typeof as === 'object' && 'token' in as) return { authorization: `Bearer ${as.token}` };
    const login = loginOf(as);
    return login === undefined ? {} : { authorization: basicOf(login) };
  };
  const call: Registry['call'] = (path, { method = 'GET', headers = {}, body, as } = {}) =>
    fetch(`${server.url}${path}`, {
      method,
      headers: { ...authorization(as), ...headers },
      redirect: 'manual',
      ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    });
  const must = async (status: number, path: string, options: Call): Promise<Response> => {
    const response = await call(path, options);
    if (response.status !== status) throw new Error(`${options.method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const registry: Registry = {
    ...server,
    admin,
    call,
    token: async (scopes, as = 'admin') => {
      const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
      const response = await must(200, `/service/token?service=breakwater&${query}`, { as });
      return ((await response.json()) as { token: string }).token;
    },
    createProject: async (name, settings = {}) => {
      const body = JSON.stringify({ name, kind: settings.kind ?? 'local', public: settings.public ?? false });
      await must(201, '/api/v2.0/projects', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    },
    deleteProject: async (name) => {
      await must(200, `/api/v2.0/projects/${name}`, { method: 'DELETE' });
    },
    beginUpload: async (repository) => {
      const response = await must(202, `/v2/${repository}/blobs/uploads/`, { method: 'POST' });
      return response.headers.get('location') ?? '';
    },
    pushBlob: async (repository, bytes) => {
      const digest = sha256(bytes);
      await must(201, `/v2/${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', body: bytes });
      return digest;
    },
    pushImage: async (repository, tag, layer = bytesOf(`a layer of ${repository}:${tag}`)) => {
      const config = bytesOf(JSON.stringify({ of: `${repository}:${tag}` }));
      const image = imageOf(config, layer);
      await registry.pushBlob(repository, config);
      await registry.pushBlob(repository, layer);
      await must(201, `/v2/${repository}/manifests/${tag}`, { method: 'PUT', headers: { 'content-type': imageType }, body: image.bytes });
      return image;
    },
  };
  return registry;
}

export function imageOf(config: Uint8Array, layer: Uint8Array): Image {
  const [configDigest, layerDigest] = [sha256(config), sha256(layer)];
  const bytes = bytesOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: imageType,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: configDigest, size: config.byteLength },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layerDigest, size: layer.byteLength }],
    }),
  );
  return { bytes, digest: sha256(bytes), layerDigest, configDigest };
}

/** The code of an error body. */
export async function codeOf(response: Response): Promise<string> {
  const { errors } = (await response.json()) as { errors: { code: string }[] };
  return errors[0]?.code ?? '';
}

/** Lines of the server's log that report a failure. */
export function failuresIn(registry: RunningBreakwater): string[] {
  return registry
    .logs()
    .split('\n')
    .filter((line) => line !== '' && !line.includes('"level":"info"'));
}
