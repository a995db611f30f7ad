// Sources and registries as the admin API shows them. A password never gets here but as a `Secret`, and the address of a proxy is shown in the
// settings of one source only.

import { writeSource } from '../config/source-entry.ts';
import { toConfig } from '../registry/source-values.ts';
import type { SourceView } from '../registry/sources.ts';
import type { Quota } from '../upstream/quota.ts';
import type { SourceBody, SourceDetail } from './source-schemas.ts';

export function presentSource({ record, snapshot }: SourceView): SourceBody {
  const { lastAtMs, averageMs, firstByteP95Ms, verdicts, blockedForMs, quota, quotas, spentForMs, bytesPerSecond, hosts, ...rest } =
    snapshot;
  const { limits, scope, operator, proxy } = record.details;
  return {
    id: record.id,
    url: record.url,
    trust: record.trust,
    priority: record.priority,
    enabled: record.isEnabled,
    origin: record.origin,
    hasCredentials: record.credentials.length > 0,
    viaProxy: proxy !== undefined,
    ...(limits === undefined ? {} : { limits }),
    ...(scope === undefined ? {} : { scope }),
    ...(operator === undefined ? {} : { operator }),
    ...rest,
    verdicts: { ...verdicts },
    blockedForMs: Math.ceil(blockedForMs),
    ...(averageMs === undefined ? {} : { averageMs: Math.round(averageMs) }),
    ...(firstByteP95Ms === undefined ? {} : { firstByteP95Ms: Math.round(firstByteP95Ms) }),
    ...(quota === undefined ? {} : { quota: presentQuota(quota) }),
    ...(quotas === undefined ? {} : { quotas: quotas.map((each) => ({ login: each.credentialId, ...presentQuota(each) })) }),
    ...(spentForMs === undefined ? {} : { spentForMs: Math.ceil(spentForMs) }),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond: rounded(bytesPerSecond) }),
    ...(hosts === undefined ? {} : { hosts: hosts.map((host) => ({ ...host, blockedForMs: Math.ceil(host.blockedForMs) })) }),
    ...(lastAtMs === undefined ? {} : { lastAt: new Date(lastAtMs).toISOString() }),
  };
}

export function presentDetail(view: SourceView): SourceDetail {
  const { record } = view;
  return {
    ...presentSource(view),
    registry: record.registry,
    settings: { ...writeSource(toConfig(record)) },
    created: new Date(record.createdAtMs).toISOString(),
    updated: new Date(record.updatedAtMs).toISOString(),
  };
}

function presentQuota({ limit, remaining, windowSeconds }: Quota): Quota {
  return { limit, remaining, windowSeconds };
}

function rounded(rates: NonNullable<SourceView['snapshot']['bytesPerSecond']>): NonNullable<SourceBody['bytesPerSecond']> {
  return Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, Math.round(rate)]));
}
