// Which times and which answer to a deletion hold for a tag: the first rule whose pattern matches `registry/repository:tag`, else the defaults.

import { createGlob } from '../lib/glob.ts';
import { createLru } from '../lib/lru.ts';
import type { Tag } from '../oci/reference.ts';
import type { MirrorTarget } from './mirror-target.ts';

export interface TagPolicy {
  readonly tagTtlMs: number;
  /** Behind the TTL: how long the known digest is still answered at once, while one check runs. */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly onUpstreamDelete: 'remove' | 'keep';
  /** Whose word counts while no authority can be asked: two that agree, also one alone, or nobody's. */
  readonly withoutAuthority: 'unconfirmed' | 'quorum' | 'known';
}
export interface TagRule extends Partial<TagPolicy> {
  /** Pattern of lib/glob.ts on `registry/repository:tag`. */
  readonly match: string;
}
export interface TagRules {
  readonly tagTtlMs: number;
  readonly staleIfErrorMs: number;
  /** How long a pull waits for the check of a tag it has an answer for. */
  readonly revalidateTimeoutMs: number;
  /** 0 without it: a moved tag is seen at the first pull after the TTL, at the cost of one HEAD. */
  readonly staleWhileRevalidateMs?: number;
  /** `remove` without it. */
  readonly onUpstreamDelete?: 'remove' | 'keep';
  /** `unconfirmed` without it. */
  readonly withoutAuthority?: 'unconfirmed' | 'quorum' | 'known';
  /** How long an authority's 404 is repeated without asking; 30 s without it. */
  readonly notFoundTtlMs?: number;
  readonly rules?: readonly TagRule[];
}

export interface TagPolicies {
  of(target: MirrorTarget, tag: Tag): TagPolicy;
}

const rememberedMax = 10_000;

export function createTagPolicies(rules: TagRules): TagPolicies {
  const defaults: TagPolicy = {
    tagTtlMs: rules.tagTtlMs,
    staleWhileRevalidateMs: rules.staleWhileRevalidateMs ?? 0,
    staleIfErrorMs: rules.staleIfErrorMs,
    onUpstreamDelete: rules.onUpstreamDelete ?? 'remove',
    withoutAuthority: rules.withoutAuthority ?? 'unconfirmed',
  };
  const list = (rules.rules ?? []).map(({ match, ...own }) => ({ glob: createGlob(match), policy: { ...defaults, ...own } }));
  const known = createLru<string, TagPolicy>({ maxEntries: rememberedMax });
  return {
    of: ({ upstream }, tag) => {
      if (list.length === 0) return defaults;
      const name = `${upstream.registry}/${upstream.repository}:${tag}`;
      const found = known.get(name) ?? list.find((rule) => rule.glob?.test(name))?.policy ?? defaults;
      known.set(name, found);
      return found;
    },
  };
}
