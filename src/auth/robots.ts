// Robots: accounts of programs, of one project or of the server, with a secret, an end and rights of their own. Who makes one or gets its secret
// must hold every right it has at that moment, so nothing is gained by it. Later the robot stands for itself: it stays, with its rights and its
// end, when its maker leaves. Its name gives it no right: what counts is its id, and that it is a robot.

import type { Database } from '../db/database.ts';
import { findProject, type Project, prepareProjectQueries } from '../db/projects.ts';
import {
  findRobot,
  listRobots,
  prepareRobotLoginQuery,
  prepareRobotQuery,
  type RobotRecord,
  readProjectNames,
  type StoredGrant,
} from '../db/robots.ts';
import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { type AccessPolicy, decide, decideSystem } from './access.ts';
import { hashSecret, isSameDigest, makeSecret, requireStrongSecret } from './credential-secret.ts';
import type { CredentialUses } from './credential-use.ts';
import { isInNetworks, readNetworks } from './networks.ts';
import { type Principal, principalKey, type RobotPrincipal } from './principal.ts';
import type { PrincipalSource } from './principals.ts';
import {
  describeGrants,
  findExcess,
  literalProject,
  type PermissionWords,
  projectIdsOf,
  resolvePermissions,
  toGrantSet,
} from './robot-permissions.ts';

const dayMs = 24 * 60 * 60 * 1000;
const namePattern = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
const nameMaxLength = 128;
const durationMaxDays = 36_500;

export interface RobotSettings {
  /** Before the name of every robot, such as `robot$`; no user logs in under such a name. */
  readonly namePrefix: string;
  /** For robots that are made without an end; -1: for ever. */
  readonly durationDefaultDays: number;
}

/** A robot as it is shown. */
export interface RobotView {
  readonly record: RobotRecord;
  /** As it logs in: `robot$team-a+ci`. */
  readonly name: string;
  readonly level: 'system' | 'project';
  readonly permissions: readonly PermissionWords[];
}

export interface RobotWish {
  /** Without prefix and project. */
  readonly name: string;
  readonly description: string;
  readonly level: 'system' | 'project';
  readonly isDisabled: boolean;
  /** Days; -1: for ever; 0 or undefined: the server's default. */
  readonly durationDays: number | undefined;
  readonly permissions: readonly PermissionWords[];
  readonly networks: readonly string[];
  /** Of the maker's own choice; undefined: one is made. */
  readonly secret: string | undefined;
}
export interface RobotUpdate {
  readonly description?: string | undefined;
  readonly isDisabled?: boolean | undefined;
  readonly durationDays?: number | undefined;
  readonly permissions?: readonly PermissionWords[] | undefined;
  readonly networks?: readonly string[] | undefined;
}

export interface Robots {
  /** All of one project, or of the server when none is named, by id. */
  list(projectId: number | undefined): Promise<RobotView[]>;
  find(id: number): Promise<{ view: RobotView; project: Project | undefined } | undefined>;
  /**
   * DENIED without the right to make robots there, or for rights the caller does not hold; NAME_UNKNOWN for projects it may not know of;
   * BAD_REQUEST; CONFLICT when the name is taken.
   */
  create(caller: Principal, wish: RobotWish): Promise<{ robot: RobotView; secret: Secret }>;
  /** The caller may update robots there (checked before). DENIED for rights it does not hold, and for a robot that would change itself. */
  update(caller: Principal, robot: RobotView, change: RobotUpdate): Promise<RobotView>;
  /** Gives the robot another secret, made or chosen. DENIED unless the caller holds all it has, or is it. */
  refresh(caller: Principal, robot: RobotView, chosen: string | undefined): Promise<Secret>;
  delete(robot: RobotView): Promise<void>;
  /** Whether a login under this name is a robot's, whatever there is. */
  ownsName(name: string): Promise<boolean>;
  /** Undefined unless name and secret fit, and it is switched on, not expired, and at an address it may be at. */
  authenticate(name: string, secret: string, address: string | undefined): Promise<RobotPrincipal | undefined>;
  /** Finds them for tokens: `robot:7`. */
  readonly principals: PrincipalSource;
}

