import { describe, expect, test } from 'bun:test';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepositoryName } from '../oci/reference.ts';
import { accessFallback, authorize, decide, decideSystem, ownerOf, type RepositoryAction } from './access.ts';
import { type Action, projectActions, systemActions } from './actions.ts';
import type { GrantScope } from './grants.ts';
import type { Principal } from './principal.ts';
import { testAdmin, testRobot, testUser } from './principal-fixture.ts';
import { auditorActions, builtinRoles, publicActions } from './roles.ts';

const projects: readonly Project[] = (['local', 'mirror', 'overlay'] as const).flatMap((kind) =>
  [true, false].map((isPublic) => project(7, 'team', { kind, isPublic })),
);
const policies = [{ anonymousPull: true }, { anonymousPull: false }];
const writing: ReadonlySet<Action> = new Set<Action>(['repository:push', 'artifact:create', 'tag:create']);
const roleOf = (name: string): ReadonlySet<Action> => builtinRoles.find((role) => role.name === name)?.actions ?? fail();
const holding = (where: GrantScope, actions: ReadonlySet<Action>): Principal => testUser(3, 'holder', [{ where, actions }]);

/** Who asks, and which project actions it holds by the rules said once more. */
const principals: readonly {
  who: string;
  principal: Principal;
  holds: (action: Action, isPublic: boolean, anonymous: boolean) => boolean;
}[] = [
  {
    who: 'anonymous',
    principal: { kind: 'anonymous' },
    holds: (action, isPublic, anonymous) => isPublic && anonymous && publicActions.has(action),
  },
  { who: 'a user without rights', principal: testUser(2, 'admin'), holds: (action, isPublic) => isPublic && publicActions.has(action) },
  { who: 'an administrator', principal: testAdmin(1, 'someone'), holds: () => true },
  { who: 'the server itself', principal: { kind: 'system' }, holds: () => true },
  ...builtinRoles.map((role) => ({
    who: `its ${role.name}`,
    principal: holding({ kind: 'project', projectId: 7 }, role.actions),
    holds: (action: Action, isPublic: boolean) => role.actions.has(action) || (isPublic && publicActions.has(action)),
  })),
  {
    who: "another project's admin",
    principal: holding({ kind: 'project', projectId: 8 }, roleOf('projectAdmin')),
    holds: (action, isPublic) => isPublic && publicActions.has(action),
  },
  {
    who: 'an auditor',
    principal: holding({ kind: 'everywhere' }, auditorActions),
    holds: (action, isPublic) => auditorActions.has(action) || (isPublic && publicActions.has(action)),
  },
  {
    who: 'a developer of all projects',
    principal: holding({ kind: 'all-projects' }, roleOf('developer')),
    holds: (action, isPublic) => roleOf('developer').has(action) || (isPublic && publicActions.has(action)),
  },
  {
    who: 'a developer by a glob of projects',
    principal: holding({ kind: 'projects', glob: 'te*' }, roleOf('developer')),
    holds: (action, isPublic) => roleOf('developer').has(action) || (isPublic && publicActions.has(action)),
  },
  {
    who: 'a developer by a glob of repositories',
    principal: holding({ kind: 'repositories', glob: 'team/a*' }, roleOf('developer')),
    holds: (action, isPublic) => roleOf('developer').has(action) || (isPublic && publicActions.has(action)),
  },
  {
    who: 'a developer by globs that do not match',
    principal: testUser(4, 'x', [
      { where: { kind: 'projects', glob: 'other*' }, actions: roleOf('developer') },
      { where: { kind: 'repositories', glob: 'team/b/**' }, actions: roleOf('developer') },
    ]),
    holds: (action, isPublic) => isPublic && publicActions.has(action),
  },
  {
    who: 'a robot that may pull',
    principal: testRobot([{ where: { kind: 'project', projectId: 7 }, actions: new Set(['repository:pull']) }]),
    holds: (action, isPublic) => action === 'repository:pull' || (isPublic && publicActions.has(action)),
  },
];

