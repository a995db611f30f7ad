// Which routes a session may take only shortly after its person showed who it is (a password, or a login at the provider): what gives rights or
// secrets away, what opens the network, what cannot be undone. Keys of the policy table are named by the beginning of their paths, so that a new
// route below one of them is among them. Callers with a password or a secret of their own showed it with the request. security.md HRD-08.

import type { Caller } from '../auth/principal.ts';
import { OciError } from '../oci/errors.ts';
import { apiPrefix } from './policy.ts';

/** Paths below which every change is dangerous. */
const dangerous: readonly string[] = [
  '/users',
  '/usergroups',
  '/roles',
  '/grants',
  '/robots',
  '/projects/{project_name_or_id}/robots',
  '/projects/{project_name_or_id}/members',
  '/workload-rules',
  '/identity-providers',
  '/configurations',
  '/registries',
  '/sources',
  '/signing-keys',
  '/audit-forwarders',
  '/sessions/{session_id}',
];
/** One route each. */
const single: ReadonlySet<string> = new Set([`DELETE ${apiPrefix}/projects/{project_name_or_id}`]);
/** Below them, and harmless: ending one's own sessions, and tries that only ask. */
const harmless: readonly RegExp[] = [/^DELETE \S+\/users\/current\/sessions/, /^POST \S+\/(?:ping|test)$/];
const safe = /^(?:GET|HEAD) /;

/** Whether the route of this key of the policy table asks a session for a recent proof. */
export function needsStepUp(key: string): boolean {
  if (safe.test(key) || harmless.some((one) => one.test(key))) return false;
  if (single.has(key)) return true;
  const path = key.slice(key.indexOf(' ') + 1 + apiPrefix.length);
  return dangerous.some((start) => path === start || path.startsWith(`${start}/`));
}

/** DENIED with the detail `step-up-required` when the caller is a session whose last proof is too old. */
export function requireStepUp(caller: Caller, isProved: (provedAtMs: number) => boolean): void {
  if (caller.session === undefined || isProved(caller.session.provedAtMs)) return;
  throw new OciError(
    'DENIED',
    'show who you are again: POST /api/v2.0/sessions/current/step-up with your password, or a new login at your provider',
    {
      detail: { reason: 'step-up-required' },
    },
  );
}
