// A registry as clients of Harbor's API mean it: one address, one login. That is its authority here: the source whose word on tags counts.

import type { RegistryView, SourceView } from './sources.ts';

/** The authority asked first, or the first source of all; undefined where there is none. */
export function mainSource({ sources }: Pick<RegistryView, 'sources'>): SourceView | undefined {
  return sources.find(({ record }) => record.trust === 'authority') ?? sources[0];
}
