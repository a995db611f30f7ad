// `npm run bench`: Breakwater and Debian's docker-registry 2.8.2 side by side in one run, as a table of figures and ratios.
//   npm run bench -- [--quick] [--only manifest,blobs,cold,rest,slow-disk,killed,sleeping,dead,cold-100,lists,login] [--json]

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBigBlob } from './content.ts';
import { herdRows } from './herd-rows.ts';
import { listRows } from './list-rows.ts';
import { loginRows } from './login-rows.ts';
import { deadUpstreamRows, killedSourceRows, sleepingSourceRows } from './mirror-rows.ts';
import { blobRows, coldRows, manifestRows, type Row, restRows, type Scope, slowDiskRows } from './rows.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, only: { type: 'string' } } });
const missing = ['docker-registry', 'wrk', 'strace', 'curl'].filter((name) => Bun.which(name) === null);
if (missing.length > 0) {
  console.error(`the benchmark needs ${missing.join(', ')}: apt-get install ${missing.join(' ')}`);
  process.exit(1);
}
const scope: Scope = { folder: mkdtempSync(join(tmpdir(), 'breakwater-bench-')), quick: values.quick === true };
const groups: Readonly<Record<string, () => Promise<Row[]>>> = {
  manifest: () => manifestRows(scope),
  blobs: () =>
    blobRows(
      scope,
      (scope.quick ? [1, 2] : [1, 2, 3, 4, 5, 6]).map((index) => makeBigBlob(scope.folder, `blob-${index}`, 256)),
    ),
  cold: () => coldRows(scope, makeBigBlob(scope.folder, 'cold', scope.quick ? 128 : 512)),
  rest: () => restRows(scope),
  'slow-disk': () => slowDiskRows(scope),
  killed: () => killedSourceRows(scope),
  sleeping: () => sleepingSourceRows(scope),
  dead: () => deadUpstreamRows(scope),
  'cold-100': () => herdRows(scope),
  lists: () => listRows(scope),
  login: () => loginRows(scope),
};
const wanted = values.only?.split(',') ?? Object.keys(groups);
const rows: Row[] = [];
try {
  for (const name of wanted) {
    const group = groups[name];
    if (group === undefined) throw new Error(`there is no group ${name}; there are ${Object.keys(groups).join(', ')}`);
    if (values.json !== true) console.error(`measuring ${name} ...`);
    rows.push(...(await group()));
  }
} finally {
  rmSync(scope.folder, { recursive: true, force: true });
}
console.log(values.json === true ? JSON.stringify(rows, undefined, 2) : table(rows));

function table(all: readonly Row[]): string {
  const number = (value: number | undefined): string => (value === undefined ? '' : value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const lines = all.map((row) => {
    const ratio = row.peer === undefined || row.peer === 0 ? '' : `${(row.ours / row.peer).toFixed(2)}x`;
    const verdict = row.target === undefined ? '' : `${row.target} ${row.holds === true ? 'yes' : 'NO'}`;
    return `| ${row.name} | ${number(row.ours)} | ${number(row.peer)} | ${row.unit} | ${ratio} | ${verdict} |`;
  });
  return ['| | Breakwater | docker-registry | | ratio | target |', '|---|---|---|---|---|---|', ...lines].join('\n');
}
