import { describe, expect, test } from 'bun:test';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { requireRepositoryName } from '../oci/reference.ts';
import { accessFallback, authorize, decide, decideSystem, ownerOf, type RepositoryAction, type SystemAction } from './access.ts';
import type { Principal } from './principal.ts';

const principals: readonly Principal[] = [
  { kind: 'anonymous' },
  { kind: 'user', id: 2, name: 'admin', isAdmin: false },
  { kind: 'user', id: 1, name: 'someone', isAdmin: true },
];
const actions: readonly RepositoryAction[] = ['pull', 'push', 'delete'];
const systemActions: readonly SystemAction[] = [
  'project:list',
  'project:read',
  'project:create',
  'project:delete',
  'source:list',
  'explain:read',
  'catalog:read-all',
];
const projects: readonly Project[] = (['local', 'mirror', 'overlay'] as const).flatMap((kind) =>
  [true, false].map((isPublic) => ({ id: 7, name: 'team', kind, isPublic, registry: undefined, allowsSparse: false, createdAtMs: 0 })),
);
const policies = [{ anonymousPull: true }, { anonymousPull: false }];
const cases = policies.flatMap((policy) =>
  principals.flatMap((principal) => actions.flatMap((action) => projects.map((project) => ({ policy, principal, action, project })))),
);

/** The rules once more, as one table: who may do what where. */
function expected({ policy, principal, action, project }: (typeof cases)[number]): boolean {
  const key = `${principal.kind === 'anonymous' ? 'anonymous' : principal.isAdmin ? 'admin' : 'user'} ${action}`;
  switch (key) {
    case 'admin pull':
    case 'admin delete':
      return true;
    case 'admin push':
      return project.kind !== 'mirror';
    case 'user pull':
      return project.isPublic;
    case 'anonymous pull':
      return project.isPublic && policy.anonymousPull;
    default:
      return false;
  }
}

describe('rights in a repository', () => {
  test('are those of the table, for every principal, action, kind and visibility', () => {
    expect(cases).toHaveLength(2 * 3 * 3 * 6);
    for (const item of cases)
      expect([item, decide(item.policy, item.principal, item.action, item.project)]).toEqual([item, expected(item)]);
  });

  test('are given as an Access exactly when they are there, else refused with the code for who asks', () => {
    for (const { policy, principal, action, project } of cases) {
      const target = { project, name: requireRepositoryName('team/app') };
      if (decide(policy, principal, action, project)) {
        expect(authorize(policy, principal, action, target)).toMatchObject({ principal, target });
        continue;
      }
      const error = capture(() => authorize(policy, principal, action, target));
      // Nobody is told of what is there before a login.
      const code =
        principal.kind === 'anonymous' ? 'UNAUTHORIZED' : project.kind === 'mirror' && action === 'push' ? 'UNSUPPORTED' : 'DENIED';
      expect(error).toMatchObject({ code });
    }
  });

  test('an anonymous refusal is word for word the same whatever the project', () => {
    const messages = projects.flatMap((project) =>
      actions.map((action) => {
        const target = { project: { ...project, isPublic: false }, name: requireRepositoryName('team/app') };
        const { code, message, detail } = capture(() => authorize({ anonymousPull: true }, { kind: 'anonymous' }, action, target));
        return JSON.stringify({ code, message, detail });
      }),
    );
    expect(new Set(messages).size).toBe(1);
  });

  test('come from the id and the flag, never from the name', () => {
    const [, impostor] = principals;
    if (impostor === undefined) throw new Error('no such principal');
    for (const project of projects) expect(decide({ anonymousPull: true }, impostor, 'push', project)).toBe(false);
    for (const action of systemActions) expect(decideSystem(impostor, action)).toBe(false);
  });
});

test('rights on the server are administrators only', () => {
  for (const action of systemActions) expect(principals.map((principal) => decideSystem(principal, action))).toEqual([false, false, true]);
});

test('the owner of a session is the account, not its name', () => {
  const target = { project: projects[0] ?? fail(), name: requireRepositoryName('team/app') };
  const owner = (id: number, name: string): string =>
    ownerOf(authorize({ anonymousPull: true }, { kind: 'user', id, name, isAdmin: true }, 'push', target));
  expect(owner(1, 'a')).toBe(owner(1, 'b'));
  expect(owner(1, 'a')).not.toBe(owner(2, 'a'));
});

test('the other half of an overlay is open to who may pull it', () => {
  const project = projects[0] ?? fail();
  const fallback = { project, name: requireRepositoryName('docker.io/library/app') };
  const target = { project, name: requireRepositoryName('library/app') };
  const pull = (overlay: typeof target & { fallback?: typeof fallback }) =>
    authorize({ anonymousPull: true }, { kind: 'anonymous' }, 'pull', overlay);
  expect(accessFallback(pull({ ...target, fallback }))?.target).toBe(fallback);
  expect(accessFallback(pull(target))).toBeUndefined();
});

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
