// What a requested name means, without a server: projects, mirrors, overlays, the root registry, explicit registries.

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { Project } from '../db/projects.ts';
import { OciError } from '../oci/errors.ts';
import { parseRepositoryName, requireRepositoryName } from '../oci/reference.ts';
import { canonicalRegistry, type NameRules, resolveName } from './names.ts';

const project = (name: string, kind: Project['kind'], registry?: string): Project => ({
  id: name.length,
  name,
  kind,
  isPublic: true,
  registry,
  allowsSparse: false,
  epoch: 0,
  ownerId: undefined,
  createdAtMs: 0,
  updatedAtMs: 0,
});
const projects = [
  project('docker.io', 'mirror', 'docker.io'),
  project('quay.io', 'mirror', 'quay.io'),
  project('library', 'overlay', 'docker.io'),
  project('team', 'local'),
  project('old', 'mirror', 'gone.example'),
];
const rules: NameRules = {
  projects: {
    byName: async (name) => projects.find((one) => one.name === name),
    mirrorOf: async (registry) => projects.find((one) => one.kind === 'mirror' && one.registry === registry),
  },
  registries: new Set(['docker.io', 'quay.io']),
  rootRegistry: 'docker.io',
};
async function meaning(name: string, registry?: string, using = rules): Promise<string> {
  try {
    const target = await resolveName(using, requireRepositoryName(name), registry);
    if (target === undefined) return 'nothing';
    const text = (one: typeof target): string =>
      `${one.name}${one.upstream === undefined ? '' : ` = ${one.upstream.registry} ${one.upstream.repository}`}`;
    return target.fallback === undefined ? text(target) : `${text(target)}, else ${text(target.fallback)}`;
  } catch (error) {
    return error instanceof OciError ? error.code : String(error);
  }
}

describe('a name', () => {
  test.each([
    ['debian', 'docker.io/library/debian = docker.io library/debian'],
    ['owner/app', 'docker.io/owner/app = docker.io owner/app'],
    ['docker.io/debian', 'docker.io/library/debian = docker.io library/debian'],
    ['docker.io/owner/app', 'docker.io/owner/app = docker.io owner/app'],
    ['quay.io/owner/app', 'quay.io/owner/app = quay.io owner/app'],
    ['quay.io/app', 'quay.io/app = quay.io app'],
    ['library/debian', 'library/debian, else docker.io/library/debian = docker.io library/debian'],
    ['team/app', 'team/app'],
    ['team/deep/app', 'team/deep/app'],
    // One segment that is a project's name is no repository of it.
    ['team', 'docker.io/library/team = docker.io library/team'],
  ])('%s means %s', async (name, wanted) => {
    expect(await meaning(name)).toBe(wanted);
  });

  test('of no project means nothing without a root registry', async () => {
    const { rootRegistry: _none, ...rest } = rules;
    const rootless: NameRules = { ...rest, rootRegistry: undefined };
    expect(await meaning('debian', undefined, rootless)).toBe('nothing');
    expect(await meaning('team/app', undefined, rootless)).toBe('team/app');
  });
});

describe('an explicit registry', () => {
  test.each([
    ['debian', 'docker.io', 'docker.io/library/debian = docker.io library/debian'],
    ['debian', 'index.docker.io', 'docker.io/library/debian = docker.io library/debian'],
    ['team/app', 'docker.io', 'docker.io/team/app = docker.io team/app'],
    ['library/debian', 'docker.io', 'docker.io/library/debian = docker.io library/debian'],
    ['docker.io/library/debian', 'docker.io', 'docker.io/library/debian = docker.io library/debian'],
    ['registry-1.docker.io/library/debian', 'docker.io', 'docker.io/library/debian = docker.io library/debian'],
    ['owner/app', 'quay.io', 'quay.io/owner/app = quay.io owner/app'],
    ['owner/app', 'ghcr.io', 'DENIED'],
    ['owner/app', 'localhost:6379', 'DENIED'],
    ['owner/app', 'gone.example', 'DENIED'],
  ])('%s of %s means %s', async (name, registry, wanted) => {
    expect(await meaning(name, registry)).toBe(wanted);
  });

  test('never leads to local content, nor to one that is not configured', async () => {
    const segment = fc.constantFrom('team', 'library', 'docker.io', 'quay.io', 'owner', 'app');
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { minLength: 1, maxLength: 4 }),
        fc.oneof(fc.domain(), fc.constantFrom('docker.io', 'quay.io')),
        async (parts, registry) => {
          const name = parseRepositoryName(parts.join('/'));
          if (name === undefined) return;
          const target = await resolveName(rules, name, registry).catch((error: unknown) => error);
          if (rules.registries.has(canonicalRegistry(registry))) {
            expect(target).toMatchObject({ upstream: { registry: canonicalRegistry(registry) }, project: { kind: 'mirror' } });
            expect(target).not.toHaveProperty('fallback');
          } else expect(target).toMatchObject({ code: 'DENIED' });
        },
      ),
    );
  });
});
