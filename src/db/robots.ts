// Robots as rows: accounts of programs, of one project or of the server. Reads; the writes are in robot-commands.ts. The hash of a secret leaves
// this file only for a login.

import { type Kysely, sql } from 'kysely';
import type { Preparer } from './prepared.ts';
import type { Schema } from './schema.ts';

/** Rights as they are kept: projects by id, never by name. The same shape as `Grant` of the room above, actions as a list. */
export interface StoredGrant {
  readonly where:
    | { readonly kind: 'system' | 'all-projects' }
    | { readonly kind: 'project'; readonly projectId: number }
    | { readonly kind: 'projects' | 'repositories'; readonly glob: string };
  readonly actions: readonly string[];
}

export interface RobotRecord {
  readonly id: number;
  /** Without prefix and project: `ci`. Unique in its project, or among those of the server. */
  readonly name: string;
  /** Undefined: of the server. */
  readonly projectId: number | undefined;
  readonly projectName: string | undefined;
  /** `principalKey` of who made it. */
  readonly creator: string;
  readonly description: string;
  readonly isDisabled: boolean;
  /** -1: for ever. */
  readonly durationDays: number;
  readonly expiresAtMs: number | undefined;
  readonly grants: readonly StoredGrant[];
  /** CIDR blocks it may log in from; empty: from everywhere. */
  readonly networks: readonly string[];
  readonly epoch: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly lastUsedAtMs: number | undefined;
  readonly lastUsedFrom: string | undefined;
}

const columns = [
  'id',
  'name',
  'project_id',
  'creator',
  'description',
  'is_disabled',
  'duration_days',
  'expires_at_ms',
  'permissions',
  'networks',
  'epoch',
  'created_at_ms',
  'updated_at_ms',
  'last_used_at_ms',
  'last_used_address',
] as const;
type RobotRow = { [K in (typeof columns)[number]]: K extends 'id' ? number : Schema['robot'][K] } & { project_name: string | null };

/** The columns of a record. */
function selectRobot(read: Kysely<Schema>) {
  return read
    .selectFrom('robot')
    .select(columns)
    .select((select) => select.selectFrom('project').select('name').whereRef('project.id', '=', 'robot.project_id').as('project_name'));
}

const placeOf = sql<number>`coalesce(robot.project_id, 0)`;

/** For logins, by its own name and that of its project. */
export function prepareRobotLoginQuery(
  database: Preparer,
): (name: string, projectName: string | undefined) => Promise<(RobotRecord & { secretHash: string }) | undefined> {
  type Row = RobotRow & { secret_hash: string };
  const ofServer = database.prepare<{ name: string }, Row>((read, value) =>
    selectRobot(read).select('secret_hash').where(placeOf, '=', 0).where('name', '=', value('name')).compile(),
  );
  const ofProject = database.prepare<{ name: string; project: string }, Row>((read, value) =>
    selectRobot(read)
      .select('secret_hash')
      .where(
        placeOf,
        '=', // The plus takes the column's affinity away, which would keep SQLite from its index.
        sql<number>`(select +id from project where name = ${value('project')})`,
      )
      .where('name', '=', value('name'))
      .compile(),
  );
  return async (name, project) => {
    const row = await (project === undefined ? ofServer.first({ name }) : ofProject.first({ name, project }));
    return row === undefined ? undefined : { ...toRobot(row), secretHash: row.secret_hash };
  };
}

/** Live look-up of a token's subject: the robot may be gone. */
export function prepareRobotQuery(database: Preparer): (id: number) => Promise<RobotRecord | undefined> {
  const query = database.prepare<{ id: number }, RobotRow>((read, value) => selectRobot(read).where('id', '=', value('id')).compile());
  return async (id) => {
    const row = await query.first({ id });
    return row === undefined ? undefined : toRobot(row);
  };
}

/** All robots of one project, or of the server when none is named, by id. Their number is limited (`robotsPerPlaceMax`). */
export async function listRobots(read: Kysely<Schema>, projectId: number | undefined): Promise<RobotRecord[]> {
  const rows = await selectRobot(read)
    .where('project_id', projectId === undefined ? 'is' : '=', projectId ?? null)
    .orderBy('id')
    .execute();
  return rows.map(toRobot);
}

export async function findRobot(read: Kysely<Schema>, id: number): Promise<RobotRecord | undefined> {
  const row = await selectRobot(read).where('id', '=', id).executeTakeFirst();
  return row === undefined ? undefined : toRobot(row);
}

/** Names of projects by id, for showing rights; those that are gone are missing. */
export async function readProjectNames(read: Kysely<Schema>, ids: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const names = new Map<number, string>();
  for (let at = 0; at < ids.length; at += 500) {
    const rows = await read
      .selectFrom('project')
      .select(['id', 'name'])
      .where('id', 'in', ids.slice(at, at + 500))
      .execute();
    for (const row of rows) names.set(row.id, row.name);
  }
  return names;
}

function toRobot(row: RobotRow): RobotRecord {
  return {
    id: row.id,
    name: row.name,
    projectId: row.project_id ?? undefined,
    projectName: row.project_name ?? undefined,
    creator: row.creator,
    description: row.description,
    isDisabled: row.is_disabled === 1,
    durationDays: row.duration_days,
    expiresAtMs: row.expires_at_ms ?? undefined,
    grants: JSON.parse(row.permissions) as StoredGrant[],
    networks: JSON.parse(row.networks) as string[],
    epoch: row.epoch,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    lastUsedAtMs: row.last_used_at_ms ?? undefined,
    lastUsedFrom: row.last_used_address ?? undefined,
  };
}