export function createRobots(options: {
  database: Database;
  clock: Clock;
  access: AccessPolicy;
  uses: CredentialUses;
  settings: () => Promise<RobotSettings>;
  /** Rights were changed. */
  onChange: () => void;
}): Robots {
  const { database, clock, access, uses, settings, onChange } = options;
  const byLogin = prepareRobotLoginQuery(database);
  const byId = prepareRobotQuery(database);
  const projects = prepareProjectQueries(database);
  const decoy = hashSecret(makeSecret('robot').reveal());

  const show = async (records: readonly RobotRecord[]): Promise<RobotView[]> => {
    const names = await readProjectNames(database.read, [...new Set(records.flatMap((record) => projectIdsOf(record.grants)))]);
    const { namePrefix } = await settings();
    return records.map((record) => ({
      record,
      name: nameOf(namePrefix, record),
      level: record.projectId === undefined ? 'system' : 'project',
      permissions: describeGrants(record.grants, names),
    }));
  };
  const showOne = async (record: RobotRecord): Promise<RobotView> => {
    const [view] = await show([record]);
    if (view === undefined) throw new Error('a robot was not shown');
    return view;
  };
  /** What the caller may know of: a project it may not read is as good as absent. */
  const projectFor =
    (caller: Principal) =>
    async (name: string): Promise<Project | undefined> => {
      const project = await projects.byName(name);
      return project !== undefined && decide(access, caller, 'project:read', { kind: 'project', project }) ? project : undefined;
    };
  const requireHeld = async (caller: Principal, grants: readonly StoredGrant[], more: readonly Project[] = []): Promise<void> => {
    const names = new Map(await readProjectNames(database.read, projectIdsOf(grants)));
    for (const project of more) names.set(project.id, project.name);
    const excess = findExcess(caller, grants, names);
    if (excess !== undefined) throw new OciError('DENIED', `you do not have the right ${excess} yourself, so no robot gets it from you`);
  };
  /** Grants of a robot of a project name that project and nothing else. */
  const requireInside = (grants: readonly StoredGrant[], project: Project): void => {
    const isInside = ({ where }: StoredGrant): boolean =>
      where.kind === 'project' ? where.projectId === project.id : literalProject(where) === project.name;
    if (!grants.every(isInside))
      throw new OciError('BAD_REQUEST', `permissions: a robot of the level project has rights in its own project (${project.name}) alone`);
  };
  const lifetimeOf = async (days: number | undefined, fromMs: number): Promise<{ durationDays: number; expiresAtMs?: number }> => {
    const durationDays = days === undefined || days === 0 ? (await settings()).durationDefaultDays : days;
    if (durationDays !== -1 && (durationDays < 1 || durationDays > durationMaxDays))
      throw new OciError('BAD_REQUEST', `duration: expected days from 1 to ${durationMaxDays}, or -1 for ever`);
    return durationDays === -1 ? { durationDays } : { durationDays, expiresAtMs: fromMs + durationDays * dayMs };
  };
  const isAlive = (record: RobotRecord): boolean =>
    !record.isDisabled && (record.expiresAtMs === undefined || record.expiresAtMs > clock.nowMs());

  return {
    list: async (projectId) => show(await listRobots(database.read, projectId)),
    find: async (id) => {
      const record = await findRobot(database.read, id);
      if (record === undefined) return undefined;
      const project = record.projectId === undefined ? undefined : await findProject(database.read, record.projectId);
      if (record.projectId !== undefined && project === undefined) return undefined;
      return { view: await showOne(record), project };
    },
    create: async (caller, wish) => {
      requireName(wish.name);
      const find = projectFor(caller);
      const project = wish.level === 'project' ? await projectOf(wish.permissions, find) : undefined;
      requireMaker(access, caller, project);
      const grants = await resolvePermissions(wish.permissions, find);
      if (project !== undefined) requireInside(grants, project);
      await requireHeld(caller, grants, project === undefined ? [] : [project]);
      const secret = wish.secret === undefined || wish.secret === '' ? makeSecret('robot') : requireStrongSecret(wish.secret);
      const record = await database.run('createRobot', {
        name: wish.name,
        ...(project === undefined ? {} : { projectId: project.id }),
        creator: principalKey(caller),
        description: wish.description,
        secretHash: hashSecret(secret.reveal()),
        isDisabled: wish.isDisabled,
        ...(await lifetimeOf(wish.durationDays, clock.nowMs())),
        grants,
        networks: readNetworks(wish.networks),
      });
      return { robot: await showOne(record), secret };
    },
    update: async (caller, { record, permissions: before }, change) => {
      if (caller.kind === 'robot' && caller.id === record.id) throw new OciError('DENIED', 'a robot does not change itself');
      const grants = await changedGrants(caller, record, before, change.permissions);
      const days = change.durationDays;
      const changed = await database.run('changeRobot', {
        id: record.id,
        ...(change.description === undefined ? {} : { description: change.description }),
        ...(change.isDisabled === undefined ? {} : { isDisabled: change.isDisabled }),
        ...(days === undefined || days === record.durationDays ? {} : { lifetime: await lifetimeOf(days, record.createdAtMs) }),
        ...(grants === undefined ? {} : { grants }),
        ...(change.networks === undefined ? {} : { networks: readNetworks(change.networks) }),
      });
      onChange();
      return showOne(changed);
    },
    refresh: async (caller, { record }, chosen) => {
      const isItself = caller.kind === 'robot' && caller.id === record.id;
      if (!isItself) await requireHeld(caller, record.grants, await ownProject(record));
      const secret = chosen === undefined || chosen === '' ? makeSecret('robot') : requireStrongSecret(chosen);
      await database.run('changeRobot', { id: record.id, secretHash: hashSecret(secret.reveal()) });
      onChange();
      return secret;
    },
    delete: async ({ record }) => {
      if (!(await database.run('deleteRobot', { id: record.id }))) throw new OciError('NOT_FOUND', 'there is no such robot');
      onChange();
    },
    ownsName: async (name) => name.startsWith((await settings()).namePrefix),
    authenticate: async (name, secret, address) => {
      const { namePrefix } = await settings();
      const [own = '', project] = name.slice(namePrefix.length).split('+', 2).reverse();
      const found = name.startsWith(namePrefix) ? await byLogin(own, project) : undefined;
      const fits = isSameDigest(hashSecret(secret), found?.secretHash ?? decoy);
      if (found === undefined || !fits || !isAlive(found) || !isInNetworks(found.networks, address)) return undefined;
      uses.note('robot', found.id, address);
      return toPrincipal(found, namePrefix);
    },
    principals: {
      prefix: 'robot',
      find: async (key) => {
        const id = /^robot:(\d{1,15})$/.exec(key)?.[1];
        const record = id === undefined ? undefined : await byId(Number(id));
        return record === undefined || !isAlive(record) ? undefined : toPrincipal(record, (await settings()).namePrefix);
      },
    },
  };

  async function ownProject(record: RobotRecord): Promise<Project[]> {
    const project = record.projectId === undefined ? undefined : await findProject(database.read, record.projectId);
    return project === undefined ? [] : [project];
  }

  /** Undefined when nothing about them changes. */
  async function changedGrants(
    caller: Principal,
    record: RobotRecord,
    before: readonly PermissionWords[],
    wanted: readonly PermissionWords[] | undefined,
  ): Promise<StoredGrant[] | undefined> {
    if (wanted === undefined || isSamePermissions(before, wanted)) return undefined;
    const grants = await resolvePermissions(wanted, projectFor(caller));
    const own = await ownProject(record);
    for (const project of own) requireInside(grants, project);
    await requireHeld(caller, grants, own);
    return grants;
  }
}

