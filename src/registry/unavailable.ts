// The answer when no source gave the content: one line a person can read, saying what each source did.

import { OciError } from '../oci/errors.ts';
import type { MirrorTarget } from './mirror-target.ts';
import { type Attempt, describeAttempts } from './trail.ts';

/** UNAVAILABLE; DENIED when an authority refused and nobody else has it, or when our own egress policy forbids every source. */
export function unavailable(target: MirrorTarget, attempts: readonly Attempt[]): OciError {
  const line = describeAttempts(attempts);
  const { registry, repository } = target.upstream;
  const isRefused =
    attempts.length > 0 &&
    attempts.every((attempt) => attempt.verdict === 'denied' || attempt.verdict === 'unauthorized' || attempt.verdict === 'not-found');
  if (attempts.length > 0 && attempts.every((attempt) => attempt.verdict === 'egress-denied'))
    return new OciError('DENIED', `egress policy: ${line}`, { detail: { attempts } });
  if (isRefused)
    return new OciError('DENIED', `${registry} refuses ${repository}: it does not exist there or needs credentials (${line})`, {
      detail: { attempts },
    });
  return new OciError('UNAVAILABLE', `${registry} cannot be reached and this is not cached: ${line}`, {
    detail: { attempts },
    retryAfterMs: 5000,
  });
}
