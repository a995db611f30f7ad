// The registries a fresh install mirrors: the official endpoint of each, as its authority. Data only.
// `realms` lists token services that live on another host than the registry; a realm elsewhere is refused (credentials would leak).

import type { RegistryConfig } from './config.ts';

/** The place of a source that names none. */
export const defaultPriority = 100;

export const presetRegistries: ReadonlyMap<string, RegistryConfig> = new Map([
  preset('docker.io', 'https://registry-1.docker.io', ['https://auth.docker.io']),
  preset('ghcr.io', 'https://ghcr.io'),
  preset('quay.io', 'https://quay.io'),
  preset('gcr.io', 'https://gcr.io'),
  preset('registry.k8s.io', 'https://registry.k8s.io'),
  preset('mcr.microsoft.com', 'https://mcr.microsoft.com'),
  preset('public.ecr.aws', 'https://public.ecr.aws'),
  preset('nvcr.io', 'https://nvcr.io'),
  preset('docker.elastic.co', 'https://docker.elastic.co', ['https://docker-auth.elastic.co']),
  preset('registry.gitlab.com', 'https://registry.gitlab.com', ['https://gitlab.com']),
  preset('lscr.io', 'https://lscr.io', ['https://ghcr.io']),
]);

function preset(name: string, url: string, realms: readonly string[] = []): [string, RegistryConfig] {
  return [name, { sources: [{ url, trust: 'authority', priority: defaultPriority, realms, allowPrivate: false }] }];
}
