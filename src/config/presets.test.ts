import { describe, expect, test } from 'bun:test';
import { parsePresets } from './preset-data.ts';
import { findHost, registriesOf, shippedPresets } from './presets.ts';

/** A small valid file. */
function sample(change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    format: 1,
    serial: 7,
    date: '2026-11-24',
    registries: [{ name: 'docker.io', url: 'https://registry-1.docker.io', realms: ['https://auth.docker.io'], login: 'none' }],
    operators: [
      {
        id: 'one',
        name: 'One',
        login: 'none',
        scope: 'unknown',
        network: 'any',
        state: 'listed',
        last_seen: '2026-08',
        mirrors: [{ registry: 'docker.io', url: 'https://m.example', path_style: 'root' }],
      },
    ],
    dead: [{ host: 'gone.example', since: '2024', reason: 'shut down' }],
    ...change,
  });
}

function problemOf(text: string): string | undefined {
  const read = parsePresets(text);
  return 'problem' in read ? read.problem : undefined;
}

describe('the shipped presets', () => {
  test('give each registry its official endpoint as the one authority, and mirrors that are off', () => {
    for (const [, { sources }] of registriesOf(shippedPresets)) {
      const [own, ...mirrors] = sources;
      expect([own?.trust, own?.enabled]).toEqual(['authority', undefined]);
      for (const mirror of mirrors)
        expect([mirror.trust, mirror.enabled, mirror.operator === undefined]).toEqual(['digest-only', false, false]);
    }
    expect(registriesOf(shippedPresets).get('docker.io')?.sources.length).toBeGreaterThan(30);
  });

  test('know 60 mirrors and 50 dead hosts, none of them both', () => {
    expect(shippedPresets.operators.flatMap((one) => one.mirrors).length).toBeGreaterThanOrEqual(60);
    expect(shippedPresets.dead.length).toBeGreaterThanOrEqual(50);
  });

  test('tell what a host is', () => {
    expect(findHost(shippedPresets, 'hub-mirror.c.163.com')).toMatchObject({ kind: 'dead' });
    expect(findHost(shippedPresets, 'ghcr.m.daocloud.io')).toMatchObject({
      kind: 'mirror',
      operator: { id: 'daocloud' },
      mirror: { registry: 'ghcr.io' },
    });
    expect(findHost(shippedPresets, 'm.daocloud.io')).toMatchObject({ kind: 'mirror', operator: { id: 'daocloud' } });
    expect(findHost(shippedPresets, 'abc123.mirror.aliyuncs.com')).toMatchObject({ kind: 'mirror', operator: { id: 'aliyun' } });
    expect(findHost(shippedPresets, 'registry-1.docker.io')).toMatchObject({ kind: 'official', registry: 'docker.io' });
    expect(findHost(shippedPresets, 'public.ecr.aws')).toMatchObject({ kind: 'official', registry: 'public.ecr.aws' });
    expect(findHost(shippedPresets, 'evilm.daocloud.io.example')).toBeUndefined();
  });
});

describe('a file of presets', () => {
  test('is read, with members it does not know', () => {
    expect(parsePresets(sample({ extra: 1 }))).toMatchObject({ presets: { serial: 7 } });
  });

  test('is refused with the place and the reason', () => {
    expect(problemOf('{')).toBe('it is no JSON');
    expect(problemOf(sample({ format: 2 }))).toContain('format:');
    expect(problemOf(sample({ serial: 0 }))).toContain('serial:');
    expect(problemOf(sample({ registries: [{ name: 'docker.io', url: 'http://registry-1.docker.io', login: 'none' }] }))).toContain(
      'registries.0.url',
    );
    expect(problemOf(sample({ dead: [{ host: 'm.example', since: '2024', reason: 'x' }] }))).toContain('a mirror and dead at once');
    expect(problemOf(sample({ dead: Array.from({ length: 2 }, () => ({ host: 'a.example', since: '2024', reason: 'x' })) }))).toContain(
      'a.example twice',
    );
    expect(problemOf(' '.repeat(1_048_577))).toContain('larger than');
  });

  test('has no way to make a mirror an authority', () => {
    const text = sample().replace('"path_style":"root"', '"path_style":"root","trust":"authority"');
    const read = parsePresets(text);
    if ('problem' in read) throw new Error(read.problem);
    expect(read.presets.operators[0]?.mirrors[0]).toEqual({ registry: 'docker.io', url: 'https://m.example', path_style: 'root' });
    for (const { sources } of registriesOf(read.presets).values())
      expect(sources.filter((one) => one.trust === 'authority')).toHaveLength(1);
  });

  test('must name the registry of each mirror, and a style that fits its URL', () => {
    expect(problemOf(sample().replace('"registry":"docker.io"', '"registry":"quay.io"'))).toContain('which is not under registries');
    expect(problemOf(sample().replace('"path_style":"root"', '"path_style":"prefix"'))).toContain('path_style');
  });
});
