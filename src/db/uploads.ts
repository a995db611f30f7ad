// Upload sessions: who may continue which one, and until when. The bytes are a file; its length is the offset.

import type { Kysely } from 'kysely';
import type { DigestAlgorithm } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Preparer } from './prepared.ts';
import { holdRepository } from './references.ts';
import type { Schema } from './schema.ts';

export interface UploadSession {
  readonly id: string;
  readonly repositoryId: number;
  readonly principal: string;
  readonly algorithm: DigestAlgorithm;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** A session of this repository and principal; undefined for anything else, so that foreign ids look like unknown ones. */
export function prepareUploadQuery(
  database: Preparer,
): (key: { id: string; repositoryName: string; principal: string }) => Promise<UploadSession | undefined> {
  const query = database.prepare<{ id: string; repositoryName: string; principal: string }, UploadSession>((read, value) =>
    read
      .selectFrom('upload')
      .innerJoin('repository', 'repository.id', 'upload.repository_id')
      .select([
        'upload.id as id',
        'upload.repository_id as repositoryId',
        'upload.principal as principal',
        'upload.algorithm as algorithm',
        'upload.created_at_ms as createdAtMs',
        'upload.expires_at_ms as expiresAtMs',
      ])
      .where('upload.id', '=', value('id'))
      .where('repository.name', '=', value('repositoryName'))
      .where('upload.principal', '=', value('principal'))
      .compile(),
  );
  return (key) => query.first(key);
}

/** Open sessions; as many as the limits of uploads allow at most. */
export async function countUploads(read: Kysely<Schema>): Promise<number> {
  const row = await read
    .selectFrom('upload')
    .select((expression) => expression.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

export interface NewUpload {
  readonly id: string;
  readonly repositoryId: number;
  readonly principal: string;
  readonly algorithm: DigestAlgorithm;
  readonly expiresAtMs: number;
  readonly limits: { readonly perPrincipal: number; readonly perRepository: number; readonly total: number };
}

/**
 * Opens a session. TOOMANYREQUESTS when one of the limits of open sessions is reached, NAME_UNKNOWN when the repository is gone.
 * On PostgreSQL sessions opened in the same instant do not see each other, so a limit may be passed by the number of connections.
 */
export async function createUpload(context: CommandContext, args: NewUpload): Promise<void> {
  const { trx, nowMs } = context;
  await holdRepository(context, args.repositoryId, 'shared');
  const count = async (column?: 'principal' | 'repository_id', value?: string | number): Promise<number> => {
    let query = trx.selectFrom('upload').select((expression) => expression.fn.countAll<number>().as('count'));
    if (column !== undefined && value !== undefined) query = query.where(column, '=', value);
    return Number((await query.executeTakeFirstOrThrow()).count);
  };
  const tooMany =
    (await count('repository_id', args.repositoryId)) >= args.limits.perRepository ||
    (await count('principal', args.principal)) >= args.limits.perPrincipal ||
    (await count()) >= args.limits.total;
  if (tooMany)
    throw new OciError('TOOMANYREQUESTS', 'too many upload sessions are open; finish or cancel some, idle ones expire by themselves');
  await trx
    .insertInto('upload')
    .values({
      id: args.id,
      repository_id: args.repositoryId,
      principal: args.principal,
      algorithm: args.algorithm,
      created_at_ms: nowMs,
      expires_at_ms: args.expiresAtMs,
    })
    .execute();
}

export async function extendUpload({ trx }: CommandContext, args: { id: string; expiresAtMs: number }): Promise<void> {
  await trx.updateTable('upload').set({ expires_at_ms: args.expiresAtMs }).where('id', '=', args.id).execute();
}

export async function deleteUpload({ trx }: CommandContext, args: { id: string }): Promise<void> {
  await trx.deleteFrom('upload').where('id', '=', args.id).execute();
}

/** Removes sessions that have expired, except those in use; gives their ids so that their files can go. */
export async function deleteExpiredUploads(
  { trx, nowMs }: CommandContext,
  args: { inUse: readonly string[]; max: number },
): Promise<string[]> {
  let query = trx.selectFrom('upload').select('id').where('expires_at_ms', '<', nowMs).orderBy('expires_at_ms').limit(args.max);
  if (args.inUse.length > 0) query = query.where('id', 'not in', args.inUse);
  const ids = (await query.execute()).map((row) => row.id);
  if (ids.length === 0) return [];
  // Looked at again, because another server may have extended one meanwhile.
  const deleted = await trx.deleteFrom('upload').where('id', 'in', ids).where('expires_at_ms', '<', nowMs).returning('id').execute();
  return deleted.map((row) => row.id);
}
