// Commands on robots. Rights arrive here already resolved to ids and checked against those of the caller; secrets arrive as hashes.

import { OciError } from '../oci/errors.ts';
import type { CommandContext } from './context.ts';
import { findRobot, type RobotRecord, type StoredGrant } from './robots.ts';

/** Robots of one project, and of the server. */
const robotsPerPlaceMax = 1000;

export interface NewRobot {
  /** Without prefix and project. Unique in its project, or among those of the server. */
  readonly name: string;
  readonly projectId?: number;
  readonly creator: string;
  readonly description: string;
  readonly secretHash: string;
  readonly isDisabled: boolean;
  readonly durationDays: number;
  readonly expiresAtMs?: number;
  readonly grants: readonly StoredGrant[];
  readonly networks: readonly string[];
}

/** CONFLICT when the name is taken or there are too many; NAME_UNKNOWN when the project is gone. */
export async function createRobot({ trx, nowMs }: CommandContext, args: NewRobot): Promise<RobotRecord> {
  if (args.projectId !== undefined) {
    const project = await trx.selectFrom('project').select('id').where('id', '=', args.projectId).executeTakeFirst();
    if (project === undefined) throw new OciError('NAME_UNKNOWN', 'the project of the robot is gone');
  }
  const siblings = await trx
    .selectFrom('robot')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('project_id', args.projectId === undefined ? 'is' : '=', args.projectId ?? null)
    .executeTakeFirstOrThrow();
  if (Number(siblings.count) >= robotsPerPlaceMax) {
    const place = args.projectId === undefined ? 'the server' : 'a project';
    throw new OciError('CONFLICT', `${place} may have at most ${robotsPerPlaceMax} robots; delete those that are not needed`);
  }
  const row = await trx
    .insertInto('robot')
    .values({
      name: args.name,
      project_id: args.projectId ?? null,
      creator: args.creator,
      description: args.description,
      secret_hash: args.secretHash,
      is_disabled: args.isDisabled ? 1 : 0,
      duration_days: args.durationDays,
      expires_at_ms: args.expiresAtMs ?? null,
      permissions: JSON.stringify(args.grants),
      networks: JSON.stringify(args.networks),
      epoch: 0,
      created_at_ms: nowMs,
      updated_at_ms: nowMs,
      last_used_at_ms: null,
      last_used_address: null,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (row === undefined) throw new OciError('CONFLICT', `a robot named ${args.name} exists already`);
  return readRobot(trx, row.id);
}

export interface RobotChange {
  readonly id: number;
  readonly description?: string;
  readonly isDisabled?: boolean;
  readonly lifetime?: { readonly durationDays: number; readonly expiresAtMs?: number };
  readonly grants?: readonly StoredGrant[];
  readonly networks?: readonly string[];
  /** Ends what was signed for the robot before. */
  readonly secretHash?: string;
}

/** The robot as it is then; NOT_FOUND. A new secret, a switch-off and fewer networks count the epoch up. */
export async function changeRobot({ trx, nowMs }: CommandContext, args: RobotChange): Promise<RobotRecord> {
  const endsTokens = args.secretHash !== undefined || args.isDisabled === true || args.networks !== undefined;
  await trx
    .updateTable('robot')
    .set((set) => ({
      updated_at_ms: nowMs,
      ...(args.description === undefined ? {} : { description: args.description }),
      ...(args.isDisabled === undefined ? {} : { is_disabled: args.isDisabled ? 1 : 0 }),
      ...(args.lifetime === undefined
        ? {}
        : { duration_days: args.lifetime.durationDays, expires_at_ms: args.lifetime.expiresAtMs ?? null }),
      ...(args.grants === undefined ? {} : { permissions: JSON.stringify(args.grants) }),
      ...(args.networks === undefined ? {} : { networks: JSON.stringify(args.networks) }),
      ...(args.secretHash === undefined ? {} : { secret_hash: args.secretHash }),
      ...(endsTokens ? { epoch: set('epoch', '+', 1) } : {}),
    }))
    .where('id', '=', args.id)
    .executeTakeFirst();
  return readRobot(trx, args.id);
}

/** Says whether there was one. */
export async function deleteRobot({ trx }: CommandContext, args: { id: number }): Promise<boolean> {
  const result = await trx.deleteFrom('robot').where('id', '=', args.id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

async function readRobot(trx: CommandContext['trx'], id: number): Promise<RobotRecord> {
  const robot = await findRobot(trx, id);
  if (robot === undefined) throw new OciError('NOT_FOUND', 'there is no such robot');
  return robot;
}
