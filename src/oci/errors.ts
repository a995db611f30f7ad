// The coded errors of the registry API. It must never know HTTP status numbers (http/errors.ts does).
// distribution-spec v1.1 "Error Codes"; the codes below the line are Breakwater's own and follow the same body format.

export type OciErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  // ---
  | 'TAG_INVALID'
  | 'PAGINATION_NUMBER_INVALID'
  | 'RANGE_INVALID'
  | 'BLOB_UPLOAD_RANGE'
  | 'MANIFEST_TOO_LARGE'
  | 'BLOB_TOO_LARGE'
  | 'BODY_TOO_LARGE'
  | 'BAD_REQUEST'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'CONFLICT'
  | 'BODY_TOO_SLOW'
  | 'INSUFFICIENT_STORAGE'
  | 'UNAVAILABLE'
  | 'INTERNAL';

/**
 * A failure a client may be told of. `detail` is JSON and is shown to the client, so it holds nothing internal.
 * `retryAfterMs` is set where waiting helps.
 */
export class OciError extends Error {
  override readonly name = 'OciError';
  readonly code: OciErrorCode;
  readonly detail: unknown;
  readonly retryAfterMs: number | undefined;

  constructor(code: OciErrorCode, message: string, options: { detail?: unknown; cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.retryAfterMs = options.retryAfterMs;
  }
}
