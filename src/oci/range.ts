// Byte ranges: the Range header of a GET (RFC 9110 section 14) and the Content-Range of a chunk (distribution-spec v1.1
// "Pushing a blob in chunks", which writes `<start>-<end>` without a unit). It does no I/O.

/** Inclusive start, exclusive end, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header asks of a body of `sizeBytes`: `undefined` means serve all of it (no header, another unit, several ranges, or
 * a header that does not parse: RFC 9110 lets a server ignore these), `'unsatisfiable'` means 416. The last bytes of an empty body are
 * all of it: section 14.1.2 calls this satisfiable, and no Content-Range can say it.
 */
export function parseRange(header: string | null | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  if (header === null || header === undefined) return undefined;
  const match = /^bytes=(\d*)-(\d*)$/i.exec(header.trim());
  if (match === null) return undefined;
  // Numbers past 2^53 lose digits here, but no body is that large: they only have to stay large.
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const suffix = Number(last);
    if (suffix === 0) return 'unsatisfiable';
    return sizeBytes === 0 ? undefined : { start: Math.max(0, sizeBytes - suffix), end: sizeBytes };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return undefined;
  if (start >= sizeBytes) return 'unsatisfiable';
  return { start, end: last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}

/**
 * The Content-Range of a chunk as `<start>-<end>` (also with `bytes ` before and `/<total>` behind); undefined when malformed, and when
 * the total lies before the end (RFC 9110 section 14.4).
 */
export function parseChunkRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d{1,16})-(\d{1,16})(?:\/(\d{1,16}|\*))?$/.exec(header.trim());
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  const total = match[3] === undefined || match[3] === '*' ? end : Number(match[3]);
  return end > start && total >= end && Number.isSafeInteger(end) ? { start, end } : undefined;
}

/** `bytes 0-9/100` for a 206. */
export function formatContentRange(range: ByteRange, sizeBytes: number): string {
  return `bytes ${range.start}-${range.end - 1}/${sizeBytes}`;
}

/** The Range answer of an upload session holding `sizeBytes`: `0-<last>`, and `0-0` when it is empty, as clients expect. */
export function formatUploadRange(sizeBytes: number): string {
  return `0-${Math.max(0, sizeBytes - 1)}`;
}
