// The walls of this repository, one line each: types, lint and format, promises, imports, unused code. All of them run at once.
// It never changes a file (`npm run format` does).
//
//   bun scripts/check.ts [NAME...]        in the folder to check; without names all of them. Ends with 1 when one fails.

import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

interface Outcome {
  readonly passed: boolean;
  readonly output: string;
}

const root = process.cwd();
const binaries = resolve(import.meta.dir, '../node_modules/.bin');
const timeoutMs = 400_000;

const checks: Readonly<Record<string, () => Promise<Outcome>>> = {
  types: () => run([join(binaries, 'tsc'), '--noEmit', '-p', root]),
  lint: () => run([join(binaries, 'biome'), 'check', '--error-on-warnings', '--colors=off', '--max-diagnostics=50', '.']),
  promises: () => run([process.execPath, join(import.meta.dir, 'check-promises.ts'), join(root, 'tsconfig.json')]),
  imports: checkImports,
  unused: () => run([join(binaries, 'knip'), '--no-progress']),
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(checks);
const results = await Promise.all(names.map((name) => runCheck(name)));
process.exit(results.every((passed) => passed) ? 0 : 1);

async function runCheck(name: string): Promise<boolean> {
  const check = checks[name];
  if (check === undefined) throw new Error(`no check is called ${name}; there are ${Object.keys(checks).join(', ')}`);
  const startedMs = performance.now();
  const { passed, output } = await check();
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name.padEnd(8)} ${seconds} s${passed ? '' : `\n${output.trim()}\n`}`);
  return passed;
}

/** dependency-cruiser passes an empty graph, so the modules it saw are compared with the files on disk. */
async function checkImports(): Promise<Outcome> {
  const folders = ['src', 'test', 'bench', 'scripts', 'web'].filter((folder) => existsSync(join(root, folder)));
  const command = [join(binaries, 'depcruise'), '--config', '.dependency-cruiser.cjs', '--output-type', 'json', ...folders];
  const { passed, output } = await run(command);
  const start = output.indexOf('{');
  if (start < 0) return { passed: false, output };
  const graph = JSON.parse(output.slice(start, output.lastIndexOf('}') + 1)) as Graph;
  const problems = graph.summary.violations.map(
    (one) => `${one.rule.name}: ${one.from} -> ${one.cycle?.map((step) => step.name).join(' -> ') ?? one.to}`,
  );
  const seen = new Set(graph.modules.map((module) => module.source));
  const unseen = folders.flatMap(listSources).filter((file) => !seen.has(file));
  if (unseen.length > 0) problems.push(`dependency-cruiser did not look at ${unseen.length} files: ${unseen.slice(0, 5).join(', ')}`);
  if (seen.size === 0) problems.push('dependency-cruiser looked at nothing');
  return { passed: passed && problems.length === 0, output: problems.join('\n') || output };
}

interface Graph {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
      readonly cycle?: readonly { readonly name: string }[];
    }[];
  };
}

function listSources(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && /[.](ts|tsx)$/.test(entry.name) && !entry.name.endsWith('.d.ts'));
  return files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)).filter((file) => !file.includes('node_modules/'));
}

async function run(command: readonly string[]): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: timeoutMs,
  });
  const [output, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { passed: code === 0, output: output + errors };
}
