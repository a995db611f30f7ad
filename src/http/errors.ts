// The one table from error codes to HTTP. Only this file knows status numbers. distribution-spec v1.1 "Error Codes" for body and codes.

import { OciError, type OciErrorCode } from '../oci/errors.ts';

interface Mapping {
  readonly status: number;
  /** The code in the body where it differs from ours: clients know only the spec's. */
  readonly wireCode?: string;
}

const table: Readonly<Record<OciErrorCode, Mapping>> = {
  BLOB_UNKNOWN: { status: 404 },
  BLOB_UPLOAD_INVALID: { status: 400 },
  BLOB_UPLOAD_UNKNOWN: { status: 404 },
  DIGEST_INVALID: { status: 400 },
  MANIFEST_BLOB_UNKNOWN: { status: 400 },
  MANIFEST_INVALID: { status: 400 },
  MANIFEST_UNKNOWN: { status: 404 },
  NAME_INVALID: { status: 400 },
  NAME_UNKNOWN: { status: 404 },
  SIZE_INVALID: { status: 400 },
  UNAUTHORIZED: { status: 401 },
  DENIED: { status: 403 },
  UNSUPPORTED: { status: 405 },
  TOOMANYREQUESTS: { status: 429 },
  TAG_INVALID: { status: 400, wireCode: 'MANIFEST_INVALID' },
  PAGINATION_NUMBER_INVALID: { status: 400 },
  RANGE_INVALID: { status: 416 },
  BLOB_UPLOAD_RANGE: { status: 416, wireCode: 'BLOB_UPLOAD_INVALID' },
  MANIFEST_TOO_LARGE: { status: 413, wireCode: 'MANIFEST_INVALID' },
  BLOB_TOO_LARGE: { status: 413, wireCode: 'SIZE_INVALID' },
  BODY_TOO_LARGE: { status: 413, wireCode: 'SIZE_INVALID' },
  BAD_REQUEST: { status: 400 },
  NOT_FOUND: { status: 404 },
  METHOD_NOT_ALLOWED: { status: 405, wireCode: 'UNSUPPORTED' },
  CONFLICT: { status: 409 },
  BODY_TOO_SLOW: { status: 408, wireCode: 'BLOB_UPLOAD_INVALID' },
  INSUFFICIENT_STORAGE: { status: 507 },
  UNAVAILABLE: { status: 503 },
  INTERNAL: { status: 500, wireCode: 'UNKNOWN' },
};

/** Clients that are told to come back want to know when. */
const codesToRepeat: ReadonlySet<OciErrorCode> = new Set(['TOOMANYREQUESTS', 'UNAVAILABLE']);
const retryAfterDefaultMs = 10_000;

/** The HTTP status of a code. */
export function statusOf(code: OciErrorCode): number {
  return table[code].status;
}

/** The spec's error body: `{"errors":[{code, message, detail}]}`. */
export function errorBody(error: OciError): string {
  const code = table[error.code].wireCode ?? error.code;
  return JSON.stringify({ errors: [{ code, message: error.message, ...(error.detail === undefined ? {} : { detail: error.detail }) }] });
}

/** The answer to a failed request. `headers` are added (the challenge of a 401). */
export function errorResponse(error: OciError, options: { head: boolean; headers?: Readonly<Record<string, string>> }): Response {
  const body = errorBody(error);
  const headers: Record<string, string> = { 'content-type': 'application/json', ...allowOf(error), ...options.headers };
  const retryAfterMs = error.retryAfterMs ?? (codesToRepeat.has(error.code) ? retryAfterDefaultMs : undefined);
  if (retryAfterMs !== undefined) headers['retry-after'] = String(Math.ceil(retryAfterMs / 1000));
  // What the client still sends of its body would be read to the end otherwise, at its pace.
  if (error.code === 'BODY_TOO_SLOW') headers['connection'] = 'close';
  if (options.head) headers['content-length'] = String(Buffer.byteLength(body));
  return new Response(options.head ? null : body, { status: statusOf(error.code), headers });
}

/** The methods a 405 owes (RFC 9110 section 15.5.6). */
function allowOf(error: OciError): Record<string, string> {
  const allowed = typeof error.detail === 'object' && error.detail !== null && 'allowed' in error.detail ? error.detail.allowed : undefined;
  return Array.isArray(allowed) ? { allow: allowed.join(', ') } : {};
}

/** What a client is told of a failure nobody foresaw: an id to find it in the log, nothing else. */
export function internalError(errorId: string): OciError {
  return new OciError('INTERNAL', `internal error ${errorId}; the server's log says more under this id`);
}