function nameOf(prefix: string, { name, projectName }: RobotRecord): string {
  return `${prefix}${projectName === undefined ? '' : `${projectName}+`}${name}`;
}

function toPrincipal(record: RobotRecord, prefix: string): RobotPrincipal {
  return {
    kind: 'robot',
    id: record.id,
    name: nameOf(prefix, record),
    grants: toGrantSet(record.grants),
    epoch: record.epoch,
  };
}

function requireName(name: string): void {
  if (name.length > nameMaxLength || !namePattern.test(name))
    throw new OciError(
      'BAD_REQUEST',
      `name: expected at most ${nameMaxLength} of a-z, 0-9, and single . _ - between them, without prefix and project`,
    );
}

/** The project of a robot of the level project: the one that its permissions name. */
async function projectOf(permissions: readonly PermissionWords[], find: (name: string) => Promise<Project | undefined>): Promise<Project> {
  const namespace = permissions[0]?.namespace ?? '';
  const [name = ''] = namespace.split('/', 1);
  if (name === '' || name.includes('*'))
    throw new OciError('BAD_REQUEST', 'permissions: a robot of the level project needs the name of its project as namespace');
  const project = await find(name);
  if (project === undefined) throw new OciError('NAME_UNKNOWN', `there is no project named ${name}`);
  return project;
}

function requireMaker(access: AccessPolicy, caller: Principal, project: Project | undefined): void {
  const may =
    project === undefined ? decideSystem(caller, 'robot:create') : decide(access, caller, 'robot:create', { kind: 'project', project });
  if (!may) throw new OciError('DENIED', `you may not make robots ${project === undefined ? 'of the server' : `of ${project.name}`}`);
}

function isSamePermissions(one: readonly PermissionWords[], other: readonly PermissionWords[]): boolean {
  const text = (permissions: readonly PermissionWords[]): string =>
    JSON.stringify(
      permissions
        .map(({ kind, namespace, access }) => [
          kind,
          namespace,
          [...new Set(access.map((word) => `${word.resource}:${word.action}`))].sort(),
        ])
        .sort(),
    );
  return text(one) === text(other);
}

/** The names that clients call a robot by: with prefix and project, without the prefix, and its own alone. */
export function namesOf({ name, record }: RobotView): readonly string[] {
  return [name, nameOf('', record), record.name];
}
