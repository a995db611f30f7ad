// What a source did, as a closed union, and the one error this room throws. It must never carry a secret, a signed URL or text an
// upstream wrote: `detail` is shown in `explain` and in reason phrases. Rows F1-F64 of the fault list end in one of these.

/**
 * - `dns` no address; `refused`, `unreachable`, `connect-timeout` no connection; `tls` handshake or certificate; `timeout` no answer in time
 * - `reset` the connection was lost before an answer; `truncated` it was lost in mid-body, or the body was shorter than it has to be
 *   (Bun gives one error for FIN and RST in mid-body, so both are `truncated`); `stalled` no byte for the idle time
 * - `server-error` 5xx; `rate-limited` 429; `quota-spent` 429 of the pull quota for every login (HEADs and blobs stay free); `denied` 403; `unauthorized` 401; `not-found` 404; `gone` 412 (a project shut down)
 * - `html` a page where content was asked for; `bad-manifest` no schema 2 manifest; `wrong-digest` bytes that are not what they claim to be
 * - `foreign-realm` a token realm we send nothing to; `redirect-refused` loop, downgrade or malformed target; `private-address` guard
 * - `encoding` a Content-Encoding we do not read; `too-large` over a cap; `bad-range` a 206 or 416 that does not fit; `bad-answer` the rest
 * - `token-error` the token service failed; `aborted` the caller left; `busy` our own limit per host or source, `egress-denied`
 *   our own egress policy: no fault of the source
 */
export type Verdict =
  | 'dns'
  | 'refused'
  | 'unreachable'
  | 'connect-timeout'
  | 'tls'
  | 'timeout'
  | 'reset'
  | 'truncated'
  | 'stalled'
  | 'server-error'
  | 'rate-limited'
  | 'quota-spent'
  | 'denied'
  | 'unauthorized'
  | 'not-found'
  | 'gone'
  | 'html'
  | 'bad-manifest'
  | 'wrong-digest'
  | 'foreign-realm'
  | 'redirect-refused'
  | 'private-address'
  | 'encoding'
  | 'too-large'
  | 'bad-range'
  | 'bad-answer'
  | 'token-error'
  | 'aborted'
  | 'busy'
  | 'egress-denied';

/** `down` opens the breaker at once, `faulty` after several in a row; `limited` waits; `spent` waits with counted requests; `refusal` and `absent` concern one repository; `poison` quarantines. */
export type VerdictClass = 'down' | 'faulty' | 'limited' | 'spent' | 'refusal' | 'absent' | 'poison' | 'neutral';

export function classOfVerdict(verdict: Verdict): VerdictClass {
  switch (verdict) {
    case 'dns':
    case 'refused':
    case 'unreachable':
    case 'connect-timeout':
    case 'tls':
    case 'timeout':
    case 'html':
    case 'foreign-realm':
    case 'private-address':
      return 'down';
    case 'reset':
    case 'truncated':
    case 'stalled':
    case 'server-error':
    case 'bad-manifest':
    case 'redirect-refused':
    case 'encoding':
    case 'too-large':
    case 'bad-range':
    case 'bad-answer':
      return 'faulty';
    case 'rate-limited':
      return 'limited';
    case 'quota-spent':
      return 'spent';
    case 'denied':
    case 'unauthorized':
    case 'gone':
      return 'refusal';
    case 'not-found':
      return 'absent';
    case 'wrong-digest':
      return 'poison';
    // The token service has a breaker of its own; a registry is not down because its token service is.
    case 'token-error':
    case 'aborted':
    case 'busy':
    case 'egress-denied':
      return 'neutral';
  }
}

const detailMaxLength = 200;

export interface UpstreamErrorOptions {
  /** One line; other than printable ASCII is replaced, at most 200 characters are kept. */
  readonly detail: string;
  readonly status?: number;
  readonly retryAfterMs?: number;
  /** Where it happened: the origin of the hop (registry, token service or CDN). */
  readonly origin?: string;
  readonly cause?: unknown;
}

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly verdict: Verdict;
  readonly detail: string;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly origin: string | undefined;

  constructor(verdict: Verdict, options: UpstreamErrorOptions) {
    const detail = asciiLine(options.detail);
    super(`${verdict}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.verdict = verdict;
    this.detail = detail;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
    this.origin = options.origin;
  }
}

/** Printable ASCII on one line, at most 200 characters. */
export function asciiLine(text: string): string {
  return text.slice(0, detailMaxLength).replace(/[^\x20-\x7e]+/g, '?');
}
