// What Prometheus is told of the audit log: what was written and lost, and how its targets keep up.

import type { Audit } from '../auth/audit.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { AuditForwarding } from './audit-forwarding.ts';

export function watchAudit(metrics: Metrics, audit: Pick<Audit, 'numbers'>, forwarding: Pick<AuditForwarding, 'states'>): void {
  metrics.counted({
    name: 'breakwater_audit_entries_total',
    help: 'Entries of the audit log written, and events that were lost because the database took none.',
    labels: ['outcome'],
    read: () => {
      const { recorded, dropped } = audit.numbers();
      return [
        [['written'], recorded],
        [['lost'], dropped],
      ];
    },
  });
  metrics.gauge({
    name: 'breakwater_audit_forward_lag_entries',
    help: 'Entries that a target of the audit log has not taken yet.',
    labels: ['target'],
    read: () => forwarding.states().map(({ target, lag }) => [[target], lag]),
  });
  metrics.gauge({
    name: 'breakwater_audit_forward_failing_seconds',
    help: 'How long a target of the audit log has taken nothing although something waits.',
    labels: ['target'],
    read: () => forwarding.states().map(({ target, failingMs }) => [[target], failingMs / 1000]),
  });
  metrics.counted({
    name: 'breakwater_audit_forwarded_entries_total',
    help: 'Entries a target of the audit log has taken, and those left out for it because it was away too long.',
    labels: ['target', 'outcome'],
    read: () =>
      forwarding.states().flatMap(({ target, sent, dropped }) => [
        [[target, 'sent'], sent],
        [[target, 'left-out'], dropped],
      ]),
  });
}
