// When content was last used, noted in batches off the pull path. Losing a batch harms nothing.

import type { Digest } from '../oci/digest.ts';
import type { CommandContext } from './context.ts';
import { inChunks } from './references.ts';

/** A note younger than this stands: what is used all the time costs one write per ten minutes. */
const noteAgeMs = 10 * 60 * 1000;

export interface UsedTags {
  readonly repository: string;
  readonly tags: readonly string[];
}

export async function recordUse(
  { trx, nowMs }: CommandContext,
  args: { tags: readonly UsedTags[]; blobs: readonly Digest[] },
): Promise<void> {
  const before = nowMs - noteAgeMs;
  for (const chunk of inChunks(args.blobs)) {
    await trx
      .updateTable('blob')
      .set({ used_at_ms: nowMs })
      .where('digest', 'in', chunk)
      .where((where) => where.or([where('used_at_ms', 'is', null), where('used_at_ms', '<', before)]))
      .execute();
  }
  for (const { repository, tags } of args.tags) {
    await trx
      .updateTable('tag')
      .set({ pulled_at_ms: nowMs })
      .where('repository_id', '=', (select) => select.selectFrom('repository').select('id').where('name', '=', repository))
      .where('name', 'in', tags)
      .where((where) => where.or([where('pulled_at_ms', 'is', null), where('pulled_at_ms', '<', before)]))
      .execute();
  }
}
