// Pinned images in named sets: what has to stay here and complete, whatever else is cleared away.

import type { Kysely } from 'kysely';
import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import type { Schema } from './schema.ts';

export interface Pin {
  readonly image: string;
  readonly platforms: string;
  readonly repository: string;
  readonly reference: string;
}
export interface StoredPin extends Pin {
  readonly set: string;
  readonly createdAtMs: number;
}

/** Pins on the whole server. */
const pinsMax = 20_000;

/** Adds images to a set, made when it is new; one that is there takes the new platforms. CONFLICT when there would be too many. */
export async function addPins({ trx, nowMs }: CommandContext, args: { set: string; pins: readonly Pin[] }): Promise<void> {
  for (const { image, platforms, repository, reference } of args.pins) {
    const values = { platforms, repository, reference };
    await trx
      .insertInto('pin')
      .values({ set_name: args.set, image, created_at_ms: nowMs, ...values })
      .onConflict((conflict) => conflict.columns(['set_name', 'image']).doUpdateSet(values))
      .execute();
  }
  const { count } = await trx
    .selectFrom('pin')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  if (Number(count) > pinsMax) throw new OciError('CONFLICT', `there may be at most ${pinsMax} pinned images`);
}

/** Takes images out of a set, or the whole set when none are named; gives how many went. */
export async function removePins({ trx }: CommandContext, args: { set: string; images?: readonly string[] }): Promise<number> {
  let removed = 0;
  const lists = args.images === undefined ? [undefined] : chunksOf(args.images);
  for (const images of lists) {
    let query = trx.deleteFrom('pin').where('set_name', '=', args.set);
    if (images !== undefined) query = query.where('image', 'in', images);
    removed += Number((await query.executeTakeFirst()).numDeletedRows);
  }
  return removed;
}

/** All pins, or those of one set, by set and image. */
export async function listPins(read: Kysely<Schema>, set?: string): Promise<StoredPin[]> {
  let query = read
    .selectFrom('pin')
    .select(['set_name as set', 'image', 'platforms', 'repository', 'reference', 'created_at_ms as createdAtMs'])
    .orderBy('set_name')
    .orderBy('image');
  if (set !== undefined) query = query.where('set_name', '=', set);
  return query.execute();
}

function chunksOf(images: readonly string[]): string[][] {
  const chunks: string[][] = [];
  for (let at = 0; at < images.length; at += 500) chunks.push(images.slice(at, at + 500));
  return chunks;
}
