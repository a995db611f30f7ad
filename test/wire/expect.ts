// Assertions of the wire suite. Each throws a WireFailure that says the request, what was expected and what came.
// They must never send anything.

import type { WireResponse } from './client.ts';
import { WireFailure } from './wire-case.ts';

export interface CodedError {
  readonly code: string;
  readonly message: string;
}

/** Throws a WireFailure when the condition does not hold. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new WireFailure(message);
}

/** The answer has one of these statuses. */
export function expectStatus(response: WireResponse, ...statuses: readonly number[]): void {
  if (statuses.includes(response.status)) return;
  throw new WireFailure(`${response.title}, expected ${statuses.join(' or ')}${excerpt(response)}`);
}

/** The header is there exactly once and has this value. */
export function expectHeader(response: WireResponse, name: string, expected: string | RegExp): void {
  const values = response.headerAll(name);
  const value = values[0];
  check(values.length < 2, `${response.title}: ${name} came ${values.length} times`);
  check(value !== undefined, `${response.title}: no ${name} header`);
  const equal = typeof expected === 'string' ? value === expected : expected.test(value);
  check(equal, `${response.title}: ${name} is ${JSON.stringify(value)}, expected ${String(expected)}`);
}

/** The header is there; gives its value. */
export function requireHeader(response: WireResponse, name: string): string {
  const value = response.header(name);
  check(value !== undefined && value !== '', `${response.title}: no ${name} header`);
  return value;
}

/** The body is exactly these bytes, and Content-Length, when sent, counts them. */
export function expectBytes(response: WireResponse, bytes: Uint8Array): void {
  const equal = Buffer.compare(response.body, bytes) === 0;
  check(equal, `${response.title}: the body (${response.body.length} bytes) is not the expected ${bytes.length} bytes`);
  const length = response.header('content-length');
  check(length === undefined || length === String(bytes.length), `${response.title}: Content-Length is ${String(length)}`);
}

/** No body, and a Content-Length of 0 says so (a client on a kept connection would otherwise wait). */
export function expectEmpty(response: WireResponse): void {
  check(response.body.length === 0, `${response.title}: a body of ${response.body.length} bytes, expected none`);
  expectHeader(response, 'Content-Length', '0');
}

/** The body is a JSON object; gives it. */
export function expectJson(response: WireResponse): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(response.body.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below.
  }
  throw new WireFailure(`${response.title}: the body is no JSON object${excerpt(response)}`);
}

/** A list of strings in a JSON answer. */
export function expectStrings(response: WireResponse, member: string): string[] {
  const value = expectJson(response)[member];
  check(Array.isArray(value), `${response.title}: "${member}" is no list${excerpt(response)}`);
  return value.map((item: unknown) => {
    check(typeof item === 'string', `${response.title}: "${member}" holds something that is no string`);
    return item;
  });
}

/**
 * A coded error: one of the statuses, a JSON content type, and `{"errors":[{code,message,detail?}, ...]}` whose first code is one of `codes`
 * (distribution-spec "Error Codes"). Gives the first error.
 */
export function expectError(response: WireResponse, statuses: number | readonly number[], codes?: string | readonly string[]): CodedError {
  expectStatus(response, ...[statuses].flat());
  check(/^application\/json\b/.test(response.header('content-type') ?? ''), `${response.title}: the error is no JSON${excerpt(response)}`);
  const errors = expectJson(response)['errors'];
  check(Array.isArray(errors) && errors.length > 0, `${response.title}: no "errors" list${excerpt(response)}`);
  const first: unknown = errors[0];
  check(typeof first === 'object' && first !== null, `${response.title}: the error is no object${excerpt(response)}`);
  const code = 'code' in first ? first.code : undefined;
  const message = 'message' in first ? first.message : undefined;
  check(typeof code === 'string' && /^[A-Z][A-Z_]*$/.test(code), `${response.title}: the error has no code${excerpt(response)}`);
  check(typeof message === 'string' && message.length > 0, `${response.title}: the error has no message${excerpt(response)}`);
  const wanted = codes === undefined ? undefined : [codes].flat();
  check(wanted === undefined || wanted.includes(code), `${response.title}: code ${code}, expected ${String(wanted?.join(' or '))}`);
  return { code, message };
}

/** Two lists are the same, item by item. */
export function expectSame(title: string, actual: readonly string[], expected: readonly string[]): void {
  const same = actual.length === expected.length && actual.every((item, index) => item === expected[index]);
  check(same, `${title}: [${actual.join(', ')}], expected [${expected.join(', ')}]`);
}

/** The beginning of a body that is text. */
function excerpt(response: WireResponse): string {
  if (!/^(?:text\/|application\/(?:[a-z.]+\+)?json)/.test(response.header('content-type') ?? '')) return '';
  const text = response.body.subarray(0, 160).toString('utf8').trim();
  return text === '' ? '' : `; body: ${text}`;
}
