// Values as people read them. What comes from a server is never trusted with the terminal: control characters are replaced.

/** Lines of aligned columns, two spaces apart, without trailing spaces. The first row is the heading. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const safe = rows.map((row) => row.map(plain));
  const widths: number[] = [];
  for (const row of safe) for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return safe
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** `0 B`, `999 B`, `1.5 KiB`, `256 MiB`. */
export function formatBytes(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `350 ms`, `12 s`, `3 min`, `5 h`, `8 d`. */
export function formatDuration(ms: number): string {
  const steps: readonly (readonly [divisor: number, unit: string])[] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ];
  for (const [divisor, unit] of steps) if (ms >= divisor) return `${Math.floor(ms / divisor)} ${unit}`;
  return `${Math.max(0, Math.round(ms))} ms`;
}

/** `2026-11-24 08:00:00 UTC (3 min ago)` of an RFC 3339 time. */
export function formatTime(time: string, nowMs: number): string {
  const atMs = Date.parse(time);
  if (Number.isNaN(atMs)) return plain(time);
  return `${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC (${formatDuration(nowMs - atMs)} ago)`;
}

/** The text on one line: what a terminal would act on (control and format characters) becomes `?`. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}
