// One check of what a mirrored tag means now, as its parts pass it on.

import type { StoredTag } from '../db/content.ts';
import type { Tag } from '../oci/reference.ts';
import type { MirrorTarget } from './mirror-target.ts';
import type { TagPolicy } from './tag-policies.ts';
import type { Attempt } from './trail.ts';

export interface TagCheck {
  readonly target: MirrorTarget;
  readonly tag: Tag;
  readonly key: string;
  readonly policy: TagPolicy;
  /** What is cached, however old. */
  readonly known: StoredTag | undefined;
  /** The same, while it may still be served. */
  readonly standing: StoredTag | undefined;
  readonly deadlineMs: number;
  readonly attempts: Attempt[];
}
