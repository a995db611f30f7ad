// A circuit breaker as a pure state machine: closed -> open (5 s, doubling to 5 min) -> one trial -> closed or open again. It must never count
// the failures of requests that were already under way when it opened: a hundred of them would double the wait a hundred times.
// faults F31, F32; faults.md 6.3.

export interface Breaker {
  readonly kind: 'closed' | 'open';
  /** Failures in a row since the last success. */
  readonly failures: number;
  /** While open: no request before this time (monotonic milliseconds), then one trial. */
  readonly openUntilMs: number;
  /** How long it was opened for last; 0 when it has recovered. */
  readonly waitMs: number;
  /** A trial is under way until this time; then another may start. */
  readonly trialUntilMs: number;
}

const breakerNumbers = { waitMinMs: 5_000, waitMaxMs: 300_000, failuresMax: 3, trialLeaseMs: 30_000 } as const;

export const closedBreaker: Breaker = { kind: 'closed', failures: 0, openUntilMs: 0, waitMs: 0, trialUntilMs: 0 };

export function admissionOf(breaker: Breaker, nowMs: number): 'yes' | 'trial' | 'no' {
  if (breaker.kind === 'closed') return 'yes';
  return nowMs >= breaker.openUntilMs && nowMs >= breaker.trialUntilMs ? 'trial' : 'no';
}

export function beginTrial(breaker: Breaker, nowMs: number): Breaker {
  return { ...breaker, trialUntilMs: nowMs + breakerNumbers.trialLeaseMs };
}

/** The trial ended without a word on the source (its caller left). */
export function releaseTrial(breaker: Breaker): Breaker {
  return { ...breaker, trialUntilMs: 0 };
}

export function afterSuccess(breaker: Breaker, nowMs: number): Breaker {
  // A long download that ends well says nothing on new connections, so only a trial closes an open breaker.
  return breaker.kind === 'open' && !isOnTrial(breaker, nowMs) ? breaker : closedBreaker;
}

/** `isDown`: no connection could be made, one is enough; otherwise three in a row open it. */
export function afterFailure(breaker: Breaker, isDown: boolean, nowMs: number): Breaker {
  const failures = breaker.failures + 1;
  if (breaker.kind === 'open') return isOnTrial(breaker, nowMs) ? open(breaker, failures, nowMs) : { ...breaker, failures };
  return isDown || failures >= breakerNumbers.failuresMax ? open(breaker, failures, nowMs) : { ...breaker, failures };
}

function isOnTrial(breaker: Breaker, nowMs: number): boolean {
  return nowMs < breaker.trialUntilMs;
}

function open(breaker: Breaker, failures: number, nowMs: number): Breaker {
  const waitMs = Math.min(Math.max(breaker.waitMs * 2, breakerNumbers.waitMinMs), breakerNumbers.waitMaxMs);
  return { kind: 'open', failures, openUntilMs: nowMs + waitMs, waitMs, trialUntilMs: 0 };
}
