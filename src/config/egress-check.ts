// What the egress policy would keep the configured sources from doing, so that `config check` can say it before a pull does.

import type { Config } from './config.ts';
import { createEgressPolicy } from './egress.ts';

/** One line for each enabled source, token service or proxy that may not be contacted; a registry that may not be is one line. Names are not resolved. */
export function blockedSources(config: Pick<Config, 'registries' | 'egress'>): readonly string[] {
  const policy = createEgressPolicy(config.egress);
  return [...config.registries].flatMap(([registry, { sources }]) => {
    const whole = policy.checkRegistry(registry);
    if (!whole.allowed) return [whole.reason];
    return sources
      .filter((one) => one.enabled !== false)
      .flatMap(({ url, realms, proxy }) => {
        const places = [
          { what: `source ${url}`, at: url },
          ...realms.map((at) => ({ what: `token service ${at} of the source ${url}`, at })),
          ...(proxy === undefined ? [] : [{ what: `proxy of the source ${url}`, at: proxy }]),
        ];
        return places.flatMap(({ what, at }) => {
          const decision = policy.check(registry, new URL(at));
          return decision.allowed ? [] : [`${registry}: ${what}: ${decision.reason}`];
        });
      });
  });
}
