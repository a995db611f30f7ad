// The front door of this room: asks one source for one thing, and says in one coded error what it did instead. It must never choose between
// sources, retry on another one, or believe content it could check. design section 7; wire.md 2.2 to 2.6.

import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { parseRepositoryName, parseTag } from '../oci/reference.ts';
import { createAuthorizer } from './authorize.ts';
import { type BlobAnswer, placeBlob, streamBlob } from './blob.ts';
import { contentLength, readError } from './body.ts';
import { classifyStatus } from './classify.ts';
import { type Deadline, startDeadline } from './deadline.ts';
import { createDownload, type Download } from './download.ts';
import { createGuard, type Egress, type Resolve } from './guard.ts';
import { createHostGate } from './host-gate.ts';
import { type ReferrersPage, readReferrersPage, readTagPage, type TagPage } from './listing.ts';
import { type AskKind, createLoginBook, type LoginBook } from './logins.ts';
import { type ManifestAnswer, type ManifestHead, manifestAccept, readManifest, readManifestHead } from './manifest.ts';
import { createOutboundCall, type OutboundCall } from './outbound-call.ts';
import { createPace } from './pace.ts';
import type { Quota } from './quota.ts';
import { createReach, type ReachFor } from './reach.ts';
import { createSessionPool } from './sessions.ts';
import { createSocksBridge } from './socks-bridge.ts';
import type { Source } from './source.ts';
import { createSyslogSend, type SyslogSend } from './syslog.ts';
import { createTokenStore } from './token.ts';
import { createTransport, type Hop } from './transport.ts';
import { type UpstreamLimits, upstreamLimitDefaults } from './upstream-limits.ts';
import { UpstreamError, type Verdict } from './verdict.ts';

/** `timeoutMs` covers the whole call, body included. */
export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface UpstreamClient {
  /** Fields the source does not tell are absent. distribution-spec end-3. */
  headManifest(source: Source, repository: string, reference: string, options: CallOptions): Promise<ManifestHead>;
  /**
   * The manifest of a tag or digest, byte for byte, its digest computed from the bytes. `wrong-digest` when that is not the one asked for or
   * the one announced. `maxBytes` is capped at the client's own limit (4 MiB).
   */
  getManifest(
    source: Source,
    repository: string,
    reference: string,
    options: CallOptions & { readonly maxBytes?: number },
  ): Promise<ManifestAnswer>;
  headBlob(source: Source, repository: string, digest: Digest, options: CallOptions): Promise<{ readonly sizeBytes?: number }>;
  /**
   * A blob from `offset` (bytes) on. `firstByteTimeoutMs` ends at the answer's headers, `idleTimeoutMs` guards every wait after. The digest
   * is not checked here. An offset at or behind the end is `bad-range`.
   */
  getBlob(source: Source, repository: string, digest: Digest, options: BlobOptions): Promise<BlobAnswer>;
  /** `undefined` when the source has no referrers API; the tag schema is the caller's business. */
  getReferrers(
    source: Source,
    repository: string,
    digest: Digest,
    options: CallOptions & { readonly artifactType?: string; readonly next?: string },
  ): Promise<ReferrersPage | undefined>;
  listTags(
    source: Source,
    repository: string,
    options: CallOptions & { readonly n?: number; readonly last?: string; readonly next?: string },
  ): Promise<TagPage>;
  /** How far one gets with a source: name, connection, TLS, `/v2/`. Throws nothing that the source does. */
  readonly reach: ReachFor;
  /** A small file that is no content of a registry. */
  readonly download: Download;
  /** A small request to a service that is no registry. */
  readonly call: OutboundCall;
  /** Messages to a syslog server. */
  readonly syslog: SyslogSend;
  /** Aborts what runs and closes the pools. */
  close(): void;
}

export interface BlobOptions {
  readonly offset: number;
  readonly firstByteTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly expectedSizeBytes?: number;
  readonly signal?: AbortSignal;
  /** The blob's own address, in place of the one below the source's repository. */
  readonly at?: string;
}

/** Hears what the client sees and its callers do not: health is one. */
export interface UpstreamObserver {
  /** An answer's headers are there, whatever the status. */
  answered(sourceId: string, answer: SeenAnswer): void;
  /** A body, or the part of it that was read, is through. `ms` is the time spent waiting for the source, not for the reader. */
  transferred(sourceId: string, transfer: { readonly bytes: number; readonly ms: number }): void;
}

