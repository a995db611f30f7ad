// One file from one URL, whole and small: what the server fetches that is no content of a registry (signed presets). It goes through the guard,
// the egress policy and the redirect rules like everything else, and carries no login.

import type { Clock } from '../lib/clock.ts';
import { readError, readWhole } from './body.ts';
import { startDeadline } from './deadline.ts';
import { follow } from './redirect.ts';
import type { Source } from './source.ts';
import type { Transport } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError } from './verdict.ts';

/** Throws UpstreamError: `bad-answer` for another status than 200, `too-large`, and what the way there throws. */
export type Download = (url: string, options: { readonly timeoutMs: number; readonly maxBytes: number }) => Promise<Uint8Array>;

export function createDownload(parts: { clock: Clock; limits: UpstreamLimits; transport: Transport; closing: AbortSignal }): Download {
  return async (url, { timeoutMs, maxBytes }) => {
    const target = new URL(url);
    const deadline = startDeadline({ clock: parts.clock, timeoutMs, parents: [parts.closing] });
    const source: Source = {
      id: `download ${target.origin}`,
      registry: '',
      url: target.origin,
      trust: 'digest-only',
      priority: 0,
      realms: [],
    };
    try {
      const hop = await follow(parts, {
        source,
        url: target,
        method: 'GET',
        headers: {},
        signal: deadline.signal,
        authorization: undefined,
      });
      if (hop.status === 200) return await readWhole(hop, maxBytes);
      await readError(hop, { maxBytes: parts.limits.errorMaxBytes, signal: deadline.signal });
      throw new UpstreamError('bad-answer', { detail: `status ${hop.status}`, status: hop.status, origin: hop.url.origin });
    } finally {
      deadline.release();
    }
  };
}
