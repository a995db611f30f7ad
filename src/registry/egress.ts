// The egress policy in the shapes that names and the outbound guard ask for. The rules themselves are config/egress.ts.

import { createEgressPolicy, type EgressDecision, type EgressRules } from '../config/egress.ts';
import type { Egress } from '../upstream/guard.ts';

/** `refusalOf` is for names a client asks for, `ask` for every outbound hop; both give the reason of a refusal. */
export function createEgress(rules: EgressRules): { refusalOf(registry: string): string | undefined; readonly ask: Egress } {
  const policy = createEgressPolicy(rules);
  return {
    refusalOf: (registry) => reasonOf(policy.checkRegistry(registry)),
    ask: ({ registry, proxy }, url, resolved) => {
      if (resolved !== undefined) return reasonOf(policy.checkAddresses(registry, url, resolved.addresses));
      return reasonOf(policy.check(registry, url)) ?? (proxy === undefined ? undefined : reasonOf(policy.check(registry, new URL(proxy))));
    },
  };
}

function reasonOf(decision: EgressDecision): string | undefined {
  return decision.allowed ? undefined : decision.reason;
}