export interface SeenAnswer {
  readonly kind: AskKind;
  readonly status: number;
  /** From the call to the headers, logins and redirects included. */
  readonly firstByteMs: number;
  readonly finalOrigin: string;
  readonly credentialId: string;
  readonly quota?: Quota;
}

interface Ask {
  readonly source: Source;
  readonly repository: string;
  readonly path: string;
  readonly method: 'GET' | 'HEAD';
  readonly kind: AskKind;
  readonly headers?: Readonly<Record<string, string>>;
  readonly at?: string;
}

/**
 * All methods throw UpstreamError only. `version` goes into the User-Agent; `resolve` replaces the system's name resolution; `egress` is
 * asked before every hop; `logins` is given where somebody else reads it, too (health, for quotas).
 */
export function createUpstreamClient(options: {
  clock: Clock;
  log: Log;
  version: string;
  resolve?: Resolve;
  egress?: Egress;
  logins?: LoginBook;
  observer?: UpstreamObserver;
  limits?: Partial<UpstreamLimits>;
}): UpstreamClient {
  const { clock, log } = options;
  const limits: UpstreamLimits = { ...upstreamLimitDefaults, ...options.limits };
  const closing = new AbortController();
  const sessions = createSessionPool({ socks: createSocksBridge({ timeoutMs: 10_000 }) });
  const guard = createGuard({
    clock,
    limits,
    resolve: options.resolve,
    ...(options.egress === undefined ? {} : { egress: options.egress }),
  });
  const gate = createHostGate({ places: limits.connectionsPerHost, queueMax: limits.waitingPerHost, clock });
  const pace = createPace({ clock });
  const transport = createTransport({ clock, limits, guard, gate, pace, sessions, userAgent: `breakwater/${options.version}` });
  const tokens = createTokenStore({ clock, limits, transport, closing: closing.signal });
  const logins = options.logins ?? createLoginBook({ clock });
  const authorizer = createAuthorizer({ transport, limits, tokens, logins, gate, clock });

  /** Runs one call inside its deadline; a warning is logged for what looks like an attack or a broken source. */
  const within = async <T>(ask: Ask, call: CallOptions, read: (hop: Hop, deadline: Deadline) => Promise<T>): Promise<T> => {
    const deadline = startDeadline({ clock, timeoutMs: call.timeoutMs, parents: [call.signal, closing.signal] });
    try {
      const startMs = clock.monotonicMs();
      const { hop, credentialId, quota } = await authorizer.send({ headers: {}, ...ask, signal: deadline.signal });
      options.observer?.answered(ask.source.id, {
        kind: ask.kind,
        status: hop.status,
        firstByteMs: clock.monotonicMs() - startMs,
        finalOrigin: hop.url.origin,
        credentialId,
        ...(quota === undefined ? {} : { quota }),
      });
      return await read(hop, deadline);
    } catch (error) {
      deadline.release();
      if (error instanceof UpstreamError && isSuspicious(error.verdict)) {
        log.warn('upstream.refused', {
          source: ask.source.id,
          repository: ask.repository,
          verdict: error.verdict,
          detail: error.detail,
          origin: error.origin,
        });
      }
      throw error;
    }
  };

  /** Like `within`, for an answer that is read inside the call. Other statuses than those given are thrown. */
  const ask = <T>(what: Ask, call: CallOptions, read: (hop: Hop) => Promise<T>, accepted: readonly number[] = [200]): Promise<T> =>
    within(what, call, async (hop, deadline) => {
      if (!accepted.includes(hop.status)) throw await failedAnswer(hop, what, deadline.signal);
      const result = await read(hop);
      deadline.release();
      return result;
    });

  const failedAnswer = async (hop: Hop, what: Ask, signal: AbortSignal): Promise<UpstreamError> => {
    const body = await readError(hop, { maxBytes: limits.errorMaxBytes, signal });
    return classifyStatus(
      { status: hop.status, headers: hop.headers, body, origin: hop.url.origin },
      { trust: what.source.trust, nowMs: clock.nowMs() },
    );
  };

  return {
    headManifest: (source, repository, reference, call) =>
      ask(
        {
          source,
          repository: checkedName(repository),
          path: manifestPath(reference),
          method: 'HEAD',
          kind: 'head',
          headers: { accept: manifestAccept },
        },
        call,
        async (hop) => readManifestHead(hop),
      ),

    getManifest: (source, repository, reference, call) =>
      ask(
        {
          source,
          repository: checkedName(repository),
          path: manifestPath(reference),
          method: 'GET',
          kind: 'manifest',
          headers: { accept: manifestAccept },
        },
        call,
        (hop) =>
          readManifest(hop, {
            wanted: parseDigest(reference),
            maxBytes: Math.min(call.maxBytes ?? limits.manifestMaxBytes, limits.manifestMaxBytes),
          }),
      ),

    headBlob: (source, repository, digest, call) =>
      ask({ source, repository: checkedName(repository), path: `/blobs/${digest}`, method: 'HEAD', kind: 'blob' }, call, async (hop) => {
        hop.finish();
        const sizeBytes = contentLength(hop.headers);
        return sizeBytes === undefined ? {} : { sizeBytes };
      }),

    getBlob: (source, repository, digest, call) => {
      const headers = call.offset > 0 ? { range: `bytes=${call.offset}-` } : {};
      const place = call.at === undefined ? {} : { at: call.at };
      const what: Ask = {
        source,
        repository: checkedName(repository),
        path: `/blobs/${digest}`,
        method: 'GET',
        kind: 'blob',
        headers,
        ...place,
      };
      return within(
        what,
        { timeoutMs: call.firstByteTimeoutMs, ...(call.signal === undefined ? {} : { signal: call.signal }) },
        async (hop, deadline) => {
          if (hop.status !== 200 && hop.status !== 206) throw await failedAnswer(hop, what, deadline.signal);
          deadline.disarm();
          const discard = (): void => {
            hop.abort(new UpstreamError('aborted', { detail: 'the body is not wanted' }));
            deadline.release();
          };
          try {
            const place = placeBlob(hop, { offset: call.offset, expectedSizeBytes: call.expectedSizeBytes });
            const body = streamBlob({
              hop,
              clock,
              length: place.length,
              idleTimeoutMs: call.idleTimeoutMs,
              slow: (bytes) => pace.takeBytes(source, bytes, deadline.signal),
              onEnd: (transfer) => {
                deadline.release();
                options.observer?.transferred(source.id, transfer);
              },
            });
            return {
              startOffset: place.startOffset,
              ...(place.totalBytes === undefined ? {} : { totalBytes: place.totalBytes }),
              body,
              finalOrigin: hop.url.origin,
              discard,
            };
          } catch (error) {
            discard();
            throw error;
          }
        },
      );
    },

    getReferrers: (source, repository, digest, call) => {
      const query = call.next ?? (call.artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType: call.artifactType })}`);
      const what: Ask = {
        source,
        repository: checkedName(repository),
        path: `/referrers/${digest}${query}`,
        method: 'GET',
        kind: 'head',
        headers: { accept: manifestAccept },
      };
      return within(what, call, async (hop, deadline) => {
        if (hop.status !== 200) {
          const error = await failedAnswer(hop, what, deadline.signal);
          // Registries without the API answer 404, or that the path or the method makes no sense to them.
          if (error.verdict !== 'not-found' && hop.status !== 400 && hop.status !== 405 && hop.status !== 501) throw error;
          deadline.release();
          return undefined;
        }
        const page = await readReferrersPage(hop, limits);
        deadline.release();
        return page;
      });
    },

    listTags: (source, repository, call) => {
      const query = new URLSearchParams({
        ...(call.n === undefined ? {} : { n: String(call.n) }),
        ...(call.last === undefined ? {} : { last: call.last }),
      }).toString();
      const path = `/tags/list${call.next ?? (query === '' ? '' : `?${query}`)}`;
      return ask(
        { source, repository: checkedName(repository), path, method: 'GET', kind: 'head', headers: { accept: 'application/json' } },
        call,
        (hop) => readTagPage(hop, limits),
      );
    },

    reach: createReach({ clock, limits, guard, transport, closing: closing.signal }),

    download: createDownload({ clock, limits, transport, closing: closing.signal }),

    call: createOutboundCall({ clock, transport, closing: closing.signal }),

    syslog: createSyslogSend({ clock, guard, closing: closing.signal }),

    close: () => {
      closing.abort();
      sessions.close();
    },
  };
}

function isSuspicious(verdict: Verdict): boolean {
  return (
    verdict === 'foreign-realm' ||
    verdict === 'private-address' ||
    verdict === 'redirect-refused' ||
    verdict === 'wrong-digest' ||
    verdict === 'tls'
  );
}

/** The names come from parsers of this program; what does not match here is a bug of the caller, and must not become a URL. */
function checkedName(repository: string): string {
  if (parseRepositoryName(repository) === undefined) throw new TypeError('not a repository name');
  return repository;
}

function manifestPath(reference: string): string {
  if (parseDigest(reference) === undefined && parseTag(reference) === undefined) throw new TypeError('neither a tag nor a digest');
  return `/manifests/${reference}`;
}
