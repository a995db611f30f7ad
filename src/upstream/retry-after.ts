// How long a limited source asks us to stay away. Pure. RFC 9110 section 10.2.3; wire.md 2.3 (ghcr writes it into the message, in odd units).

const dayMs = 24 * 60 * 60 * 1000;

/** Milliseconds from the header (seconds or HTTP-date), else from an error message; undefined when neither says. At most one day. */
export function parseRetryAfter(options: { header: string | null; message?: string; nowMs: number }): number | undefined {
  const byHeader = options.header === null ? undefined : parseHeader(options.header.trim(), options.nowMs);
  const found = byHeader ?? (options.message === undefined ? undefined : parseMessage(options.message));
  return found === undefined ? undefined : Math.min(Math.max(0, found), dayMs);
}

function parseHeader(text: string, nowMs: number): number | undefined {
  if (/^\d{1,10}(?:\.\d{1,6})?$/.test(text)) return Math.ceil(Number(text) * 1000);
  // Only the IMF-fixdate and its two obsolete forms name a weekday first; Date.parse alone would take "5" or "1 week" for a date.
  if (text.length > 40 || !/^[A-Z][a-z]{2,8},? /.test(text)) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

const units: Readonly<Record<string, number>> = { us: 0.001, µs: 0.001, μs: 0.001, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function parseMessage(message: string): number | undefined {
  const match = /retry[- ]after:? {0,4}(\d{1,12}(?:\.\d{1,9})?) ?(us|µs|μs|ms|s|m|h)?(?![a-z])/i.exec(message.slice(0, 4_096));
  return match === null ? undefined : Math.ceil(Number(match[1]) * (units[match[2]?.toLowerCase() ?? 's'] ?? 1_000));
}
