// The roles against Harbor's own matrix, written down here once more as a table. Where ours differs, the difference is listed with its reason.

import { expect, test } from 'bun:test';
import { projectActions } from '../../src/auth/actions.ts';
import { builtinRoles } from '../../src/auth/roles.ts';

const words: Readonly<Record<string, string>> = { c: 'create', r: 'read', u: 'update', d: 'delete', l: 'list', o: 'operate' };
const columns = ['projectAdmin', 'maintainer', 'developer', 'guest', 'limitedGuest'] as const;

/** Rows of Harbor's matrix: resource, then what each role may (letters, or whole words). */
const harbor: readonly (readonly [resource: string, ...cells: readonly string[]])[] = [
  ['project', 'r u d', 'r', 'r', 'r', 'r'],
  ['member', 'c r u d l', 'r l', 'r l', 'r l', ''],
  ['metadata', 'c r u d', 'r', '', '', ''],
  ['log', 'l', '', '', '', ''],
  ['label', 'c r u d l', 'c r u d l', 'r l', 'r l', ''],
  ['quota', 'r', 'r', 'r', 'r', 'r'],
  ['repository', 'r u d l pull push', 'r u d l pull push', 'r u l pull push', 'r l pull', 'r l pull'],
  ['tag-retention', 'c r u d l o', 'c r u d l o', 'c r u d l o', '', ''],
  ['immutable-tag', 'c u d l', 'c u d l', '', '', ''],
  ['configuration', 'r u', 'r', 'r', 'r', 'r'],
  ['robot', 'c r u d l', 'r l', 'r l', 'r l', ''],
  ['notification-policy', 'c r u d l', 'r l', '', '', ''],
  ['scan', 'c r stop', 'c r stop', 'r', 'r', 'r'],
  ['sbom', 'c r stop', 'c r stop', 'r', 'r', 'r'],
  ['scanner', 'c r', 'r', 'r', 'r', 'r'],
  ['artifact', 'c r d l', 'c r d l', 'c r l', 'r l', 'r l'],
  ['artifact-addition', 'r', 'r', 'r', 'r', 'r'],
  ['tag', 'c d l', 'c d l', 'c l', 'l', 'l'],
  ['accessory', 'l', 'l', 'l', 'l', 'l'],
  ['artifact-label', 'c d', 'c d', 'c d', '', ''],
  ['preheat-policy', 'c r u d l', '', '', '', ''],
  ['export-cve', 'c r l', 'c r l', 'c r l', '', ''],
];

/** Role, action, and whether ours has it where Harbor's has not (or the other way round). */
const differences: readonly (readonly [role: string, action: string, ours: boolean, reason: string])[] = [
  ...['create', 'update', 'delete', 'operate'].map(
    (word) => ['developer', `tag-retention:${word}`, false, 'a retention rule deletes what a developer may not delete'] as const,
  ),
  ['projectAdmin', 'metadata:list', true, 'who may read every key may list them'],
  ['maintainer', 'metadata:list', true, 'who may read every key may list them'],
];

test("the five roles have what Harbor's have, but for the differences that are listed", () => {
  const expected = new Set(
    harbor.flatMap(([resource, ...cells]) =>
      cells.flatMap((cell, column) =>
        cell
          .split(' ')
          .filter((word) => word !== '')
          .map((word) => `${columns[column]} ${resource}:${words[word] ?? word}`),
      ),
    ),
  );
  for (const [role, action, ours] of differences) {
    expect([role, action, expected.has(`${role} ${action}`)]).toEqual([role, action, !ours]);
    if (ours) expected.add(`${role} ${action}`);
    else expected.delete(`${role} ${action}`);
  }
  const given = builtinRoles.flatMap((role) => [...role.actions].map((action) => `${role.name} ${action}`));
  expect(given.sort()).toEqual([...expected].sort());
});

test("every action of a project is in Harbor's matrix", () => {
  const resources = new Set(harbor.map(([resource]) => resource));
  for (const action of projectActions) expect(resources).toContain(action.slice(0, action.indexOf(':')));
});
