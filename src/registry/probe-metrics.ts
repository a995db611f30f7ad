// What probes found, as metrics, read from the last report of each source at a scrape.

import type { Metrics } from '../lib/metrics.ts';
import type { Source } from '../upstream/source.ts';
import type { ProbeReport, ProbeState } from './probes.ts';

const labels = ['registry', 'source'];
const states: readonly ProbeState[] = ['up', 'whitelist', 'limited', 'down'];

/** Gives what is to be called with every report. `sources` and `latest` are asked at a scrape. */
export function createProbeMetrics(
  metrics: Metrics,
  parts: { sources: () => readonly Source[]; latest: (source: Source) => ProbeReport | undefined },
): (source: Source, report: ProbeReport) => void {
  const probes = metrics.counter({
    name: 'breakwater_source_probes_total',
    help: 'Probes of a source by what they found: up, whitelist (it has some images and refuses others), limited, down.',
    labels: [...labels, 'state'],
  });
  const perSource = (name: string, help: string, read: (report: ProbeReport) => number | undefined): void =>
    metrics.gauge({
      name,
      help,
      labels,
      read: () =>
        parts.sources().flatMap((source) => {
          const report = parts.latest(source);
          const value = report === undefined ? undefined : read(report);
          return value === undefined ? [] : [[[source.registry, source.url], value] as const];
        }),
    });
  perSource(
    'breakwater_source_probe_timestamp_seconds',
    'When a source was last probed, in seconds since 1970.',
    (report) => report.atMs / 1000,
  );
  perSource(
    'breakwater_source_probe_duration_seconds',
    'How long the last probe of a source took, all its steps.',
    (report) => report.ms / 1000,
  );
  perSource(
    'breakwater_source_certificate_expiry_timestamp_seconds',
    'When the certificate of a source expires, in seconds since 1970, as the last probe saw it.',
    (report) => (report.certificateExpiresAtMs === undefined ? undefined : report.certificateExpiresAtMs / 1000),
  );
  metrics.gauge({
    name: 'breakwater_source_probe_state',
    help: '1 for what the last probe of a source found (up, whitelist, limited, down), 0 for the others.',
    labels: [...labels, 'state'],
    read: () =>
      parts.sources().flatMap((source) => {
        const report = parts.latest(source);
        return report === undefined
          ? []
          : states.map((state) => [[source.registry, source.url, state], state === report.state ? 1 : 0] as const);
      }),
  });
  return (source, report) => probes.at(source.registry, source.url, report.state).add();
}
