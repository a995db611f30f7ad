import { describe, expect, test } from 'bun:test';
import { digestOf } from '../oci/digest.ts';
import type { LayoutImage } from './archive-layout.ts';
import { nameFor } from './archive-names.ts';

const digest = digestOf(Buffer.from('x'));
const image = (annotations: Record<string, string>): LayoutImage => ({ digest, mediaType: 'm', sizeBytes: 1, annotations });
const named = (name: string): LayoutImage => image({ 'org.opencontainers.image.ref.name': name });

describe('names of imported images', () => {
  test('a full name is kept, its tag apart', () => {
    expect(nameFor(named('docker.io/library/nginx:1.27'), {})).toEqual({ name: 'docker.io/library/nginx', tag: '1.27' });
    expect(nameFor(named('host:5000/a/b:1'), {})).toEqual({ name: 'host:5000/a/b', tag: '1' });
    expect(nameFor(named('host:5000/a/b'), {})).toEqual({ name: 'host:5000/a/b' });
    expect(nameFor(named(`ghcr.io/a/b@${digest}`), {})).toEqual({ name: 'ghcr.io/a/b' });
  });
  test("Docker's name counts before the tag beside it", () => {
    const saved = image({ 'io.containerd.image.name': 'docker.io/library/nginx:1.27', 'org.opencontainers.image.ref.name': '1.27' });
    expect(nameFor(saved, {})).toEqual({ name: 'docker.io/library/nginx', tag: '1.27' });
  });
  test('a project takes it below its name without the registry', () => {
    expect(nameFor(named('docker.io/library/nginx:1.27'), { project: 'team' })).toEqual({ name: 'team/library/nginx', tag: '1.27' });
    expect(nameFor(named('library/nginx:1'), { project: 'team' })).toEqual({ name: 'team/library/nginx', tag: '1' });
  });
  test('a given name wins, and without a tag takes the one of the archive', () => {
    expect(nameFor(named('ghcr.io/a/b:2'), { as: 'team/c:3' })).toEqual({ name: 'team/c', tag: '3' });
    expect(nameFor(named('ghcr.io/a/b:2'), { as: 'team/c' })).toEqual({ name: 'team/c', tag: '2' });
    expect(nameFor(named('2.1'), { as: 'team/c' })).toEqual({ name: 'team/c', tag: '2.1' });
    expect(nameFor(named(`ghcr.io/a/b@${digest}`), { as: 'team/c' })).toEqual({ name: 'team/c' });
    expect(nameFor(image({}), { as: 'team/c' })).toEqual({ name: 'team/c' });
  });
  test('a tag alone, and nothing at all, are no name', () => {
    expect(() => nameFor(named('2.1'), {})).toThrow('--as NAME');
    expect(() => nameFor(image({}), {})).toThrow('--as NAME');
  });
});
