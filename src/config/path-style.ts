// How one address stands for several registries: the families of mirrors give each registry a path or a host of its own (sources differ in
// this and in nothing else, so only the whole address is kept). Pure.

export const pathStyles = ['root', 'prefix', 'host'] as const;
export type PathStyle = (typeof pathStyles)[number];

/** The short names the families agree on. */
const shortNames: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'docker'],
  ['docker.elastic.co', 'elastic'],
  ['mcr.microsoft.com', 'mcr'],
  ['registry.k8s.io', 'k8s'],
  ['public.ecr.aws', 'ecr'],
  ['registry.ollama.ai', 'ollama'],
]);

/**
 * The address of a registry at a mirror, without a slash at its end; an address that has the registry in it already stays as it is.
 * Undefined: the URL leaves no place for it.
 */
export function resolvePathStyle({ url, style, registry }: { url: string; style: PathStyle; registry: string }): string | undefined {
  if (style === 'root') return url;
  const { protocol, host, hostname, pathname } = new URL(url);
  const path = pathname.replace(/\/+$/, '');
  if (style === 'prefix') {
    if (path === `/v2/${registry}`) return url;
    return path === '' || path === '/v2' ? `${protocol}//${host}/v2/${registry}` : undefined;
  }
  const name = shortNames.get(registry) ?? registry.split('.')[0];
  if (hostname.startsWith(`${name}.`)) return url;
  return /^[\d.]+$|^\[/.test(hostname) ? undefined : `${protocol}//${name}.${host}${path}`;
}
