// Durations (`60s`, `30d`) and sizes (`4MiB`) as people write them in the config file, to milliseconds and bytes and back.
// A duration always names its unit: a bare number has been read as seconds by some and as milliseconds by others.

const durationUnitsMs: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

const sizeUnitsBytes: readonly (readonly [string, number])[] = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
  ['B', 1],
];

/** Milliseconds of `500ms`, `60s`, `1.5h`, `30d`; undefined for anything else, or when it is no whole number of milliseconds. */
export function parseDuration(text: string): number | undefined {
  return parseAmount(text, durationUnitsMs);
}

/** The shortest text that `parseDuration` reads as exactly this many milliseconds (a whole number, 0 or more). */
export function formatDuration(durationMs: number): string {
  return formatAmount(durationMs, durationUnitsMs) ?? '0s';
}

/** Bytes of `4MiB`, `1.5GiB`, `512B` or a bare whole number; undefined for anything else, or when it is no whole number of bytes. */
export function parseSize(text: string): number | undefined {
  return parseAmount(/^\d+$/.test(text) ? `${text}B` : text, sizeUnitsBytes);
}

/** The text in the largest unit that divides it, which `parseSize` reads as exactly this many bytes (a whole number, 0 or more). */
export function formatSize(sizeBytes: number): string {
  return formatAmount(sizeBytes, sizeUnitsBytes) ?? '0B';
}

function parseAmount(text: string, units: typeof durationUnitsMs): number | undefined {
  const match = /^(\d{1,15}(?:[.]\d{1,6})?)\s?([A-Za-z]{1,3})$/.exec(text);
  const factor = units.find(([unit]) => unit === match?.[2])?.[1];
  if (match?.[1] === undefined || factor === undefined) return undefined;
  const amount = Number(match[1]) * factor;
  return Number.isSafeInteger(amount) ? amount : undefined;
}

function formatAmount(amount: number, units: typeof durationUnitsMs): string | undefined {
  if (amount === 0) return undefined;
  const unit = units.find(([, factor]) => amount % factor === 0);
  return unit === undefined ? undefined : `${amount / unit[1]}${unit[0]}`;
}
