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
import type { ManifestAnswer } from './answers.ts';
import type { MirrorTarget } from './mirror-target.ts';
import { mirrorTimings } from './mirror-timings.ts';
import { createSourcePool } from './source-pool.ts';
import { createTagResolver, type TagResolver } from './tag-resolution.ts';
import { parseTrail } from './trail.ts';

export const tag = requireTag('v1');
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
  createdAtMs: 0,
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
  /** `HEAD a`, `GET a`, `GET sha256:...` in order. */
  readonly asked: string[];
  /** By digest, from wherever; undefined takes for ever. */
  readonly content: Map<Digest, ManifestAnswer | OciError | undefined>;
  readonly failures: string[];
  known(): StoredTag | undefined;
  quarantine(name: string): void;
  /** Somebody sets the clock on the wall. */
  setWall(byMs: number): void;
  resolve(): Promise<ManifestAnswer>;
}

/** `names` in the order of rank; capital ones are authorities. */
export function world(names: readonly string[]): World {
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
    }),
  );
  const says = new Map<string, Says>(names.map((name) => [name, one]));
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
  const resolver = createTagResolver({
    content: { manifestByTag: async () => stored },
    database: {
      run: async (name, args) => {
        if (name !== 'recordTagCheck' || stored === undefined) throw new Error(`unexpected ${name}`);
        const check = args as CommandArguments<'recordTagCheck'>;
        if (check.digest !== stored.digest) throw new Error('a check of another digest');
        stored = {
          ...stored,
          checkedAtMs: clock.nowMs(),
          ...(check.verified ? { verifiedAtMs: clock.nowMs(), trust: check.trust } : {}),
        };
        return undefined as never;
      },
    },
    client: {
      headManifest: async (source, _repository, _reference, { timeoutMs }) => {
        asked.push(`HEAD ${source.id}`);
        return { digest: (await hear(source, timeoutMs)).digest };
      },
    },
    pool: createSourcePool({ sources: new Map([['docker.io', sources]]), health, clock }),
    fetcher: {
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
        };
      },
    },
    rules: { tagTtlMs: 60_000, staleIfErrorMs: 30 * 86_400_000, revalidateTimeoutMs: 2_000 },
    timings: mirrorTimings,
    clock,
    onFailure: (key) => failures.push(key),
  });
  return {
    clock,
    resolver,
    says,
    asked,
    content,
    failures,
    known: () => stored,
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
