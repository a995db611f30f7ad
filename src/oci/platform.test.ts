import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { chooseChildren, formatPlatforms, parsePlatforms, readIndexChildren } from './platform.ts';

const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;
const index = (manifests: readonly object[]): Uint8Array => Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
const child = (letter: string, platform?: object, annotations?: object): object => ({ digest: digestOf(letter), platform, annotations });

const typical = readIndexChildren(
  index([
    child('a', { os: 'linux', architecture: 'amd64' }),
    child('b', { os: 'linux', architecture: 'arm64', variant: 'v8' }),
    child('c', { os: 'linux', architecture: 'arm', variant: 'v6' }),
    child('d', { os: 'linux', architecture: 'arm', variant: 'v7' }),
    child('e', { os: 'unknown', architecture: 'unknown' }, { 'vnd.docker.reference.type': 'attestation-manifest' }),
  ]),
);
const chosen = (wish: string): string => {
  const choice = parsePlatforms(wish);
  if (choice === undefined) throw new Error(`${wish} is not understood`);
  return chooseChildren(typical, choice)
    .chosen.map((digest) => digest.charAt(7))
    .join('');
};

describe('platforms', () => {
  test('a wish takes its platform and leaves attestations out; all takes everything', () => {
    expect(chosen('linux/amd64')).toBe('a');
    expect(chosen('linux/amd64,linux/arm64')).toBe('ab');
    expect(chosen('all')).toBe('abcde');
  });
  test('a wish without a variant takes all variants, one with it only its own', () => {
    expect(chosen('linux/arm')).toBe('cd');
    expect(chosen('linux/arm/v7')).toBe('d');
    expect(chosen('linux/arm64/v8')).toBe('b');
  });
  test('arm64 without a variant is v8', () => {
    const children = readIndexChildren(index([child('a', { os: 'linux', architecture: 'arm64' })]));
    expect(chooseChildren(children, parsePlatforms('linux/arm64/v8') ?? 'all').chosen).toHaveLength(1);
  });
  test('a platform that the index lacks is told', () => {
    const { unmet } = chooseChildren(typical, parsePlatforms('linux/amd64,linux/s390x') ?? 'all');
    expect(formatPlatforms(unmet)).toBe('linux/s390x');
  });
  test('a child without a platform goes with every wish', () => {
    const { chosen: found, unmet } = chooseChildren(readIndexChildren(index([child('a')])), parsePlatforms('linux/amd64') ?? 'all');
    expect([found.length, unmet.length]).toEqual([1, 0]);
  });
  test('texts that are no platforms are refused', () => {
    for (const text of ['', 'linux', 'linux/', 'linux/amd64,', 'linux/a/b/c', 'Linux/amd64', 'linux/amd64/../x'])
      expect([text, parsePlatforms(text)]).toEqual([text, undefined]);
  });
  test('what is written is read back', () => {
    const word = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,10}$/);
    const platform = fc
      .tuple(word, word, fc.option(word, { nil: undefined }))
      .map(([os, architecture, variant]) => ({ os, architecture, ...(variant === undefined ? {} : { variant }) }));
    fc.assert(
      fc.property(fc.array(platform, { minLength: 1, maxLength: 5 }), (platforms) => {
        expect(parsePlatforms(formatPlatforms(platforms))).toEqual(platforms);
      }),
    );
  });
});
