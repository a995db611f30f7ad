// The public keys of a CI's issuer: from the rule itself, from an address, or from the issuer's discovery document (OpenID Connect Discovery 1.0
// section 4). They are fetched through the outbound guard, kept for ten minutes, and while the issuer does not answer for a day more. A key id
// nobody knows has them fetched again, at most once a minute: a stranger's token costs the issuer nothing.

import { createHash } from 'node:crypto';
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { WorkloadKeys } from '../db/workload-rules.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import { createSingleFlight } from '../lib/single-flight.ts';
import { OciError } from '../oci/errors.ts';
import type { OutboundCall } from '../upstream/outbound-call.ts';

const freshMs = 10 * 60 * 1000;
const usableMs = 24 * 60 * 60 * 1000;
const refetchMs = 60 * 1000;
/** After a failure the issuer rests. */
const restMs = 10 * 1000;
const timeoutMs = 5000;
const documentMaxBytes = 256 * 1024;
const keysMax = 100;
const issuersMax = 500;

export interface KeyOwner {
  readonly issuer: string;
  readonly keys: WorkloadKeys;
}

export interface WorkloadKeySets {
  /** Picks the key for a token. Throws UNAVAILABLE, saying why, when the issuer's keys cannot be had. */
  keysFor(owner: KeyOwner, wanted: { readonly kid: string | undefined }): Promise<JWTVerifyGetKey>;
}

interface Kept {
  readonly kids: ReadonlySet<string>;
  readonly find: JWTVerifyGetKey;
  readonly fetchedAtMs: number;
}

export function createWorkloadKeySets({ call, clock }: { call: OutboundCall; clock: Clock }): WorkloadKeySets {
  const kept = createLru<string, Kept>({ maxEntries: issuersMax });
  const failed = createLru<string, { readonly untilMs: number; readonly error: OciError }>({ maxEntries: issuersMax });
  const flights = createSingleFlight<Kept>();

  const fetchKeys = async (owner: KeyOwner): Promise<Kept> => {
    const url = owner.keys.jwksUrl ?? (await discover(owner));
    return { ...readKeySet(await read(owner, url)), fetchedAtMs: clock.monotonicMs() };
  };
  const discover = async (owner: KeyOwner): Promise<string> => {
    const document = await read(owner, `${owner.issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`);
    const found = document as { issuer?: unknown; jwks_uri?: unknown } | null;
    if (found?.issuer !== owner.issuer) throw unavailable(owner, 'its discovery document is of another issuer');
    if (typeof found.jwks_uri !== 'string' || !isKeyUrl(found.jwks_uri, owner))
      throw unavailable(owner, 'its discovery document names no https address of its keys');
    return found.jwks_uri;
  };
  const read = async ({ issuer, keys }: KeyOwner, url: string): Promise<unknown> => {
    const { status, bytes } = await call(
      {
        id: `workload ${new URL(url).origin}`,
        url,
        allowPrivate: keys.allowPrivate,
        ...(keys.ca === undefined ? {} : { tls: { ca: keys.ca, insecure: false } }),
      },
      { url, method: 'GET', headers: { accept: 'application/json' }, timeoutMs, maxBytes: documentMaxBytes },
    );
    if (status !== 200) throw unavailable({ issuer, keys }, `${new URL(url).host} answers with status ${status}`);
    return JSON.parse(new TextDecoder().decode(bytes));
  };
  const refresh = async (key: string, owner: KeyOwner): Promise<Kept> => {
    const rests = failed.get(key);
    if (rests !== undefined && rests.untilMs > clock.monotonicMs()) throw rests.error;
    return flights.run(key, async () => {
      try {
        const fetched = await fetchKeys(owner);
        kept.set(key, fetched);
        failed.delete(key);
        return fetched;
      } catch (cause) {
        const error = cause instanceof OciError ? cause : unavailable(owner, cause instanceof Error ? cause.message : 'no answer', cause);
        failed.set(key, { untilMs: clock.monotonicMs() + restMs, error });
        throw error;
      }
    });
  };

  return {
    keysFor: async (owner, { kid }) => {
      const key = createHash('sha256')
        .update(JSON.stringify([owner.issuer, owner.keys]))
        .digest('hex');
      const known = kept.get(key);
      if (owner.keys.jwks !== undefined) {
        const own = known ?? { ...readKeySet(JSON.parse(owner.keys.jwks)), fetchedAtMs: clock.monotonicMs() };
        kept.set(key, own);
        return own.find;
      }
      const ageMs = known === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() - known.fetchedAtMs;
      const isKnownKey = known !== undefined && (kid === undefined || known.kids.has(kid));
      if (known !== undefined && ageMs < (isKnownKey ? freshMs : refetchMs)) return known.find;
      try {
        return (await refresh(key, owner)).find;
      } catch (error) {
        if (known !== undefined && ageMs < usableMs) return known.find;
        throw error;
      }
    },
  };
}

/** Keys of a JSON Web Key Set (RFC 7517). Throws for what is none, and for symmetric or private ones. */
export function readKeySet(document: unknown): { readonly kids: ReadonlySet<string>; readonly find: JWTVerifyGetKey } {
  const keys = typeof document === 'object' && document !== null && 'keys' in document ? document.keys : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > keysMax) throw new Error(`expected a key set of 1 to ${keysMax} keys`);
  const usable = keys.filter(
    (key: unknown): key is { kty: string; kid?: unknown } =>
      typeof key === 'object' && key !== null && 'kty' in key && typeof key.kty === 'string' && ['RSA', 'EC', 'OKP'].includes(key.kty),
  );
  if (usable.length === 0) throw new Error('none of the keys is a public one');
  if (usable.some((key) => 'd' in key)) throw new Error('there are private keys in the key set');
  return {
    kids: new Set(usable.flatMap((key) => (typeof key.kid === 'string' ? [key.kid] : []))),
    find: createLocalJWKSet({ keys: usable } as JSONWebKeySet),
  };
}

/** Keys come by https; by http only from an issuer that itself is http, which only `allow_private` lets through. */
function isKeyUrl(text: string, { issuer, keys }: KeyOwner): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && issuer.startsWith('http:') && keys.allowPrivate);
}

function unavailable(owner: KeyOwner, reason: string, cause?: unknown): OciError {
  return new OciError('UNAVAILABLE', `the keys of ${owner.issuer} cannot be had: ${reason}`, { cause, retryAfterMs: restMs });
}
