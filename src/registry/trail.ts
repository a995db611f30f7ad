// The decision trail: which sources were asked, what each did, and which bytes came from where. Kept as JSON beside the content, read by
// `explain`. It must never hold a secret: sources are named by their URL, which has no user part.

import type { Verdict } from '../upstream/verdict.ts';

export interface Attempt {
  /** The source's URL. */
  readonly source: string;
  readonly verdict: Verdict | 'ok' | 'skipped';
  readonly status?: number;
  readonly detail?: string;
  readonly ms: number;
  /** Body bytes received. */
  readonly bytes: number;
}

/** Bytes `from` (inclusive) to `to` (exclusive) of a blob as a source delivered them. */
export interface Segment {
  readonly source: string;
  readonly from: number;
  readonly to: number;
}

export interface Trail {
  readonly atMs: number;
  readonly attempts: readonly Attempt[];
  /** Blobs only: the byte intervals of the delivery that was kept. */
  readonly segments?: readonly Segment[];
  /** Manifests by tag: why this digest. */
  readonly reason?: string;
}

export function formatTrail(trail: Trail): string {
  return JSON.stringify(trail);
}

/** A trail read back; undefined for null and for what is not one. */
export function parseTrail(text: string | null): Trail | undefined {
  if (text === null) return undefined;
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null && 'attempts' in value ? (value as Trail) : undefined;
}

/** One ASCII line for people: each source and what it said. */
export function describeAttempts(attempts: readonly Attempt[]): string {
  if (attempts.length === 0) return 'no source is configured';
  const latest = new Map(attempts.map((attempt) => [attempt.source, attempt]));
  return [...latest.values()]
    .map((attempt) => `${hostOf(attempt.source)}: ${attempt.detail ?? attempt.verdict}`)
    .join('; ')
    .slice(0, 400);
}

function hostOf(source: string): string {
  return URL.canParse(source) ? new URL(source).host : source;
}
