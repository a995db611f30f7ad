// `breakwater sources history`: how a source did over time, as a table of up to 24 lines and a line of bars.

import { type SourceHistoryBody, sourceHistorySchema } from '../api/history-schemas.ts';
import { createApiClient } from './client.ts';
import { resolveConnection } from './connection.ts';
import type { OutputOptions } from './project.ts';
import { pickSources, readSources } from './source-pick.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatBytes, formatDuration, formatTable, plain } from './text.ts';

export interface HistoryOptions extends OutputOptions {
  readonly range: '24h' | '90d';
}

/** JSON: the history as the API gives it. Throws a CommandFailure for a source that is not there, or a URL that several registries have. */
export async function showSourceHistory(source: string, options: HistoryOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const [picked] = pickSources([source], await readSources(client));
  const { value, raw } = await client.read(sourceHistorySchema, {
    method: 'GET',
    path: `/sources/${picked?.id}/history`,
    query: { range: options.range },
  });
  await terminal.write(options.json === true ? toJson(raw) : formatHistory(value, Date.now()));
}

const linesMax = 24;
const bars = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** One line for each hour or, for 90 days, for each few days; a bar shows the share of good answers, a dot that nothing was asked. */
export function formatHistory(history: SourceHistoryBody, nowMs: number): string {
  const { total, range } = history;
  const spanMs = (range === '24h' ? 24 : 90 * 24) * 3_600_000;
  const lineMs = spanMs / linesMax;
  const startMs = nowMs - spanMs;
  const lines = Array.from({ length: linesMax }, (_, place) => {
    const fromMs = startMs + place * lineMs;
    const inside = history.buckets.filter((bucket) => {
      const atMs = Date.parse(bucket.at);
      return atMs >= fromMs && atMs < fromMs + lineMs;
    });
    const sum = (read: (bucket: (typeof inside)[number]) => number): number => inside.reduce((before, bucket) => before + read(bucket), 0);
    return {
      fromMs,
      requests: sum((bucket) => bucket.requests),
      ok: sum((bucket) => bucket.ok),
      bytes: sum((bucket) => bucket.bytes),
      inside,
    };
  });
  const bar = lines
    .map(({ requests, ok }) => (requests === 0 ? '·' : (bars[Math.min(7, Math.floor((ok / requests) * 8))] ?? '█')))
    .join('');
  const rows = lines
    .filter(({ requests }) => requests > 0)
    .map(({ fromMs, requests, ok, bytes, inside }) => [
      `${formatDuration(nowMs - fromMs)} ago`,
      String(requests),
      percent(ok, requests),
      worst(inside.map((bucket) => bucket.p50Ms)),
      worst(inside.map((bucket) => bucket.p95Ms)),
      formatBytes(bytes),
      worstVerdicts(inside.map((bucket) => bucket.verdicts)),
    ]);
  const head = `${plain(history.url)} (${plain(history.registry)}), last ${range}: ${total.requests} requests, ${percent(total.ok, total.requests)} answered\n`;
  if (rows.length === 0) return `${head}nothing was asked of it in that time\n`;
  return `${head}${bar}\n${formatTable([['FROM', 'REQUESTS', 'ANSWERED', 'WORST P50', 'WORST P95', 'RECEIVED', 'FAILURES'], ...rows])}`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.floor((part / whole) * 1000) / 10} %`;
}

function worst(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? '-' : formatDuration(Math.max(...known));
}

function worstVerdicts(all: readonly Readonly<Record<string, number>>[]): string {
  const sums = new Map<string, number>();
  for (const verdicts of all) for (const [verdict, count] of Object.entries(verdicts)) sums.set(verdict, (sums.get(verdict) ?? 0) + count);
  const sorted = [...sums].sort((one, other) => other[1] - one[1]).slice(0, 3);
  return sorted.length === 0 ? '-' : sorted.map(([verdict, count]) => `${verdict} ${count}`).join(', ');
}
