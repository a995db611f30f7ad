// A tag, its sources and what they say, on a clock that tests move: for the tests of tag-resolution.ts only.

import type { CommandArguments } from '../db/commands.ts';
import type { StoredTag } from '../db/content.ts';
import type { Project } from '../db/projects.ts';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepositoryName, requireTag } from '../oci/reference.ts';
import { createSourceHealth } from '../upstream/health.ts';
import type { Source } from '../upstream/source.ts';
import { UpstreamError, type Verdict } from '../upstream/verdict.ts';
import { createAbsences } from './absences.ts';
import type { AlarmKind } from './alarms.ts';
import type { ManifestAnswer } from './answers.ts';
import { createHedging } from './hedging.ts';
import type { ManifestFetcher } from './manifest-fetch.ts';
import type { MirrorTarget } from './mirror-target.ts';
import { mirrorTimings } from './mirror-timings.ts';
import { createSourcePool } from './source-pool.ts';
import { createTagDrift, type TagDrift } from './tag-drift.ts';
import type { TagRules } from './tag-policies.ts';
import { createTagResolver, type TagResolver } from './tag-resolution.ts';
import { createTagWitnesses } from './tag-witnesses.ts';
import { formatTrail, parseTrail } from './trail.ts';

const tag = requireTag('v1');
const manifestOf = (text: string): ManifestAnswer => {
  const bytes = new TextEncoder().encode(text);
  return { bytes, digest: digestOf(bytes), mediaType: 'application/vnd.oci.image.manifest.v1+json' };
};
export const [one, two] = [manifestOf('one'), manifestOf('two')];
const project: Project = {
  id: 1,
  name: 'docker.io',
  kind: 'mirror',
  isPublic: true,
  registry: 'docker.io',
  allowsSparse: false,
  epoch: 0,
  ownerId: undefined,
  createdAtMs: 0,
  updatedAtMs: 0,
};
export const target: MirrorTarget = {
  project,
  name: requireRepositoryName('docker.io/library/app'),
  upstream: { registry: 'docker.io', repository: requireRepositoryName('library/app') },
};

/** What a source says to a HEAD or GET of the tag: a manifest, a failure, or nothing ever. */
type Says = ManifestAnswer | Verdict | 'silence';

interface World {
  readonly clock: FakeClock;
  readonly resolver: TagResolver;
  readonly says: Map<string, Says>;
  /** What its HEAD tells, where that is not what its GET gives. */
  readonly headSays: Map<string, Digest>;
  /** Sources that answer 405 to HEAD. */
  readonly headFails: Set<string>;
  /** `HEAD a`, `GET a`, `GET sha256:...` in order. */
  readonly asked: string[];
  /** By digest, from wherever; undefined takes for ever. */
  readonly content: Map<Digest, ManifestAnswer | OciError | undefined>;
  readonly failures: string[];
  /** Manifests of the repository beside the known one. */
  readonly held: Set<Digest>;
  /** Digests that an authority has by digest. */
  readonly atAuthority: Set<Digest>;
  readonly alarms: { readonly kind: AlarmKind; readonly fields: Readonly<Record<string, unknown>> }[];
  readonly drift: TagDrift;
  known(): StoredTag | undefined;
  /** It comes into the cache by another way than a pull. */
  store(manifest: ManifestAnswer, verifiedAtMs: number): Promise<void>;
  quarantine(name: string): void;
  /** Somebody sets the clock on the wall. */
  setWall(byMs: number): void;
  resolve(): Promise<ManifestAnswer>;
}

