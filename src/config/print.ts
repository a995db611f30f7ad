// Prints a configuration as YAML for `breakwater config print`: everything that holds, defaults included, passwords as `***`.
// What it prints is a valid config file of the same meaning, apart from the passwords.

import { stringify } from 'yaml';
import { formatListen } from './addresses.ts';
import { printAudit } from './audit-schema.ts';
import type { Config, ProviderConfig, TagRuleConfig } from './config.ts';
import { writeProviderSettings } from './identity-schema.ts';
import { writeSource } from './source-entry.ts';
import { formatDuration, formatSize } from './units.ts';
import { printWarm } from './warm-schema.ts';

/** The effective configuration as YAML text. */
export function printConfig(config: Config): string {
  const { mirror, limits, tls } = config;
  return stringify(
    {
      listen: formatListen(config.listen),
      data: config.dataDir,
      master_key_file: config.masterKeyFile,
      external_url: config.externalUrl,
      trusted_proxies: config.trustedProxies,
      anonymous_pull: config.anonymousPull,
      anonymous_networks: config.anonymousNetworks,
      logins: { shared_networks: config.logins.sharedNetworks },
      tls: tls === undefined ? undefined : { certificate: tls.certificateFile, private_key: tls.privateKeyFile },
      mirror: {
        root: mirror.rootRegistry ?? false,
        ...printTagTimes(mirror),
        not_found_ttl: formatDuration(mirror.notFoundTtlMs),
        revalidate_timeout: formatDuration(mirror.revalidateTimeoutMs),
        equivalents: mirror.equivalents,
        foreign_layers: mirror.foreignLayers,
        rules: mirror.rules.map(({ match, ...times }) => ({ match, ...printTagTimes(times) })),
      },
      presets: printPresets(config),
      registries: Object.fromEntries(
        [...config.registries].map(([name, { sources, isPublic }]) => [
          name,
          { ...(isPublic === undefined ? {} : { public: isPublic }), sources: sources.map(writeSource) },
        ]),
      ),
      egress: config.egress,
      warm: printWarm(config.warm),
      metrics: {
        public: config.metrics.isPublic,
        listen: config.metrics.listen === undefined ? undefined : formatListen(config.metrics.listen),
        token: config.metrics.token === undefined ? undefined : '***',
      },
      status: { public: config.status.isPublic },
      probes: {
        enabled: config.probes.isEnabled,
        interval: formatDuration(config.probes.intervalMs),
        deep_interval: formatDuration(config.probes.deepIntervalMs),
        canaries: Object.fromEntries(config.probes.canaries),
      },
      audit: printAudit(config.audit),
      api_credentials: config.apiCredentials,
      limits: {
        manifest_bytes: formatSize(limits.manifestBytes),
        blob_bytes: formatSize(limits.blobBytes),
        uploads_per_repository: limits.uploadsPerRepository,
        uploads_total: limits.uploadsTotal,
        uploads_per_principal: limits.uploadsPerPrincipal,
        upload_idle_expiry: formatDuration(limits.uploadIdleExpiryMs),
        upload_absolute_expiry: formatDuration(limits.uploadAbsoluteExpiryMs),
        page_size_default: limits.pageSizeDefault,
        page_size_max: limits.pageSizeMax,
        minimum_free: { percent: limits.minimumFree.percent, bytes: formatSize(limits.minimumFree.bytes) },
        upstream: { connections_per_host: limits.upstream.connectionsPerHost, fills: limits.upstream.fills },
      },
      identity: { sync_interval: formatDuration(config.identity.syncIntervalMs), providers: config.identity.providers.map(printProvider) },
    },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

function printProvider(provider: ProviderConfig): object {
  const settings = writeProviderSettings(provider);
  return {
    name: provider.name,
    enabled: provider.isEnabled,
    secret: provider.secret === undefined ? undefined : '***',
    [provider.kind]: provider.settings.ca_file === undefined ? settings : { ...settings, ca: undefined },
  };
}

function printTagTimes(times: Omit<TagRuleConfig, 'match'>): object {
  const duration = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : formatDuration(ms));
  return {
    tag_ttl: duration(times.tagTtlMs),
    stale_while_revalidate: duration(times.staleWhileRevalidateMs),
    stale_if_error: duration(times.staleIfErrorMs),
    on_upstream_delete: times.onUpstreamDelete,
    without_authority: times.withoutAuthority,
  };
}

/** The registries are printed one by one, so the presets themselves are off. */
function printPresets({ presets: { updates } }: Config): object | false {
  if (updates === undefined) return false;
  const { file, url, publicKey, intervalMs } = updates;
  return { enabled: false, file, url, public_key: publicKey, interval: formatDuration(intervalMs) };
}
