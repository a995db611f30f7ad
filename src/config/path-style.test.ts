// How one address stands for several registries.

import { expect, test } from 'bun:test';
import { type PathStyle, resolvePathStyle } from './path-style.ts';

test.each([
  ['root', 'https://m.example', 'docker.io', 'https://m.example'],
  ['root', 'https://m.example/v2/hub', 'docker.io', 'https://m.example/v2/hub'],
  ['prefix', 'https://m.example', 'docker.io', 'https://m.example/v2/docker.io'],
  ['prefix', 'https://m.example/v2', 'ghcr.io', 'https://m.example/v2/ghcr.io'],
  ['prefix', 'https://m.example/v2/ghcr.io', 'ghcr.io', 'https://m.example/v2/ghcr.io'],
  ['host', 'https://m.example:8443', 'docker.io', 'https://docker.m.example:8443'],
  ['host', 'https://m.example', 'registry.k8s.io', 'https://k8s.m.example'],
  ['host', 'https://m.example', 'quay.io', 'https://quay.m.example'],
  ['host', 'https://docker.m.example', 'docker.io', 'https://docker.m.example'],
] as const)('%s of %s for %s is %s', (style, url, registry, address) => expect(resolvePathStyle({ url, style, registry })).toBe(address));

test.each([
  ['prefix', 'https://m.example/v2/hub'],
  ['prefix', 'https://m.example/mirror'],
  ['host', 'https://10.0.0.1:5000'],
  ['host', 'https://[::1]:5000'],
] as readonly [PathStyle, string][])('%s of %s has no place for the registry', (style, url) =>
  expect(resolvePathStyle({ url, style, registry: 'docker.io' })).toBeUndefined(),
);
