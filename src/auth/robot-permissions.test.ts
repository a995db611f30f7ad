import { describe, expect, test } from 'bun:test';
import type { Project } from '../db/projects.ts';
import type { StoredGrant } from '../db/robots.ts';
import { compileGrants, type Grant } from './grants.ts';
import type { Principal } from './principal.ts';
import { describeGrants, findExcess, resolvePermissions, toGrantSet } from './robot-permissions.ts';

const names = new Map([
  [3, 'team-a'],
  [4, 'team-b'],
]);
const find = async (name: string): Promise<Project | undefined> => {
  const id = [...names].find(([, known]) => known === name)?.[0];
  return id === undefined ? undefined : ({ id, name } as Project);
};
const pull = [{ resource: 'repository', action: 'pull' }];
const user = (...grants: Grant[]): Principal => ({
  kind: 'user',
  id: 9,
  name: 'u',
  isAdmin: false,
  grants: compileGrants(grants),
  epoch: 0,
});

describe('permissions of a robot', () => {
  test('become grants with ids in place of names, and are told in the same words again', async () => {
    const words = [
      { kind: 'project', namespace: 'team-a', access: [...pull, { resource: 'repository', action: 'push', effect: 'allow' }, ...pull] },
      { kind: 'project', namespace: '*', access: pull },
      { kind: 'project', namespace: 'team-*', access: pull },
      { kind: 'project', namespace: 'team-a/ci/**', access: pull },
      { kind: 'system', namespace: '/', access: [{ resource: 'audit-log', action: 'list' }] },
    ];
    const grants = await resolvePermissions(words, find);
    expect(grants).toEqual([
      { where: { kind: 'project', projectId: 3 }, actions: ['repository:pull', 'repository:push'] },
      { where: { kind: 'all-projects' }, actions: ['repository:pull'] },
      { where: { kind: 'projects', glob: 'team-*' }, actions: ['repository:pull'] },
      { where: { kind: 'repositories', glob: 'team-a/ci/**' }, actions: ['repository:pull'] },
      { where: { kind: 'system' }, actions: ['audit-log:list'] },
    ]);
    const told = describeGrants(grants, names);
    expect(told.map(({ kind, namespace }) => [kind, namespace])).toEqual(words.map(({ kind, namespace }) => [kind, namespace]));
    expect(told[0]?.access.map(({ action }) => action)).toEqual(['pull', 'push']);
  });

  test('for a project that is gone give nothing and are not told', () => {
    const grants: StoredGrant[] = [{ where: { kind: 'project', projectId: 77 }, actions: ['repository:pull'] }];
    expect(describeGrants(grants, names)).toEqual([]);
    expect(toGrantSet(grants).allowsIn({ projectId: 3, projectName: 'team-a' }, 'repository:pull')).toBe(false);
  });

  test('a system right kept for a project, and an action of a later version, give nothing', () => {
    const grants: StoredGrant[] = [{ where: { kind: 'project', projectId: 3 }, actions: ['user:create', 'teleport:go'] }];
    expect(toGrantSet(grants).allowsIn({ projectId: 3, projectName: 'team-a' }, 'user:create')).toBe(false);
  });

  test.each([
    [[], /at least one/],
    [[{ kind: 'project', namespace: 'team-a', access: [] }], /has no access/],
    [[{ kind: 'galaxy', namespace: 'team-a', access: pull }], /system or project/],
    [[{ kind: 'system', namespace: 'team-a', access: pull }], /is "\/"/],
    [
      [{ kind: 'system', namespace: '/', access: pull }],
      /no right "repository:pull" of kind system; resources of kind system are: project, /,
    ],
    [[{ kind: 'project', namespace: 'team-a', access: [{ resource: 'repository', action: 'fly' }] }], /there are: list, read/],
    [[{ kind: 'project', namespace: 'team-a', access: [{ resource: '*', action: '*' }] }], /no right "\*:\*"/],
    [[{ kind: 'project', namespace: 'team-a', access: [{ resource: 'repository', action: 'pull', effect: 'deny' }] }], /only given/],
    [[{ kind: 'project', namespace: 'team-{a', access: pull }], /no pattern/],
    [[{ kind: 'project', namespace: 'nowhere', access: pull }], /no project named nowhere/],
  ])('%p are refused in words that help', async (permissions, message) => {
    await expect(resolvePermissions(permissions, find)).rejects.toThrow(message);
  });
});

describe('what somebody may give away', () => {
  const projectAdmin = user({ where: { kind: 'project', projectId: 3 }, actions: new Set(['repository:pull', 'repository:push']) });
  const inProject = (projectId: number, ...actions: string[]): StoredGrant => ({ where: { kind: 'project', projectId }, actions });

  test('are rights held in that project, and no others', () => {
    expect(findExcess(projectAdmin, [inProject(3, 'repository:pull', 'repository:push')], names)).toBeUndefined();
    expect(findExcess(projectAdmin, [inProject(3, 'repository:pull', 'member:create')], names)).toBe('member:create in team-a');
    expect(findExcess(projectAdmin, [inProject(4, 'repository:pull')], names)).toBe('repository:pull in team-b');
    expect(findExcess(projectAdmin, [inProject(77, 'repository:pull')], names)).toBe('repository:pull in a project that is gone');
  });

  test('are rights in all projects or by glob only when they are held as widely', () => {
    for (const where of [{ kind: 'all-projects' }, { kind: 'projects', glob: 'team-*' }, { kind: 'repositories', glob: '**' }] as const) {
      const wanted = [{ where, actions: ['repository:pull'] }];
      expect(findExcess(projectAdmin, wanted, names)).toBeDefined();
      expect(findExcess(user({ where: { kind: 'all-projects' }, actions: new Set(['repository:pull']) }), wanted, names)).toBeUndefined();
    }
    const byGlob = user({ where: { kind: 'projects', glob: 'team-*' }, actions: new Set(['repository:pull']) });
    expect(findExcess(byGlob, [{ where: { kind: 'projects', glob: 'team-*' }, actions: ['repository:pull'] }], names)).toBeUndefined();
    expect(findExcess(byGlob, [{ where: { kind: 'projects', glob: '*' }, actions: ['repository:pull'] }], names)).toBeDefined();
  });

  test('are rights in some repositories of a project that they are held in', () => {
    const wanted = (glob: string): StoredGrant[] => [{ where: { kind: 'repositories', glob }, actions: ['repository:push'] }];
    expect(findExcess(projectAdmin, wanted('team-a/ci/**'), names)).toBeUndefined();
    expect(findExcess(projectAdmin, wanted('team-b/ci/**'), names)).toBeDefined();
    expect(findExcess(projectAdmin, wanted('team-*/ci/**'), names)).toBeDefined();
  });

  test('are rights on the server when they are held there: a right in every project is none', () => {
    const wanted: StoredGrant[] = [{ where: { kind: 'system' }, actions: ['robot:create'] }];
    expect(findExcess(user({ where: { kind: 'all-projects' }, actions: new Set(['robot:create']) }), wanted, names)).toBe(
      'robot:create in /',
    );
    expect(findExcess(user({ where: { kind: 'system' }, actions: new Set(['robot:create']) }), wanted, names)).toBeUndefined();
    expect(findExcess({ kind: 'anonymous' }, wanted, names)).toBeDefined();
  });
});
