// How far one gets with a source, step by step: name, connection, TLS, `/v2/`. For probes; it asks for no content, sends no login and never
// throws what a source does. sources.md 3.4, L0 and L1; faults F1 to F5, F19, F23.

import { connect, type Socket } from 'node:net';
import { rootCertificates, type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import { classifyAddress } from './address.ts';
import { readError } from './body.ts';
import { parseChallenges } from './challenge.ts';
import { classifyFailure, classifyStatus, isHtml } from './classify.ts';
import { startDeadline } from './deadline.ts';
import { effectivePort, type Guard } from './guard.ts';
import { judgeRealm } from './realm.ts';
import { follow } from './redirect.ts';
import { bareHost, type Source } from './source.ts';
import type { Transport } from './transport.ts';
import type { UpstreamLimits } from './upstream-limits.ts';
import { UpstreamError, type Verdict } from './verdict.ts';

export interface ReachStep {
  readonly name: 'dns' | 'connect' | 'tls' | 'ping';
  /** `skipped`: not needed here (no TLS, or a proxy does it). */
  readonly verdict: Verdict | 'ok' | 'skipped';
  readonly ms: number;
  readonly detail?: string;
}
export interface Reach {
  /** In order; nothing comes after a step that failed. */
  readonly steps: readonly ReachStep[];
  /** Of the source's own certificate (wall clock); absent without TLS of our own. */
  readonly certificateExpiresAtMs?: number;
}
/** `timeoutMs` covers all steps. */
export type ReachFor = (source: Source, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }) => Promise<Reach>;

export function createReach(parts: {
  clock: Clock;
  limits: UpstreamLimits;
  guard: Guard;
  transport: Transport;
  closing: AbortSignal;
}): ReachFor {
  const { clock, limits, guard } = parts;
  return async (source, { timeoutMs, signal }) => {
    const deadline = startDeadline({ clock, timeoutMs, parents: [signal, parts.closing] });
    const steps: ReachStep[] = [];
    let certificateExpiresAtMs: number | undefined;
    const take = async <T>(name: ReachStep['name'], run: () => Promise<T>): Promise<T> => {
      const startMs = clock.monotonicMs();
      const elapsed = (): number => Math.round((clock.monotonicMs() - startMs) * 10) / 10;
      try {
        const result = await run();
        steps.push({ name, verdict: 'ok', ms: elapsed() });
        return result;
      } catch (error) {
        const coded = error instanceof UpstreamError ? error : classifyFailure(error, 'answer', source.url);
        // Some mirrors have repositories and no /v2/ itself: what they are shows with content only.
        const isUntold = name === 'ping' && coded.verdict === 'not-found';
        steps.push(
          isUntold
            ? { name, verdict: 'skipped', ms: elapsed(), detail: 'has no /v2/ of its own (404)' }
            : { name, verdict: coded.verdict, ms: elapsed(), detail: coded.detail },
        );
        throw coded;
      }
    };
    const skip = (name: ReachStep['name']): void => void steps.push({ name, verdict: 'skipped', ms: 0 });
    try {
      const url = pingUrl(source);
      const addresses = await take('dns', () => guard.check(source, url, deadline.signal));
      const [address] = addresses ?? [];
      if (address === undefined) {
        skip('connect');
        skip('tls');
      } else {
        await take('connect', () => tryConnection(address, effectivePort(url), deadline.signal));
        if (url.protocol === 'https:') {
          certificateExpiresAtMs = await take('tls', () => tryTls(source, url, address, deadline.signal));
        } else skip('tls');
      }
      await take('ping', () => ping(url, source, deadline.signal));
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
    } finally {
      deadline.release();
    }
    return { steps, ...(certificateExpiresAtMs === undefined ? {} : { certificateExpiresAtMs }) };
  };

  /** 200, or a 401 whose challenge can be answered. distribution-spec end-1. */
  async function ping(url: URL, source: Source, signal: AbortSignal): Promise<void> {
    const headers = { accept: 'application/json' };
    const hop = await follow(parts, { source, url, method: 'GET', headers, signal, authorization: undefined });
    const body = await readError(hop, { maxBytes: limits.errorMaxBytes, signal });
    const { origin } = hop.url;
    if (isHtml(hop.headers.get('content-type'), body))
      throw new UpstreamError('html', { detail: `answers /v2/ with status ${hop.status} and a page`, status: hop.status, origin });
    if (hop.status === 200) return;
    const answer = { status: hop.status, headers: hop.headers, body, origin };
    if (hop.status !== 401) throw classifyStatus(answer, { trust: 'digest-only', nowMs: clock.nowMs() });
    const challenges = parseChallenges(hop.headers.get('www-authenticate') ?? '');
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer === undefined) {
      if (challenges.some((challenge) => challenge.scheme === 'basic')) return;
      throw new UpstreamError('unauthorized', { detail: 'answered 401 without a usable challenge', status: 401, origin });
    }
    const judged = judgeRealm(source, bearer.parameters.get('realm') ?? '');
    if (judged.kind === 'refused') throw new UpstreamError('foreign-realm', { detail: judged.reason, status: 401, origin });
  }
}

/** Where `/v2/` of a source is: before its path prefix, or behind one that starts with `/v2/`. */
function pingUrl(source: Source): URL {
  const url = new URL(source.url);
  const prefix = url.pathname.replace(/\/+$/, '');
  return new URL(`${url.origin}${prefix === '/v2' || prefix.startsWith('/v2/') ? '' : prefix}/v2/`);
}

function tryConnection(address: string, port: number, signal: AbortSignal): Promise<void> {
  return opened(connect({ host: address, port }), 'connect', signal, () => undefined);
}

/** Expiry of the certificate; rejects when it does not hold for this source. */
function tryTls(source: Source, url: URL, address: string, signal: AbortSignal): Promise<number | undefined> {
  const host = bareHost(url);
  const socket = tlsConnect({
    host: address,
    port: effectivePort(url),
    rejectUnauthorized: source.tls?.insecure !== true,
    ...(classifyAddress(host) === undefined ? { servername: host } : {}),
    ...(source.tls?.ca === undefined ? {} : { ca: [source.tls.ca, ...rootCertificates] }),
  });
  return opened(socket, 'secureConnect', signal, () => expiryOf(socket));
}

function expiryOf(socket: TLSSocket): number | undefined {
  const atMs = Date.parse(socket.getPeerCertificate().valid_to ?? '');
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** Waits for the event, reads, and closes the socket whatever happened. */
function opened<T>(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal, read: () => T): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', reject);
    socket.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })));
    socket.once(event, () => resolve(read()));
  }).finally(() => {
    socket.on('error', () => undefined);
    socket.destroy();
  });
}