/** `names` in the order of rank; capital ones are authorities. */
export function world(
  names: readonly string[],
  options: { rules?: Partial<TagRules>; operators?: Readonly<Record<string, string>> } = {},
): World {
  let wallShiftMs = 0;
  const fake = createFakeClock();
  const clock: FakeClock = { ...fake, nowMs: () => fake.nowMs() + wallShiftMs };
  const health = createSourceHealth({ clock });
  const sources = names.map(
    (name, priority): Source => ({
      id: name,
      registry: 'docker.io',
      url: `http://${name.toLowerCase()}.test`,
      trust: name === name.toUpperCase() ? 'authority' : 'digest-only',
      priority,
      realms: [],
      ...(options.operators?.[name] === undefined ? {} : { operator: options.operators[name] }),
    }),
  );
  const says = new Map<string, Says>(names.map((name) => [name, one]));
  const headSays = new Map<string, Digest>();
  const headFails = new Set<string>();
  const asked: string[] = [];
  const content = new Map<Digest, ManifestAnswer | OciError | undefined>([one, two].map((manifest) => [manifest.digest, manifest]));
  let stored: StoredTag | undefined;
  const failures: string[] = [];
  const hear = async (source: Source, timeoutMs: number): Promise<ManifestAnswer> => {
    const said = says.get(source.id) ?? 'not-found';
    if (said === 'silence') {
      await clock.sleep(timeoutMs);
      throw new UpstreamError('timeout', { detail: 'scripted' });
    }
    if (typeof said === 'string') throw new UpstreamError(said, { detail: 'scripted', ...(said === 'denied' ? { status: 403 } : {}) });
    return said;
  };
  const held = new Set<Digest>();
  const atAuthority = new Set<Digest>();
  const alarms: World['alarms'] = [];
  const rules: TagRules = { tagTtlMs: 60_000, staleIfErrorMs: 30 * 86_400_000, revalidateTimeoutMs: 2_000, ...options.rules };
  const fetcher: ManifestFetcher = {
    byTag: async (source, _repository, _tag, timeoutMs) => {
      asked.push(`GET ${source.id}`);
      return hear(source, timeoutMs);
    },
    byDigest: async (_target, digest) => {
      asked.push(`GET ${digest.slice(0, 12)}`);
      const found = content.get(digest);
      if (found instanceof OciError) throw found;
      if (found === undefined) await new Promise(() => undefined);
      return found as ManifestAnswer;
    },
    setTag: async (_target, _tag, manifest, trust, trail) => {
      if (parseTrail(trail)?.reason === undefined) throw new Error('a tag set without a reason');
      const { digest, mediaType, bytes } = manifest;
      stored = {
        repositoryId: 1,
        digest,
        mediaType,
        bytes,
        subjectDigest: null,
        verifiedAtMs: clock.nowMs(),
        checkedAtMs: clock.nowMs(),
        trust,
        removedAtMs: null,
      };
    },
  };
  const client = {
    headManifest: async (source: Source, _repository: string, reference: string, { timeoutMs }: { timeoutMs: number }) => {
      asked.push(`HEAD ${source.id}${reference.includes(':') ? ` ${reference.slice(0, 12)}` : ''}`);
      if (reference.includes(':')) {
        if (atAuthority.has(reference as Digest)) return { digest: reference as Digest };
        throw new UpstreamError('not-found', { detail: 'scripted', status: 404 });
      }
      if (headFails.has(source.id)) throw new UpstreamError('bad-answer', { detail: 'scripted', status: 405 });
      const heard = headSays.get(source.id);
      return { digest: heard ?? (await hear(source, timeoutMs)).digest };
    },
  };
  const pool = createSourcePool({ sources: new Map([['docker.io', sources]]), health, clock });
  const stock = { manifestByDigest: async (_name: string, digest: Digest) => (held.has(digest) ? stored : undefined) };
  const parts = { client, pool, fetcher, hedging: createHedging({ clock }), timings: mirrorTimings, clock };
  const drift = createTagDrift({ ...parts, content: stock, onAlarm: (kind, fields) => alarms.push({ kind, fields }) });
  const resolver = createTagResolver({
    ...parts,
    content: { manifestByTag: async () => stored },
    drift,
    witnesses: createTagWitnesses({ ...parts, content: stock, drift }),
    absences: createAbsences({ notFoundTtlMs: rules.notFoundTtlMs, clock }),
    rules,
    onFailure: (key) => failures.push(key),
    database: {
      run: async (name, args) => {
        if (name === 'recordTagRemoval' && stored !== undefined) {
          stored = { ...stored, checkedAtMs: clock.nowMs(), removedAtMs: clock.nowMs() };
          return undefined as never;
        }
        if (name !== 'recordTagCheck' || stored === undefined) throw new Error(`unexpected ${name}`);
        const check = args as CommandArguments<'recordTagCheck'>;
        if (check.digest !== stored.digest) throw new Error('a check of another digest');
        stored = {
          ...stored,
          checkedAtMs: clock.nowMs(),
          ...(check.verified ? { verifiedAtMs: clock.nowMs(), trust: check.trust, removedAtMs: null } : {}),
        };
        return undefined as never;
      },
    },
  });
  return {
    clock,
    resolver,
    says,
    asked,
    content,
    failures,
    headSays,
    headFails,
    held,
    atAuthority,
    alarms,
    drift,
    known: () => stored,
    store: async (manifest, verifiedAtMs) => {
      await fetcher.setTag(target, tag, manifest, 'confirmed', formatTrail({ atMs: verifiedAtMs, attempts: [], reason: 'imported' }));
      if (stored !== undefined) stored = { ...stored, verifiedAtMs };
    },
    quarantine: (name) => health.quarantine(name, 'test'),
    setWall: (byMs) => {
      wallShiftMs += byMs;
    },
    resolve: async () => {
      // Where it came from is counted, and asserted where it is counted.
      const { from: _, ...answer } = await resolver.resolve(target, tag);
      return answer;
    },
  };
}
