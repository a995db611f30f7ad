// What is being fetched, as metrics: read from the mirror at a scrape.

import type { Metrics } from '../lib/metrics.ts';
import type { Mirror } from './mirror.ts';

export function watchFills(metrics: Metrics, mirror: Pick<Mirror, 'stats'>): void {
  metrics.gauge({
    name: 'breakwater_fills',
    help: 'Blobs that are being fetched (running), or wait for a place to be (queued).',
    labels: ['state'],
    read: () => {
      const { fillsRunning, fillsQueued } = mirror.stats();
      return [
        [['running'], fillsRunning],
        [['queued'], fillsQueued],
      ];
    },
  });
  metrics.gauge({
    name: 'breakwater_fill_readers',
    help: 'Clients that are being sent a blob while it arrives.',
    read: () => [[[], mirror.stats().readers]],
  });
  metrics.counted({
    name: 'breakwater_hedges_total',
    help: 'Second sources asked because the first one was late (started), and those of them whose answer was taken (won).',
    labels: ['outcome'],
    read: () => {
      const { hedgesStarted, hedgesWon } = mirror.stats();
      return [
        [['started'], hedgesStarted],
        [['won'], hedgesWon],
      ];
    },
  });
}
