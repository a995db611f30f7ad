// What a wrong configuration is told: file, key and what was expected.

import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Config } from './config.ts';
import { ConfigError } from './error.ts';
import { loadConfig } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-config-'));
const file = join(folder, 'breakwater.yaml');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function load(text: string, env: Record<string, string> = {}): Config {
  writeFileSync(file, text);
  return loadConfig({ file, env });
}

/** The problem lines, without the name of the file. */
function problemsOf(text: string, env: Record<string, string> = {}): string[] {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n').map((line) => line.replaceAll(`${folder}/`, ''));
    throw error;
  }
  return [];
}

describe('a bad file', () => {
  test('names every problem with its file, line, key and what was expected', () => {
    expect(
      problemsOf(`listen: 5000
dta: ./data
mirror:
  tag_ttl: 60
  root: nowhere.example
registries:
  docker.io:
    sources:
      - trust: authority
      - url: https://user:hunter2@mirror.example
        priorty: 10
  Bad_Name!:
    sources: []
limits: { blob_bytes: huge }
`),
    ).toEqual([
      'breakwater.yaml:1: listen: 5000 is not understood; expected HOST:PORT, such as 0.0.0.0:5000, 127.0.0.1:0 or [::]:5000',
      'breakwater.yaml:2: dta: is not a setting; expected data',
      'breakwater.yaml:4: mirror.tag_ttl: 60 is not understood; expected a duration from 0s to 365d, written like 500ms, 60s, 5m, 24h or 30d',
      'breakwater.yaml:9: registries."docker.io".sources[0].url: is missing; expected an http:// or https:// URL without user, query and fragment, such as https://registry-1.docker.io',
      'breakwater.yaml:10: registries."docker.io".sources[1].url: "https://***@mirror.example" is not understood; expected an http:// or https:// URL without user, query and fragment, such as https://registry-1.docker.io',
      'breakwater.yaml:11: registries."docker.io".sources[1].priorty: is not a setting; expected priority',
      'breakwater.yaml:12: registries."Bad_Name!": is not a name of a registry; expected lower-case letters, digits and . _ - such as docker.io',
      'breakwater.yaml:14: limits.blob_bytes: "huge" is not understood; expected a size from 1KiB to 16TiB, written like 512KiB, 4MiB or 100GiB',
    ]);
  });

  test.each([
    [
      'mirror: { root: nowhere.example }',
      /^breakwater.yaml:1: mirror.root: "nowhere.example" is not a configured registry; expected docker.io, /,
    ],
    ['a: 1\n\na: 2\n', /^breakwater.yaml:3: Map keys must be unique; expected valid YAML$/],
    ['listen: [', /^breakwater.yaml:1: .*; expected valid YAML$/],
    ['- a\n- b', /^breakwater.yaml:1: is not a mapping of keys to values; expected a mapping/],
    ['mirror:\n', /^breakwater.yaml:1: mirror: is not a mapping/],
    ['trusted_proxies: 10.0.0.0/8', /^breakwater.yaml:1: trusted_proxies: is not a list; expected a list$/],
    [
      'trusted_proxies:\n  - 10.0.0.0/8\n  - lan\n',
      /^breakwater.yaml:3: trusted_proxies\[1\]: "lan" is not understood; expected an address block/,
    ],
    ['anonymous_pull: yes', /^breakwater.yaml:1: anonymous_pull: "yes" is not understood; expected true or false$/],
    ['x: &a 1\nlisten: *a', /^breakwater.yaml:2: listen: is an alias \(\*\); expected the value itself$/],
    ['listen: !!str x', /^breakwater.yaml:1: listen: has a tag \(!\); expected the plain value$/],
    ['? [a]\n: 1', /^breakwater.yaml:1: has a key that is not a plain word; expected a string$/],
    ['__proto__: { listen: x }', /^breakwater.yaml:1: __proto__: is not a name that can be used/],
    ['registries: { __proto__: { sources: [] } }', /^breakwater.yaml:1: registries.__proto__: is not a name that can be used/],
    ['registries: { r: { sources: [] } }', /^breakwater.yaml:1: registries.r.sources: is empty; expected at least one entry$/],
    ['registries: { r: { sources: [{ url: "http://a" }, { url: "http://a/" }] } }', /sources\[1\].url: is listed twice/],
    [
      'limits: { page_size_default: 200, page_size_max: 100 }',
      /limits.page_size_default: is larger than page_size_max; expected at most 100$/,
    ],
    ['limits: { upload_idle_expiry: 8d }', /limits.upload_idle_expiry: is longer than upload_absolute_expiry/],
    ['tls: { certificate: /no/such.pem, private_key: /no/such.key }', /tls.certificate: \/no\/such.pem cannot be read \(ENOENT\)/],
    ['tls: { certificate: /dev/null }', /tls.private_key: is missing; expected the path of a PEM file$/],
    ['external_url: https://registry.example.com/v2', /external_url: .* expected an http:\/\/ or https:\/\/ URL, such as/],
  ])('%p', (text, problem) => expect(problemsOf(text)[0]).toMatch(problem));

  test.each([
    ['', 'has no password'],
    [', password: a, password_env: B', 'has password and password_env'],
    [', password_env: NOT_SET_ANYWHERE', 'the environment variable NOT_SET_ANYWHERE is not set'],
    [', password_file: /does/not/exist', '/does/not/exist cannot be read (ENOENT)'],
    [', password_file: /dev/null', '/dev/null is empty'],
    [', password: 123456', 'credentials.password: the value is not understood; expected a password in quotes'],
  ])('credentials {username%s}', (rest, problem) => {
    const text = `registries: { r: { sources: [{ url: "http://a", credentials: { username: u${rest} } }] } }`;
    expect(problemsOf(text).join('\n')).toContain(problem);
    expect(problemsOf(text).join('\n')).not.toContain('123456');
  });

  test('hostile text gives a ConfigError or a configuration, nothing else', () => {
    const keys = fc.constantFrom(
      'listen',
      'mirror',
      'registries',
      'docker.io',
      'sources',
      'url',
      'limits',
      '__proto__',
      'constructor',
      'tls',
      '<<',
    );
    const pieces = fc.constantFrom(
      ': ',
      '\n',
      '\n  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '!!map ',
      '| ',
      '"',
      "'",
      '#',
      '---\n',
      '%YAML 1.1\n',
      '\t',
      '\0',
      '? ',
      '1e999',
      '0x',
      '.nan',
    );
    const texts = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(keys, pieces, fc.string({ maxLength: 4 })), { maxLength: 60 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        problemsOf(text);
      }),
      { numRuns: 2000 },
    );
  });

  test('hostile values give a ConfigError or a configuration, nothing else', () => {
    const config = fc.record(
      {
        listen: fc.anything(),
        mirror: fc.anything(),
        registries: fc.dictionary(fc.string(), fc.anything()),
        limits: fc.anything(),
        data: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(config, (value) => {
        problemsOf(JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? String(item) : item)));
      }),
      { numRuns: 500 },
    );
  }, 60_000);

  test('deep nesting, a long line, a thousand mistakes and a file of 2 MiB are refused without a crash', () => {
    expect(problemsOf('['.repeat(10_000))[0]).toContain('expected valid YAML');
    expect(problemsOf('['.repeat(200_000))[0]).toContain('expected');
    expect(problemsOf(`listen: ${'['.repeat(3000)}${']'.repeat(3000)}`)[0]).toContain('expected');
    expect(problemsOf('- '.repeat(100_000))[0]).toContain('expected');
    expect(problemsOf(Array.from({ length: 1000 }, (_, index) => `x${index}: 1`).join('\n'))).toHaveLength(50);
    expect(problemsOf(`listen: ${'x'.repeat(100_000)}`)[0]?.length).toBeLessThan(250);
    expect(problemsOf('x'.repeat(2 ** 21))[0]).toContain('is too large');
  }, 60_000);
});

/** What a printed configuration cannot say: that its registries came with the program. */
