// Runs the whole test suite: `npm run check`, the unit tests beside the code, then each folder of test/, one `bun test` process per
// folder so that a crash, a leak or a hang belongs to one suite; two folders at a time, since most of them wait more than they compute, each
// printed when it has ended. It never hides a failure: a process that ends badly, hangs or finds no tests counts as one. The last line is
// `N passed, N failed` (and `, N skipped`).
//
//   bun scripts/test.ts [--full] [FOLDER...]      in the folder of package.json; --full selects the long counts (BREAKWATER_FULL=1)

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const root = process.cwd();
const words = process.argv.slice(2);
const full = words.includes('--full') || process.env['BREAKWATER_FULL'] === '1';
const testTimeoutMs = full ? 3_600_000 : 120_000;
const pipesTimeoutMs = 3000;
/** The long run measures times and memory: one folder after the other. */
const lanes = 2;
/** Begun first, so that no lane has only them left. */
const longFolders = ['test/clients', 'test/faults', 'test/check', 'src'];
const folderTimeoutMs = full ? 8 * 3_600_000 : 600_000;

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips = new Set<string>();
const chosen = words.filter((word) => !word.startsWith('--'));
if (chosen.length === 0) await runCheck();
const waiting = chosen.length > 0 ? [...chosen] : findFolders();
const isLive = waiting.length === 1;
await Promise.all(Array.from({ length: full ? 1 : lanes }, runLane));

for (const skip of skips) console.log(skip);
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);

async function runCheck(): Promise<void> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'check.ts')], {
    cwd: root,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
  });
  if ((await child.exited) === 0) return;
  total.failed += 1;
  failures.push('npm run check');
}

/** `src`, then each entry of test/ that holds tests. */
function findFolders(): string[] {
  const folders = [
    'src',
    ...readdirSync(join(root, 'test'))
      .map((name) => `test/${name}`)
      .sort(),
  ];
  const place = (folder: string): number => (longFolders.includes(folder) ? longFolders.indexOf(folder) : longFolders.length);
  return folders
    .filter((folder) => {
      const path = join(root, folder);
      if (!existsSync(path) || !statSync(path).isDirectory()) return folder.endsWith('.test.ts');
      return readdirSync(path, { recursive: true, encoding: 'utf8' }).some((file) => file.endsWith('.test.ts'));
    })
    .toSorted((one, other) => place(one) - place(other));
}

async function runLane(): Promise<void> {
  for (let folder = waiting.shift(); folder !== undefined; folder = waiting.shift()) await runFolder(folder);
}

async function runFolder(folder: string): Promise<void> {
  if (isLive) console.log(`\n== ${folder}`);
  const startedMs = performance.now();
  const child = Bun.spawn([process.execPath, 'test', `--timeout=${testTimeoutMs}`, `./${folder}`], {
    cwd: root,
    env: { ...process.env, ...(full ? { BREAKWATER_FULL: '1' } : {}) },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: folderTimeoutMs,
    killSignal: 'SIGKILL',
  });
  const written = { output: '', errors: '' };
  const copies = Promise.all([
    copy(child.stdout, (part) => {
      written.output += part;
      if (isLive) process.stdout.write(part);
    }),
    copy(child.stderr, (part) => {
      written.errors += part;
      if (isLive) process.stderr.write(part);
    }),
  ]);
  const code = await child.exited;
  // A process that a suite left behind may hold the pipes open for ever.
  await Promise.race([copies, Bun.sleep(pipesTimeoutMs)]);
  const { output, errors } = written;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const counts = readSummary(errors) ?? readSummary(output);
  console.log(isLive ? `== ${folder}: ${seconds} s` : `\n== ${folder}: ${seconds} s\n${output}${errors}`);
  total.passed += counts?.passed ?? 0;
  total.failed += counts?.failed ?? 0;
  total.skipped += counts?.skipped ?? 0;
  for (const line of `${output}\n${errors}`.split('\n')) {
    if (line.startsWith('(fail)')) failures.push(`${folder}: ${line.slice(7)}`);
    if (line.startsWith('skipped a suite:')) skips.add(line);
  }
  if (counts === undefined || (code !== 0 && counts.failed === 0)) {
    total.failed += 1;
    failures.push(`${folder}: bun test ended with ${child.signalCode ?? `code ${code}`}${counts === undefined ? ' and no summary' : ''}`);
  }
}

/** Reads bun's closing lines (` 12 pass`, ` 1 skip`, ` 2 todo`, ` 0 fail`). Undefined when the run did not get that far. */
function readSummary(text: string): Counts | undefined {
  const plain = Bun.stripANSI(text);
  const end = [...plain.matchAll(/^Ran \d+ tests? across/gm)].at(-1)?.index;
  if (end === undefined) return undefined;
  const tail = plain.slice(Math.max(0, end - 600), end);
  const last = (word: string): number => Number([...tail.matchAll(new RegExp(`^ *(\\d+) ${word}$`, 'gm'))].at(-1)?.[1] ?? 0);
  return { passed: last('pass'), failed: last('fail'), skipped: last('skip') + last('todo') };
}

async function copy(stream: ReadableStream<Uint8Array>, take: (part: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}
