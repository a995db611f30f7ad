// Writes of an import: content that the administrator brought in an archive.

import type { CommandContext } from './context.ts';
import { holdRepository, type ItemInRepository, markPresent, renewBlobLeases } from './references.ts';

/**
 * Makes a blob that is here a member of a repository, wherever it came from: the caller has read all its bytes from the archive, so it gives
 * nothing away. False when there is no such live blob. NAME_UNKNOWN when the repository is gone.
 */
export async function adoptBlob(context: CommandContext, args: ItemInRepository): Promise<boolean> {
  const { trx, dialect, nowMs } = context;
  await holdRepository(context, args.repositoryId, 'shared');
  let query = trx.selectFrom('blob').select('state').where('digest', '=', args.digest);
  if (dialect === 'postgres') query = query.forUpdate();
  if ((await query.executeTakeFirst())?.state !== 'live') return false;
  await renewBlobLeases(context, [args.digest]);
  await trx
    .insertInto('repository_blob')
    .values({ repository_id: args.repositoryId, digest: args.digest, linked_at_ms: nowMs, trail: null })
    .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing())
    .execute();
  await markPresent(context, args, 'blob');
  return true;
}
