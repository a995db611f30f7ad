import { describe, expect, test } from 'bun:test';
import { findUnmet, requireConditions } from './workload-claims.ts';

const claims = {
  sub: 'repo:team/app:ref:refs/heads/main',
  repository: 'team/app',
  run_number: 17,
  protected: true,
  groups: ['a', 'release'],
  nested: { deep: { value: 'x' } },
  'kubernetes.io': { namespace: 'ci', serviceaccount: { name: 'builder' } },
  'a/b': 'slash',
};

describe('conditions on claims', () => {
  test.each([
    [{ claim: 'repository', equals: 'team/app' }, true],
    [{ claim: 'repository', equals: 'team/ap' }, false],
    [{ claim: 'repository', equals: 'TEAM/app' }, false],
    [{ claim: 'repository', glob: 'team/*' }, true],
    [{ claim: 'repository', glob: '*' }, false],
    [{ claim: 'repository', equals: 'team/*' }, false],
    [{ claim: 'sub', glob: 'repo:team/*:ref:refs/heads/main' }, true],
    [{ claim: 'sub', glob: 'repo:team/*' }, false],
    [{ claim: 'run_number', equals: '17' }, true],
    [{ claim: 'protected', equals: 'true' }, true],
    [{ claim: 'groups', equals: 'release' }, true],
    [{ claim: 'groups', glob: 'rel*' }, true],
    [{ claim: 'groups', equals: 'a,release' }, false],
    [{ claim: '/kubernetes.io/serviceaccount/name', equals: 'builder' }, true],
    [{ claim: '/kubernetes.io/serviceaccount/name', equals: 'other' }, false],
    [{ claim: '/nested/deep', equals: '[object Object]' }, false],
    [{ claim: '/a~1b', equals: 'slash' }, true],
    [{ claim: 'absent', glob: '**' }, false],
    [{ claim: 'toString', glob: '**' }, false],
    [{ claim: '__proto__', glob: '**' }, false],
    [{ claim: '/constructor/name', equals: 'Object' }, false],
  ])('of %p it is %p that they meet it', (condition, isMet) => {
    expect(findUnmet([condition], claims) === undefined).toBe(isMet);
  });

  test('all of several conditions must hold, and the first that does not is named', () => {
    const first = { claim: 'repository', equals: 'team/app' };
    const second = { claim: 'sub', equals: 'else' };
    expect(findUnmet([first, second], claims)).toEqual(second);
  });

  test('a rule must narrow whose tokens fit', () => {
    for (const conditions of [
      [],
      [{ claim: 'repository', glob: '**' }],
      [{ claim: 'sub', glob: '*:*' }],
      [{ claim: 'aud', equals: 'https://registry.example' }],
      [{ claim: 'repository' }],
      [{ claim: 'repository', equals: 'a', glob: 'b' }],
      [{ claim: 'repository', glob: '{a' }],
      [{ claim: '', equals: 'a' }],
    ])
      expect(() => requireConditions(conditions)).toThrow(/^claims: /);
    expect(() => requireConditions([{ claim: 'sub', glob: 'repo:team/*' }])).not.toThrow();
    expect(() =>
      requireConditions([
        { claim: 'aud', equals: 'x' },
        { claim: 'repository', equals: 'team/app' },
      ]),
    ).not.toThrow();
  });
});
