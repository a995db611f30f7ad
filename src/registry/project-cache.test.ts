import { describe, expect, test } from 'bun:test';
import type { Project } from '../db/projects.ts';
import { createFakeClock } from '../lib/clock.ts';
import { createProjectCache } from './project-cache.ts';

const project = (id: number): Project => ({
  id,
  name: 'team',
  kind: 'local',
  isPublic: true,
  registry: undefined,
  allowsSparse: false,
  epoch: 0,
  ownerId: undefined,
  createdAtMs: 0,
  updatedAtMs: 0,
});

function setUp() {
  const clock = createFakeClock();
  const state = { asked: 0, answer: async (): Promise<Project | undefined> => project(1) };
  const ask = (): Promise<Project | undefined> => {
    state.asked++;
    return state.answer();
  };
  return { clock, state, cache: createProjectCache({ byName: ask, mirrorOf: ask }, clock) };
}

describe('a project', () => {
  test('is remembered for a second', async () => {
    const { clock, state, cache } = setUp();
    await cache.byName('team');
    clock.advance(999);
    expect((await cache.byName('team'))?.id).toBe(1);
    expect(state.asked).toBe(1);
    clock.advance(1);
    state.answer = async () => project(2);
    expect((await cache.byName('team'))?.id).toBe(2);
  });

  test('by name is another one than by registry', async () => {
    const { state, cache } = setUp();
    await cache.byName('docker.io');
    state.answer = async () => project(2);
    expect((await cache.mirrorOf('docker.io'))?.id).toBe(2);
    expect((await cache.byName('docker.io'))?.id).toBe(1);
  });

  test('that is not there is remembered as long, and forgotten when one is made here', async () => {
    const { clock, state, cache } = setUp();
    state.answer = async () => undefined;
    expect(await cache.byName('team')).toBeUndefined();
    state.answer = async () => project(1);
    expect(await cache.byName('team')).toBeUndefined();
    clock.advance(1000);
    expect((await cache.byName('team'))?.id).toBe(1);
    state.answer = async () => undefined;
    expect(await cache.byName('other')).toBeUndefined();
    state.answer = async () => project(2);
    cache.forget();
    expect((await cache.byName('other'))?.id).toBe(2);
  });

  test('is not pushed out by names that mean nothing', async () => {
    const { state, cache } = setUp();
    await cache.byName('team');
    state.answer = async () => undefined;
    for (let index = 0; index < 20_000; index++) await cache.byName(`nothing-${index}`);
    expect((await cache.byName('team'))?.id).toBe(1);
  });

  test('that was changed here is asked for at once', async () => {
    const { state, cache } = setUp();
    await cache.byName('team');
    state.answer = async () => project(2);
    cache.forget();
    expect((await cache.byName('team'))?.id).toBe(2);
  });

  test('that was read before a change and arrives after it is not remembered', async () => {
    const { state, cache } = setUp();
    const late = Promise.withResolvers<Project | undefined>();
    state.answer = () => late.promise;
    const asked = cache.byName('team');
    cache.forget();
    late.resolve(project(1));
    await asked;
    state.answer = async () => project(2);
    expect((await cache.byName('team'))?.id).toBe(2);
  });
});
