// What every answer that a browser may show carries: nothing runs in it but our own files, nobody frames it, nobody keeps it. An answer that says
// something of its own (a page with its own policy) keeps it. security.md HRD-10, SEC-H04.

/** Everything there is on our own pages is a file of this server. */
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

const always: Readonly<Record<string, string>> = {
  'content-security-policy': contentPolicy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), payment=(), usb=()',
  'cache-control': 'no-store',
};
const oneYearS = 365 * 24 * 60 * 60;

/** Adds them to an answer; `isSecure`: the client came by TLS. */
export function addSecurityHeaders(response: Response, isSecure: boolean): Response {
  for (const [name, value] of Object.entries(always)) if (!response.headers.has(name)) response.headers.set(name, value);
  if (isSecure) response.headers.set('strict-transport-security', `max-age=${oneYearS}`);
  return response;
}
