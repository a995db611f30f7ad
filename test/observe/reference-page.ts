// Writes docs/metrics.md from the metrics the server registers, so that the page cannot differ from what `/metrics` gives.
//
//   bun test/observe/reference-page.ts       writes it; `npm run docs` does

import { join } from 'node:path';
import type { Database } from '../../src/db/database.ts';
import { createMonitoring, type MonitoredParts } from '../../src/http/monitoring.ts';
import { watchAudit } from '../../src/jobs/audit-metrics.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import type { Pull } from '../../src/registry/pull.ts';
import type { SourcePool } from '../../src/registry/source-pool.ts';
import type { UpstreamClient } from '../../src/upstream/client.ts';

export const metricsPageFile = join(import.meta.dir, '../../docs/metrics.md');

const introduction = `<!-- Written by test/observe/reference-page.ts from what the server registers. Change the help texts there, then run \`npm run docs\`. -->

# Metrics

\`GET /metrics\` gives Prometheus text, and OpenMetrics to a scraper that asks for it. It tells numbers, kinds and the URLs of sources; never the name of
a repository or an image, a digest, a user or a secret.

By default it takes the login of an administrator. Prometheus can send one, or a token of its own:

\`\`\`yaml
# breakwater.yaml
metrics:
  token_file: /etc/breakwater/metrics.token
\`\`\`

\`\`\`yaml
# prometheus.yml
scrape_configs:
  - job_name: breakwater
    authorization: { credentials_file: /etc/prometheus/breakwater.token }
    static_configs: [{ targets: ["registry.example.com:5000"] }]
\`\`\`

In a private network \`metrics: { listen: 10.0.0.5:9464 }\` opens a second port that serves \`/metrics\` alone, without a login, and
\`metrics: { public: true }\` opens it to everybody who reaches the server. Neither is the default: behind a reverse proxy or a published container port every
client seems to come from the private network.

## What they are for

| question | expression |
|---|---|
| share of pulls served without fetching, by registry | \`sum by (registry) (rate(breakwater_pulls_total{outcome=~"hit\\|revalidated\\|stale"}[5m])) / sum by (registry) (rate(breakwater_pulls_total[5m]))\` |
| a registry has no source left | \`max by (registry) (breakwater_source_up) == 0\` |
| a source fails | \`sum by (registry, source) (rate(breakwater_source_requests_total{verdict!~"ok\\|not-found\\|aborted\\|busy"}[5m])) > 0\` |
| a pull quota is nearly used up | \`breakwater_source_quota_remaining / breakwater_source_quota_limit < 0.1\` |
| pulls fail | \`sum by (registry) (rate(breakwater_pulls_total{outcome="error"}[5m])) > 0\` |
| a source lied, or sources disagree on a tag | \`increase(breakwater_alarms_total{kind=~"wrong-bytes\\|tag-.*"}[10m]) > 0\` |
| the audit log is not forwarded | \`breakwater_audit_forward_failing_seconds > 600 or increase(breakwater_audit_forwarded_entries_total{outcome="left-out"}[10m]) > 0\` |
| the audit log lost something | \`increase(breakwater_audit_entries_total{outcome="lost"}[10m]) > 0\` |
| the disk is nearly full | \`breakwater_disk_bytes{kind="free"} / ignoring(kind) breakwater_disk_bytes{kind="total"} < 0.2\` |

## All metrics
`;

export function metricsPage(): string {
  const monitoring = createMonitoring({
    config: {
      metrics: { isPublic: false },
      status: { isPublic: false },
      probes: { isEnabled: false, intervalMs: 1, deepIntervalMs: 1, canaries: new Map() },
    },
    version: '0',
    database: {} as Database,
    clock: systemClock,
    log: createLog({ write: () => undefined }),
  });
  // Nothing of these is used: they would be read at a scrape.
  monitoring.counted({} as Pull);
  monitoring.probing({ client: {} as UpstreamClient, pool: {} as SourcePool });
  void monitoring.start({ pool: { subscribe: () => () => undefined } } as unknown as MonitoredParts).stop();
  watchAudit(monitoring.metrics, { numbers: () => ({ recorded: 0, dropped: 0, waiting: 0 }) }, { states: () => [] });
  const lines = [...monitoring.metrics.describe()]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${(labels ?? []).join(', ')} | ${help} |`);
  return `${introduction}\n| metric | type | labels | meaning |\n|---|---|---|---|\n${lines.join('\n')}\n`;
}

if (import.meta.main) await Bun.write(metricsPageFile, metricsPage());
