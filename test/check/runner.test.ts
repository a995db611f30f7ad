// Shows that `npm test` tells the truth: its last line counts what ran, and a suite that fails, crashes or has no end is a failure.

import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'breakwater-runner-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const suites: Readonly<Record<string, string>> = {
  good: "console.log('skipped a suite: not on PATH: x'); test('one', () => expect(1).toBe(1)); test('two', () => expect(2).toBe(2)); test.skip('three', () => {}); test.todo('four');",
  failing: "test('one', () => expect(1).toBe(1)); test('is wrong', () => expect(1).toBe(2));",
  crashing: "test('one', () => expect(1).toBe(1)); test('two', () => process.kill(process.pid, 'SIGKILL'));",
  broken: "import './absent.ts';\ntest('one', () => expect(1).toBe(1));",
  lingering: "test('one', () => { Bun.spawn(['sleep', '15'], { stdio: ['ignore', 'inherit', 'inherit'] }).unref(); });",
  throwing: "test('one', () => expect(1).toBe(1)); setTimeout(() => { throw new Error('late'); }, 1); test('two', () => Bun.sleep(50));",
};
for (const [name, text] of Object.entries(suites)) {
  const file = join(folder, `test/${name}/${name}.test.ts`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `import { expect, test } from 'bun:test';\n${text}\n`);
}

function run(...names: string[]): { code: number; last: string; output: string } {
  const command = [process.execPath, join(import.meta.dir, '../../scripts/test.ts'), ...names.map((name) => `test/${name}`)];
  const result = Bun.spawnSync(command, { cwd: folder });
  const output = result.stdout.toString();
  return { code: result.exitCode, last: output.trimEnd().split('\n').at(-1) ?? '', output };
}

test('passed and skipped tests are counted, over all suites', () => {
  expect(run('good')).toMatchObject({ code: 0, last: '2 passed, 0 failed, 2 skipped' });
  const twice = run('good', 'good');
  expect(twice).toMatchObject({ code: 0, last: '4 passed, 0 failed, 4 skipped' });
  expect(twice.output).toEndWith('skipped a suite: not on PATH: x\n4 passed, 0 failed, 4 skipped\n');
});

test('a failed test is counted, named before the last line, and ends with 1', () => {
  const { code, last, output } = run('good', 'failing');
  expect({ code, last }).toEqual({ code: 1, last: '3 passed, 1 failed, 2 skipped' });
  expect(output).toMatch(/failed: test\/failing: is wrong.*\n3 passed/);
});

test('a suite that ends by a signal is a failure', () => {
  const { code, last, output } = run('good', 'crashing');
  expect({ code, last }).toEqual({ code: 1, last: '2 passed, 1 failed, 2 skipped' });
  expect(output).toContain('failed: test/crashing: bun test ended with SIGKILL and no summary');
});

test('a process that a suite leaves behind does not keep the run from ending', () => {
  const startedMs = performance.now();
  expect(run('lingering')).toMatchObject({ code: 0, last: '1 passed, 0 failed' });
  expect(performance.now() - startedMs).toBeLessThan(12_000);
});

test('a suite that cannot be loaded, an error outside a test and a folder without tests are failures', () => {
  for (const name of ['broken', 'throwing', 'absent']) {
    const { code, last } = run(name);
    expect(code).toBe(1);
    expect(last).toMatch(/^\d+ passed, [1-9]\d* failed$/);
  }
});
