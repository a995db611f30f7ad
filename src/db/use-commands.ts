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

export interface PulledManifests {
  readonly repository: string;
  /** Pulls since the last note. */
  readonly count: number;
  /** Of manifests whose time is to be noted. */
  readonly digests: readonly Digest[];
}

export async function recordUse(
  context: CommandContext,
  args: { tags: readonly UsedTags[]; blobs: readonly Digest[]; pulls?: readonly PulledManifests[] },
): Promise<void> {
  const { trx, nowMs } = context;
  const before = nowMs - noteAgeMs;
  for (const pulls of args.pulls ?? []) await recordPulls(context, pulls, before);
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

async function recordPulls({ trx, nowMs }: CommandContext, { repository, count, digests }: PulledManifests, before: number): Promise<void> {
  const row = await trx
    .updateTable('repository')
    .set((column) => ({ pull_count: column('pull_count', '+', count), pulled_at_ms: nowMs }))
    .where('name', '=', repository)
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) return;
  for (const chunk of inChunks(digests)) {
    await trx
      .updateTable('artifact')
      .set({ pulled_at_ms: nowMs })
      .where('manifest_id', 'in', (select) =>
        select.selectFrom('manifest').select('id').where('repository_id', '=', row.id).where('digest', 'in', chunk),
      )
      .where((where) => where.or([where('pulled_at_ms', 'is', null), where('pulled_at_ms', '<', before)]))
      .execute();
  }
}
