// `breakwater explain IMAGE`: what the running server has of an image and where every byte of it came from.

import { type ExplanationBody, explanationSchema, type TrailBody } from '../api/schemas.ts';
import { createApiClient } from './client.ts';
import { resolveConnection } from './connection.ts';
import type { OutputOptions } from './project.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatBytes, formatDuration, formatTime, plain } from './text.ts';

type BlobBody = ExplanationBody['blobs'][number];
type AttemptBody = TrailBody['attempts'][number];

/** JSON: the explanation as the API gives it. */
export async function explainImage(image: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal));
  const { value, raw } = await client.read(explanationSchema, { method: 'GET', path: '/explain', query: { image } });
  await terminal.write(options.json === true ? toJson(raw) : formatExplanation(value, Date.now()));
}

export function formatExplanation(found: ExplanationBody, nowMs: number): string {
  const lines = [
    found.image,
    `  project     ${found.project} (${found.kind}${found.registry === undefined ? '' : ` of ${found.registry}`})`,
    `  repository  ${found.repository}`,
    `  reference   ${found.reference}`,
    `  digest      ${found.digest ?? 'not known here: it was not pulled or pushed yet'}`,
    ...tagLines(found, nowMs),
  ];
  if (found.blobs.length > 0) lines.push('', `${found.blobs.length} parts, ${cachedWords(found.blobs)}`, ...found.blobs.flatMap(blobLines));
  lines.push(...standingLines(found, nowMs));
  const { lastFailure } = found;
  if (lastFailure !== undefined) {
    const at = formatTime(new Date(lastFailure.atMs).toISOString(), nowMs);
    lines.push(
      '',
      `last failure ${at}${reasonWords(lastFailure.reason)}`,
      ...lastFailure.attempts.map((attempt) => `  ${attemptWords(attempt)}`),
    );
  }
  return lines.map((line) => `${plain(line)}\n`).join('');
}

/** What stands against it now: the registry's word, sources that are not believed, and where else its digests are looked for. */
function standingLines({ absence, drift, sources = [], equivalents = [] }: ExplanationBody, nowMs: number): string[] {
  const lines: string[] = [];
  if (absence !== undefined)
    lines.push('', `not there: ${absence.reason}, ${formatTime(absence.at, nowMs)}; asked again in ${formatDuration(absence.forMs)}`);
  if (drift !== undefined)
    lines.push('', `other digests${reasonWords(drift.reason)}`, ...drift.attempts.map((attempt) => `  ${attemptWords(attempt)}`));
  if (sources.length > 0) lines.push('', 'sources, in the order they would be asked');
  for (const { url, trust, state, evidence } of sources)
    lines.push(`  ${url} ${trust}, ${state}${evidence === undefined ? '' : `: ${evidence}`}`);
  if (equivalents.length > 0) lines.push('', `when all fail, by digest: ${equivalents.join(', ')}`);
  return lines;
}

function tagLines({ tag, kind }: ExplanationBody, nowMs: number): string[] {
  if (tag === undefined) return [];
  const isPushed = tag.verifiedAt === undefined && tag.checkedAt === undefined;
  if (isPushed) return [`  tag         ${kind === 'mirror' ? tag.trust : 'pushed here'}`];
  return [
    `  tag         ${tag.trust}`,
    `  verified    ${tag.verifiedAt === undefined ? 'never' : formatTime(tag.verifiedAt, nowMs)}`,
    ...(tag.checkedAt === undefined ? [] : [`  checked     ${formatTime(tag.checkedAt, nowMs)}`]),
    ...(tag.removedAt === undefined ? [] : [`  removed     ${formatTime(tag.removedAt, nowMs)}, by its registry`]),
    ...(tag.trail?.reason === undefined ? [] : [`  because     ${tag.trail.reason}`]),
    ...(tag.trail?.attempts ?? []).map((attempt) => `    ${attemptWords(attempt)}`),
  ];
}

function cachedWords(blobs: readonly BlobBody[]): string {
  const cached = blobs.filter((blob) => blob.cached);
  const total = (of: readonly BlobBody[]): string => formatBytes(of.reduce((sum, blob) => sum + blob.sizeBytes, 0));
  return cached.length === blobs.length
    ? `all here (${total(blobs)})`
    : `${cached.length} of them here (${total(cached)} of ${total(blobs)})`;
}

function blobLines(blob: BlobBody): string[] {
  const { segments, attempts, reason } = blob;
  // The successful attempts are told by the intervals already.
  const failed = attempts.filter((attempt) => attempt.verdict !== 'ok');
  return [
    `  ${blob.kind.padEnd(8)}  ${blob.digest}  ${formatBytes(blob.sizeBytes).padStart(8)}  ${blob.cached ? 'here' : 'not here'}`,
    ...(reason === undefined ? [] : [`    ${reason}`]),
    ...segments.map(
      (segment) => `    bytes ${segment.from}-${segment.to - 1} (${formatBytes(segment.to - segment.from)}) from ${segment.source}`,
    ),
    ...failed.map((attempt) => `    ${attemptWords(attempt)}`),
  ];
}

function attemptWords(attempt: AttemptBody): string {
  const status = attempt.status === undefined ? '' : ` ${attempt.status}`;
  const detail = attempt.detail === undefined ? '' : `: ${attempt.detail}`;
  const received = attempt.bytes > 0 ? `, ${formatBytes(attempt.bytes)}` : '';
  return `${attempt.source} ${attempt.verdict}${status} (${formatDuration(attempt.ms)}${received})${detail}`;
}

function reasonWords(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`;
}
