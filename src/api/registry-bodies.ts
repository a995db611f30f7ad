// Registries as the admin API shows them. Harbor's one address and login are those of the authority; a password never gets here but as a `Secret`.

import { mainSource } from '../registry/registry-entry.ts';
import type { RegistryView } from '../registry/sources.ts';
import type { HarborRegistryBody, RegistryBody } from './registry-schemas.ts';
import { presentSource } from './source-bodies.ts';

const hiddenSecret = '*****';
const downStates: ReadonlySet<string> = new Set(['open', 'quarantined']);

export function presentHarborRegistry(view: RegistryView): HarborRegistryBody {
  const main = mainSource(view);
  const [login] = main?.record.credentials ?? [];
  return {
    id: view.id,
    name: view.title ?? view.name,
    url: main?.record.url ?? `https://${view.name}`,
    type: view.type,
    ...(login === undefined ? {} : { credential: { type: 'basic', access_key: login.username ?? '', access_secret: hiddenSecret } }),
    insecure: main?.record.details.tls?.insecure ?? false,
    description: view.description,
    status: view.sources.some(({ record, snapshot }) => record.isEnabled && !downStates.has(snapshot.state)) ? 'healthy' : 'unhealthy',
    creation_time: new Date(view.createdAtMs).toISOString(),
    update_time: new Date(view.updatedAtMs).toISOString(),
  };
}

export function presentRegistry(view: RegistryView): RegistryBody {
  return {
    ...presentHarborRegistry(view),
    registry: view.name,
    ...(view.isPublic === undefined ? {} : { public: view.isPublic }),
    restricted: view.isRestricted,
    origin: view.origin,
    sources: view.sources.map(presentSource),
  };
}
