// What Prometheus wants to know of a process: memory, CPU, start, and how long the event loop keeps requests waiting. Names as in
// https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

const loopResolutionMs = 20;
const nsPerSecond = 1e9;

/** Registers them; `stop` ends the watch over the event loop. */
export function watchProcess(metrics: Metrics, version: string): { stop(): void } {
  const startedAtS = Date.now() / 1000 - process.uptime();
  const delay = monitorEventLoopDelay({ resolution: loopResolutionMs });
  delay.enable();
  metrics.gauge({
    name: 'breakwater_build_info',
    help: 'Always 1; the version of this server is the label.',
    labels: ['version'],
    read: () => [[[version], 1]],
  });
  metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'When the server was started, in seconds since 1970.',
    read: () => [[[], startedAtS]],
  });
  metrics.gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of the server in RAM.',
    read: () => [[[], process.memoryUsage.rss()]],
  });
  metrics.counted({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the server, all threads.',
    read: () => {
      const { user, system } = process.cpuUsage();
      return [[[], (user + system) / 1e6]];
    },
  });
  metrics.gauge({
    name: 'breakwater_event_loop_delay_seconds',
    help: 'How late the event loop came to its timers since the scrape before: median, p99 and max.',
    labels: ['statistic'],
    read: () => {
      const reading = [
        [['median'], delay.percentile(50) / nsPerSecond],
        [['p99'], delay.percentile(99) / nsPerSecond],
        [['max'], Math.max(0, delay.max) / nsPerSecond],
      ] as const;
      delay.reset();
      return reading;
    },
  });
  return { stop: () => delay.disable() };
}
