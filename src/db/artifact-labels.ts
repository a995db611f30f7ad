// Labels on artifacts: queries and commands. The labels themselves are in labels.ts.

import type { Kysely } from 'kysely';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { type Label, toLabel } from './labels.ts';
import { holdRepository, type ItemInRepository } from './references.ts';
import type { Schema } from './schema.ts';

/** Labels that one artifact may carry. */
const labelsMax = 100;

/** The labels of each artifact, by name. */
export async function readLabelsOf(read: Kysely<Schema>, artifactIds: readonly number[]): Promise<ReadonlyMap<number, Label[]>> {
  if (artifactIds.length === 0) return new Map();
  const rows = await read
    .selectFrom('artifact_label')
    .innerJoin('label', 'label.id', 'artifact_label.label_id')
    .select('artifact_label.manifest_id as artifactId')
    .selectAll('label')
    .where('artifact_label.manifest_id', 'in', artifactIds)
    .execute();
  const sorted = rows.map(({ artifactId, ...label }) => ({ artifactId, label: toLabel(label) }));
  sorted.sort((a, b) => (a.label.name < b.label.name ? -1 : 1));
  return new Map([...Map.groupBy(sorted, ({ artifactId }) => artifactId)].map(([id, ofIt]) => [id, ofIt.map(({ label }) => label)]));
}

/**
 * Puts a label on an artifact. NOT_FOUND for a label that is neither global nor its project's, MANIFEST_UNKNOWN, CONFLICT when it carries it
 * already, BAD_REQUEST for more than 100, NAME_UNKNOWN when the repository is gone.
 */
export async function addArtifactLabel(context: CommandContext, args: ItemInRepository & { labelId: number }): Promise<void> {
  const { trx } = context;
  const { projectId } = await holdRepository(context, args.repositoryId, 'alone');
  const manifestId = await findManifest(context, args);
  const label = await trx
    .selectFrom('label')
    .select('id')
    .where('id', '=', args.labelId)
    .where((where) => where.or([where('project_id', 'is', null), where('project_id', '=', projectId)]))
    .executeTakeFirst();
  if (label === undefined) throw new OciError('NOT_FOUND', `there is no label ${args.labelId} for this project`);
  const { count } = await trx
    .selectFrom('artifact_label')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('manifest_id', '=', manifestId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= labelsMax) throw new OciError('BAD_REQUEST', `an artifact carries at most ${labelsMax} labels`);
  const inserted = await trx
    .insertInto('artifact_label')
    .values({ manifest_id: manifestId, label_id: args.labelId })
    .onConflict((conflict) => conflict.columns(['manifest_id', 'label_id']).doNothing())
    .execute();
  if ((inserted[0]?.numInsertedOrUpdatedRows ?? 0n) === 0n) throw new OciError('CONFLICT', 'the artifact carries this label already');
}

/** NOT_FOUND when it does not carry it; MANIFEST_UNKNOWN; NAME_UNKNOWN when the repository is gone. */
export async function removeArtifactLabel(context: CommandContext, args: ItemInRepository & { labelId: number }): Promise<void> {
  await holdRepository(context, args.repositoryId, 'alone');
  const result = await context.trx
    .deleteFrom('artifact_label')
    .where('manifest_id', '=', await findManifest(context, args))
    .where('label_id', '=', args.labelId)
    .executeTakeFirst();
  if (result.numDeletedRows === 0n) throw new OciError('NOT_FOUND', `the artifact does not carry label ${args.labelId}`);
}

async function findManifest({ trx }: CommandContext, item: { repositoryId: number; digest: Digest }): Promise<number> {
  const row = await trx
    .selectFrom('manifest')
    .select('id')
    .where('repository_id', '=', item.repositoryId)
    .where('digest', '=', item.digest)
    .executeTakeFirst();
  if (row === undefined) throw new OciError('MANIFEST_UNKNOWN', 'there is no such manifest', { detail: { digest: item.digest } });
  return row.id;
}
