import { expect, test } from 'bun:test';
import { shippedEquivalents } from '../config/equivalents.ts';
import { createEquivalents } from './equivalents.ts';

const configured = (names: readonly string[], guarded: readonly string[] = []) => ({
  sourcesOf: (registry: string) =>
    names.includes(registry) ? [{ id: 'a', registry, url: 'http://a', trust: 'authority', priority: 1, realms: [] } as const] : [],
  isAnonymous: (registry: string) => !guarded.includes(registry),
});
const named = (found: readonly { registry: string; repository: string }[]): string[] =>
  found.map((one) => `${one.registry}/${one.repository}`);

test('the shipped ones lead from Docker Hub to its twin and back, where both are configured', () => {
  const of = createEquivalents({ equivalents: shippedEquivalents, pool: configured(['docker.io', 'public.ecr.aws']) });
  expect(named(of('docker.io', 'library/nginx'))).toEqual(['public.ecr.aws/docker/library/nginx']);
  expect(named(of('public.ecr.aws', 'docker/library/nginx'))).toEqual(['docker.io/library/nginx']);
  expect(of('docker.io', 'somebody/nginx')).toEqual([]);
  const alone = createEquivalents({ equivalents: shippedEquivalents, pool: configured(['docker.io']) });
  expect(alone('docker.io', 'library/nginx')).toEqual([]);
});

test('a pattern means one part, any number of parts, or itself', () => {
  const of = createEquivalents({
    equivalents: [
      { from: 'a.test/one/*', to: 'b.test/*' },
      { from: 'a.test/any/**', to: 'b.test/deep/**' },
      { from: 'a.test/app', to: 'b.test/the/app' },
      { from: 'a.test/app', to: 'a.test/app' },
    ],
    pool: configured(['a.test', 'b.test']),
  });
  expect(named(of('a.test', 'one/x'))).toEqual(['b.test/x']);
  expect(of('a.test', 'one/x/y')).toEqual([]);
  expect(named(of('a.test', 'any/x/y'))).toEqual(['b.test/deep/x/y']);
  expect(named(of('a.test', 'app'))).toEqual(['b.test/the/app']);
  expect(of('a.test', 'application')).toEqual([]);
});

test('nothing is taken from a registry that is asked with credentials', () => {
  const of = createEquivalents({ equivalents: [{ from: 'a.test/*', to: 'b.test/*' }], pool: configured(['a.test', 'b.test'], ['b.test']) });
  expect(of('a.test', 'x')).toEqual([]);
});
