import { describe, expect, test } from 'bun:test';
import type { Action } from './actions.ts';
import { covers } from './coverage.ts';
import type { Grant, GrantScope } from './grants.ts';
import { anonymous, serverItself } from './principal.ts';
import { inProject, testAdmin, testRobot, testUser } from './principal-fixture.ts';

const grant = (where: GrantScope, ...actions: readonly Action[]): Grant => ({ where, actions: new Set(actions) });
const everywhere: GrantScope = { kind: 'everywhere' };
const allProjects: GrantScope = { kind: 'all-projects' };
const system: GrantScope = { kind: 'system' };

describe('covers', () => {
  test('administrators and the server hold everything, nobody holds nothing', () => {
    const wanted = [grant(everywhere, 'user:create', 'repository:push')];
    expect(covers(testAdmin(), wanted)).toBe(true);
    expect(covers(serverItself, wanted)).toBe(true);
    expect(covers(anonymous, wanted)).toBe(false);
    expect(covers(testUser(), wanted)).toBe(false);
    expect(covers(testUser(), [])).toBe(true);
  });

  test('every wanted action must be held where it is wanted', () => {
    const holder = testRobot([inProject(1, 'repository:pull', 'repository:push')]);
    expect(covers(holder, [inProject(1, 'repository:pull')])).toBe(true);
    expect(covers(holder, [inProject(1, 'repository:pull', 'member:create')])).toBe(false);
    expect(covers(holder, [inProject(2, 'repository:pull')])).toBe(false);
    for (const where of [allProjects, everywhere, { kind: 'projects', glob: '*' } as const])
      expect(covers(holder, [grant(where, 'repository:pull')])).toBe(false);
  });

  test('rights on the server are none in projects, and the other way round', () => {
    const onServer = testUser(2, 'a', [grant(system, 'robot:create', 'user:create')]);
    expect(covers(onServer, [grant(system, 'user:create')])).toBe(true);
    expect(covers(onServer, [inProject(1, 'robot:create')])).toBe(false);
    const inAll = testUser(2, 'a', [grant(allProjects, 'robot:create')]);
    expect(covers(inAll, [grant(system, 'robot:create')])).toBe(false);
    expect(covers(inAll, [grant(everywhere, 'robot:create')])).toBe(false);
    expect(
      covers(testUser(2, 'a', [grant(system, 'robot:create'), grant(allProjects, 'robot:create')]), [grant(everywhere, 'robot:create')]),
    ).toBe(true);
  });

  test('a right in all projects covers one, and any glob; a glob covers itself alone', () => {
    const inAll = testUser(2, 'a', [grant(allProjects, 'repository:pull')]);
    for (const where of [
      { kind: 'project', projectId: 7 },
      { kind: 'projects', glob: 'a*' },
      { kind: 'repositories', glob: 'a/**' },
    ] as const)
      expect(covers(inAll, [grant(where, 'repository:pull')])).toBe(true);
    const byGlob = testUser(2, 'a', [grant({ kind: 'projects', glob: 'team-*' }, 'repository:pull')]);
    expect(covers(byGlob, [grant({ kind: 'projects', glob: 'team-*' }, 'repository:pull')])).toBe(true);
    expect(covers(byGlob, [grant({ kind: 'projects', glob: 'team-a' }, 'repository:pull')])).toBe(false);
    expect(covers(byGlob, [grant({ kind: 'repositories', glob: 'team-*' }, 'repository:pull')])).toBe(false);
    expect(covers(byGlob, [inProject(7, 'repository:pull')])).toBe(false);
    expect(covers(byGlob, [inProject(7, 'repository:pull')], 'team-a')).toBe(true);
    expect(covers(byGlob, [inProject(7, 'repository:pull')], 'other')).toBe(false);
  });

  test('words that mean nothing in a project are not asked for there', () => {
    const holder = testUser(2, 'a', [inProject(1, 'repository:pull')]);
    expect(covers(holder, [inProject(1, 'repository:pull', 'user:create')])).toBe(true);
  });
});