describe('rights in a repository', () => {
  test('are those of the table, for every principal, action, kind and visibility', () => {
    let cases = 0;
    for (const policy of policies) {
      for (const item of projects) {
        for (const { who, principal, holds } of principals) {
          for (const action of projectActions) {
            const expected = !(item.kind === 'mirror' && writing.has(action)) && holds(action, item.isPublic, policy.anonymousPull);
            const given = decide(policy, principal, action, { kind: 'project', project: item, repository: 'team/app' });
            expect([who, action, item.kind, item.isPublic, given]).toEqual([who, action, item.kind, item.isPublic, expected]);
            cases++;
          }
        }
      }
    }
    expect(cases).toBe(policies.length * projects.length * principals.length * projectActions.length);
  });

  test('of a repository glob do not reach the project itself', () => {
    const principal = holding({ kind: 'repositories', glob: 'team/**' }, roleOf('projectAdmin'));
    const resource = { kind: 'project', project: project(7, 'team') } as const;
    expect(decide({ anonymousPull: true }, principal, 'project:delete', resource)).toBe(false);
    expect(decide({ anonymousPull: true }, principal, 'repository:push', { ...resource, repository: 'team/x' })).toBe(true);
  });

  test('can be narrowed for anonymous clients by where they are', () => {
    const policy = { anonymousPull: true, allowsAnonymous: (address: string | undefined) => address === '10.0.0.1' };
    const resource = { kind: 'project', project: project(7, 'team', { isPublic: true }) } as const;
    expect(decide(policy, { kind: 'anonymous', address: '10.0.0.1' }, 'repository:pull', resource)).toBe(true);
    expect(decide(policy, { kind: 'anonymous', address: '10.0.0.2' }, 'repository:pull', resource)).toBe(false);
    expect(decide(policy, testUser(), 'repository:pull', resource)).toBe(true);
  });

  test('are given as an Access exactly when they are there, else refused with the code for who asks', () => {
    const needed: Record<RepositoryAction, Action> = { pull: 'repository:pull', push: 'repository:push', delete: 'artifact:delete' };
    for (const policy of policies) {
      for (const item of projects) {
        for (const { principal } of principals) {
          for (const action of ['pull', 'push', 'delete'] as const) {
            const target = { project: item, name: requireRepositoryName('team/app') };
            const resource = { kind: 'project', project: item, repository: 'team/app' } as const;
            if (decide(policy, principal, needed[action], resource)) {
              expect(authorize(policy, principal, action, target)).toMatchObject({ principal, target });
              continue;
            }
            const isSeen = decide(policy, principal, 'repository:pull', resource);
            const code =
              principal.kind === 'anonymous'
                ? 'UNAUTHORIZED'
                : item.kind === 'mirror' && action === 'push' && isSeen
                  ? 'UNSUPPORTED'
                  : 'DENIED';
            expect(capture(() => authorize(policy, principal, action, target))).toMatchObject({ code });
          }
        }
      }
    }
  });

  test('an anonymous refusal is word for word the same whatever the project', () => {
    const messages = projects.flatMap((item) =>
      (['pull', 'push', 'delete'] as const).map((action) => {
        const target = { project: { ...item, isPublic: false }, name: requireRepositoryName('team/app') };
        const { code, message, detail } = capture(() => authorize({ anonymousPull: true }, { kind: 'anonymous' }, action, target));
        return JSON.stringify({ code, message, detail });
      }),
    );
    expect(new Set(messages).size).toBe(1);
  });
});

describe('rights on the server', () => {
  test('are those of administrators and of who was granted them; a role in a project gives none', () => {
    for (const action of systemActions) {
      expect(decideSystem(testAdmin(), action)).toBe(true);
      expect(decideSystem({ kind: 'anonymous' }, action)).toBe(false);
      expect(decideSystem(testUser(), action)).toBe(false);
      expect(decideSystem(holding({ kind: 'everywhere' }, auditorActions), action)).toBe(/:(read|list)$/.test(action));
      for (const role of builtinRoles) expect(decideSystem(holding({ kind: 'project', projectId: 7 }, role.actions), action)).toBe(false);
      expect(decideSystem(holding({ kind: 'all-projects' }, new Set(systemActions)), action)).toBe(false);
    }
  });
});

test('roles grow from each other, but for what is meant: a developer may not edit retention', () => {
  const [admin, maintainer, developer, guest, limited] = builtinRoles.map((role) => role.actions);
  const isWithin = (small: ReadonlySet<Action> | undefined, large: ReadonlySet<Action> | undefined): boolean =>
    small !== undefined && large !== undefined && small.isSubsetOf(large);
  expect(isWithin(limited, guest) && isWithin(guest, developer) && isWithin(developer, maintainer) && isWithin(maintainer, admin)).toBe(
    true,
  );
  expect([...(developer ?? [])].filter((action) => /delete$|retention:(create|update|delete|operate)/.test(action))).toEqual([
    'artifact-label:delete',
  ]);
});

test('the owner of a session is the account, not its name', () => {
  const target = { project: project(7, 'team'), name: requireRepositoryName('team/app') };
  const owner = (principal: Principal): string => ownerOf(authorize({ anonymousPull: true }, principal, 'push', target));
  const pusher = [{ where: { kind: 'project', projectId: 7 }, actions: roleOf('developer') }] as const;
  expect(owner(testAdmin(1, 'a'))).toBe(owner(testAdmin(1, 'b')));
  expect(owner(testAdmin(1, 'a'))).not.toBe(owner(testAdmin(2, 'a')));
  expect(owner(testRobot(pusher, 1))).not.toBe(owner(testUser(1, 'a', pusher)));
});

test('the other half of an overlay is open to who may pull it', () => {
  const open = project(7, 'team', { isPublic: true });
  const fallback = { project: open, name: requireRepositoryName('docker.io/library/app') };
  const target = { project: open, name: requireRepositoryName('library/app') };
  const pull = (overlay: typeof target & { fallback?: typeof fallback }) =>
    authorize({ anonymousPull: true }, { kind: 'anonymous' }, 'pull', overlay);
  expect(accessFallback(pull({ ...target, fallback }))?.target).toBe(fallback);
  expect(accessFallback(pull(target))).toBeUndefined();
});

function project(id: number, name: string, changes: Partial<Project> = {}): Project {
  return {
    id,
    name,
    kind: 'local',
    isPublic: false,
    registry: undefined,
    allowsSparse: false,
    epoch: 0,
    ownerId: undefined,
    createdAtMs: 0,
    updatedAtMs: 0,
    ...changes,
  };
}

function capture(act: () => unknown): OciError {
  try {
    act();
  } catch (error) {
    if (error instanceof OciError) return error;
    throw error;
  }
  return fail();
}

function fail(): never {
  throw new Error('nothing was thrown');
}
