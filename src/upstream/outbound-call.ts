// One small request to a service that is no registry: an identity provider, a webhook. It passes the guard, the egress policy and the checked
// address like everything that leaves, carries what its caller gives it to that one URL, and never follows a redirect: an answer of 3xx is
// handed back as it is. security.md rows SEC-D (OIDC issuer and keys, webhook).

import type { Clock } from '../lib/clock.ts';
import { classifyAddress } from './address.ts';
import { readWhole } from './body.ts';
import { startDeadline } from './deadline.ts';
import { isLocalName } from './domain.ts';
import { bareHost, type Source } from './source.ts';
import type { Transport } from './transport.ts';
import { UpstreamError } from './verdict.ts';

/** What the operator wrote down: the service, and how far its requests may reach. */
export interface OutboundTarget {
  /** For logs and limits, e.g. `oidc corp`. */
  readonly id: string;
  /** The address the operator typed. */
  readonly url: string;
  /** It may be, and its names may lead to, private and loopback addresses. Without it not even a typed one is dialled. */
  readonly allowPrivate?: boolean;
  readonly tls?: { readonly ca?: string; readonly insecure: boolean };
  readonly proxy?: string;
}

export interface CallRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export interface CallAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** Any status is an answer. Throws UpstreamError: `too-large`, `timeout`, `aborted`, and what the way there throws. */
export type OutboundCall = (target: OutboundTarget, request: CallRequest) => Promise<CallAnswer>;

export function createOutboundCall(parts: { clock: Clock; transport: Transport; closing: AbortSignal }): OutboundCall {
  return async (target, { url, method, headers = {}, body, timeoutMs, maxBytes, signal }) => {
    const to = URL.parse(url);
    if (to === null || (to.protocol !== 'https:' && to.protocol !== 'http:') || to.username !== '' || to.password !== '')
      throw new UpstreamError('bad-answer', { detail: 'what is to be called is no http or https URL without a login' });
    to.hash = '';
    requireReach(target, to);
    const source: Source = { registry: '', trust: 'digest-only', priority: 0, realms: [], ...target };
    const deadline = startDeadline({ clock: parts.clock, timeoutMs, parents: [parts.closing, signal] });
    try {
      const hop = await parts.transport.exchange({
        source,
        url: to,
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        signal: deadline.signal,
      });
      return { status: hop.status, headers: hop.headers, bytes: await readWhole(hop, maxBytes) };
    } finally {
      deadline.release();
    }
  };
}

/** A service's address may have come by the admin API: being typed is no permission, as it is for a source of the config file. */
export function requireReach(target: Pick<OutboundTarget, 'allowPrivate'>, url: URL): void {
  const host = bareHost(url);
  const kind = classifyAddress(host) ?? (isLocalName(host) ? 'private' : 'public');
  if (kind === 'public' || (kind !== 'forbidden' && target.allowPrivate === true)) return;
  const hint = kind === 'forbidden' ? 'never dialled' : 'not dialled unless allow_private is set';
  throw new UpstreamError('private-address', { detail: `${host} is a ${kind} address: ${hint}`, origin: url.origin });
}
