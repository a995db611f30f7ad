// Labels that artifacts can carry: global ones, and those of one project. A name is used once among the global ones, and once in a project.

import { type Kysely, sql } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { conditionsOf, type ListColumns, type ListReader, type ListWish, orderOf } from './listing.ts';
import type { Schema } from './schema.ts';

export interface Label {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  /** `#rrggbb`, or empty. */
  readonly color: string;
  /** Undefined: a global one. */
  readonly projectId: number | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}
export interface LabelWords {
  readonly name: string;
  readonly description: string;
  readonly color: string;
}
export type LabelField = 'id' | 'name' | 'creation_time' | 'update_time';

const labelsMax = 1000;
const columns: ListColumns<LabelField> = {
  id: sql.ref('label.id'),
  name: sql.ref('label.name'),
  creation_time: sql.ref('label.created_at_ms'),
  update_time: sql.ref('label.updated_at_ms'),
};

/** One page of the global labels, or of a project's own, by name unless ordered otherwise; and the number of all that match. */
export async function listLabels(
  { read, dialect }: ListReader,
  { projectId, wish }: { projectId: number | undefined; wish: ListWish<LabelField> },
): Promise<{ labels: Label[]; count: number }> {
  const matching = read
    .selectFrom('label')
    .where('project_id', projectId === undefined ? 'is' : '=', projectId ?? null)
    .where(conditionsOf(wish.conditions, columns, dialect));
  const { count } = await matching.select((select) => select.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
  const rows = await matching
    .selectAll()
    .orderBy(orderOf(wish.order, columns, { field: 'name', descending: false }))
    .limit(wish.limit)
    .offset(wish.offset)
    .execute();
  return { labels: rows.map(toLabel), count: Number(count) };
}

export async function findLabel(read: Kysely<Schema>, id: number): Promise<Label | undefined> {
  const row = await read.selectFrom('label').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toLabel(row);
}

/** CONFLICT when the name is taken there; NAME_UNKNOWN when the project is gone. */
export async function createLabel(
  { trx, nowMs, dialect }: CommandContext,
  args: LabelWords & { readonly projectId?: number },
): Promise<Label> {
  const projectId = args.projectId ?? null;
  if (projectId !== null) {
    let find = trx.selectFrom('project').select('id').where('id', '=', projectId);
    if (dialect === 'postgres') find = find.forKeyShare();
    if ((await find.executeTakeFirst()) === undefined) throw new OciError('NAME_UNKNOWN', 'there is no such project any more');
  }
  const { count } = await trx
    .selectFrom('label')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('project_id', projectId === null ? 'is' : '=', projectId)
    .executeTakeFirstOrThrow();
  if (Number(count) >= labelsMax) throw new OciError('BAD_REQUEST', `there are ${labelsMax} labels here already; delete one first`);
  const { name, description, color } = args;
  const row = await trx
    .insertInto('label')
    .values({ name, description, color, project_id: projectId, created_at_ms: nowMs, updated_at_ms: nowMs })
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw taken(name);
  return toLabel(row);
}

/** NOT_FOUND; CONFLICT when the name is taken there. */
export async function changeLabel({ trx, nowMs }: CommandContext, args: LabelWords & { readonly id: number }): Promise<Label> {
  const before = await findLabel(trx, args.id);
  if (before === undefined) throw new OciError('NOT_FOUND', 'there is no such label');
  const other = await trx
    .selectFrom('label')
    .select('id')
    .where('project_id', before.projectId === undefined ? 'is' : '=', before.projectId ?? null)
    .where('name', '=', args.name)
    .where('id', '<>', args.id)
    .executeTakeFirst();
  if (other !== undefined) throw taken(args.name);
  const row = await trx
    .updateTable('label')
    .set({ name: args.name, description: args.description, color: args.color, updated_at_ms: nowMs })
    .where('id', '=', args.id)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new OciError('NOT_FOUND', 'there is no such label');
  return toLabel(row);
}

/** NOT_FOUND. */
export async function deleteLabel({ trx }: CommandContext, args: { readonly id: number }): Promise<void> {
  const { numDeletedRows } = await trx.deleteFrom('label').where('id', '=', args.id).executeTakeFirst();
  if (numDeletedRows === 0n) throw new OciError('NOT_FOUND', 'there is no such label');
}

function taken(name: string): OciError {
  return new OciError('CONFLICT', `there is a label named ${name} already`);
}

export function toLabel(row: Omit<Schema['label'], 'id'> & { id: number }): Label {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    color: row.color,
    projectId: row.project_id ?? undefined,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
  };
}
