import { expect, test } from 'bun:test';
import type { Project } from '../db/projects.ts';
import { type AccessPolicy, decide } from './access.ts';
import { projectActions } from './actions.ts';
import type { Principal } from './principal.ts';
import { inProject, testAdmin, testUser } from './principal-fixture.ts';
import { projectScope } from './project-scope.ts';

const projects: readonly Project[] = ['a', 'b', 'team-a', 'team-b'].map((name, index) => ({
  id: index + 1,
  name,
  kind: 'local',
  isPublic: index % 2 === 0,
  registry: undefined,
  allowsSparse: false,
  epoch: 0,
  ownerId: undefined,
  createdAtMs: 0,
  updatedAtMs: 0,
}));
const actions = new Set(projectActions);

test('a list holds exactly the projects in which decide allows the action', async () => {
  const principals: readonly Principal[] = [
    { kind: 'anonymous' },
    { kind: 'anonymous', address: '10.0.0.1' },
    { kind: 'system' },
    testAdmin(),
    testUser(),
    testUser(3, 'x', [inProject(2, 'project:read', 'member:list'), inProject(3, 'member:list')]),
    testUser(3, 'x', [{ where: { kind: 'projects', glob: 'team-*' }, actions }]),
    testUser(3, 'x', [{ where: { kind: 'all-projects' }, actions: new Set(['project:read']) }]),
    testUser(3, 'x', [{ where: { kind: 'repositories', glob: '**' }, actions }]),
    testUser(3, 'x', [{ where: { kind: 'system' }, actions }]),
  ];
  const policies: readonly AccessPolicy[] = [
    { anonymousPull: true },
    { anonymousPull: false },
    { anonymousPull: true, allowsAnonymous: (address, project) => address === '10.0.0.1' && project.name === 'a' },
  ];
  for (const policy of policies) {
    for (const principal of principals) {
      for (const action of projectActions) {
        const scope = await projectScope(policy, principal, action, async () => projects);
        const listed = projects.filter((one) => scope === 'all' || (scope.publicToo && one.isPublic) || scope.ids.includes(one.id));
        const allowed = projects.filter((project) => decide(policy, principal, action, { kind: 'project', project }));
        // Nobody pushes to a mirror, which a list of projects need not know.
        expect(listed.map((one) => one.name)).toEqual(allowed.map((one) => one.name));
      }
    }
  }
});
