// Pinned sets over the command line of a real server.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type CliResult, runCli } from '../cli/run.ts';
import { type FakeSource, startFakeSource } from '../mirror/fake-source.ts';
import { startServer } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

let source: FakeSource;
let server: RunningBreakwater;
beforeAll(async () => {
  source = await startFakeSource();
  server = await startServer({ registries: { 'pins.test': [{ source }] } });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await source?.stop();
}, 60_000);

const cli = (...words: string[]): Promise<CliResult> =>
  runCli([...words, '--url', server.url], { env: { BREAKWATER_PASSWORD: server.adminPassword } });

describe('pinned sets', () => {
  test('are added to, listed, warmed and removed', async () => {
    source.add('p/a', imageOf([1000]), '1');
    source.add('p/b', imageOf([1000]), '1');
    expect((await cli('pins', 'add', 'site', 'pins.test/p/a:1', 'pins.test/p/b:1')).stdout).toContain('has 2 images');
    const listed: { image: string; repository: string; reference: string }[] = JSON.parse(
      (await cli('pins', 'list', 'site', '--json')).stdout,
    );
    expect(listed.map((pin) => [pin.image, pin.repository, pin.reference])).toEqual([
      ['pins.test/p/a:1', 'pins.test/p/a', '1'],
      ['pins.test/p/b:1', 'pins.test/p/b', '1'],
    ]);
    const warmed = await cli('warm', '--pins', 'site');
    expect([warmed.code, warmed.stdout.includes('2 of 2 images')]).toEqual([0, true]);
    expect((await cli('pins', 'remove', 'site', 'pins.test/p/a:1')).stdout).toContain('1 images are no longer pinned');
    expect((await cli('pins', 'remove', 'site')).code).toBe(2);
    expect((await cli('pins', 'remove', 'site', '--all')).code).toBe(0);
    expect((await cli('pins', 'remove', 'site', '--all')).code).toBe(1);
    expect((await cli('warm', '--pins', 'site')).stderr).toContain('no pinned set named site');
  }, 60_000);

  test('refuse names that mean nothing', async () => {
    expect((await cli('pins', 'add', 'site', 'nowhere.invalid/a:1')).stderr).toContain('nowhere.invalid has no sources here');
    expect((await cli('pins', 'add', 'Bad Name', 'pins.test/p/a:1')).code).toBe(1);
    expect((await cli('pins', 'add', 'site')).code).toBe(2);
  }, 60_000);
});
