// Config files for servers under test. Sources are always on loopback, so that no test ever reaches for the internet.

export interface SourceEntry {
  readonly url: string;
  readonly trust?: 'authority' | 'digest-only';
  readonly priority?: number;
  readonly credentials?: { readonly username: string; readonly password: string };
  readonly realms?: readonly string[];
}

export interface MirrorConfig {
  /** Sources by registry name. */
  readonly registries: Readonly<Record<string, readonly SourceEntry[]>>;
  /** `mirror.tag_ttl`, e.g. `60s`. */
  readonly tagTtl?: string;
}

/** A source that nothing listens on: port 1 of loopback refuses every connection. */
const deadSource: SourceEntry = { url: 'http://127.0.0.1:1', trust: 'authority', priority: 10 };

/** The text of a config file. JSON is YAML, so no value needs quoting of its own. */
export function mirrorConfig(config: MirrorConfig): string {
  const registries = Object.fromEntries(Object.entries(config.registries).map(([name, sources]) => [name, { sources }]));
  return JSON.stringify({ mirror: { root: 'docker.io', tag_ttl: config.tagTtl ?? '60s' }, registries }, null, 2);
}

/** A server whose docker.io cannot be reached: for suites about pushing. */
export const offlineConfig = mirrorConfig({ registries: { 'docker.io': [deadSource] } });
