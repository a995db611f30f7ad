// Shows that each wall of `npm run check` still stands: a small clean repository with the real configuration files passes all of
// them, and each planted violation fails the one that is there for it. It works in temporary folders only.

import { afterAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dir, '../..');
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const configFiles = ['.dependency-cruiser.cjs', '.gitignore', 'biome.json', 'knip.json', 'package.json', 'tsconfig.json'];

/** One file per room, each importing from the level below, so that every wall has something to look at. */
const cleanFiles: Readonly<Record<string, string>> = {
  'src/main.ts': "import { run } from './cli/run.ts';\n\nawait run();\n",
  'src/cli/run.ts': "import { startApp } from '../app.ts';\n\nexport async function run(): Promise<void> {\n  await startApp();\n}\n",
  'src/app.ts': [
    "import { apiName } from './api/name.ts';",
    "import { authName } from './auth/name.ts';",
    "import { listen } from './http/listen.ts';",
    "import { jobsName } from './jobs/name.ts';",
    '',
    'export async function startApp(): Promise<void> {',
    '  await listen([apiName, authName, jobsName].join());',
    '}',
    '',
  ].join('\n'),
  'src/http/listen.ts': [
    "import { readFile } from 'node:fs/promises';",
    "import { registryName } from '../registry/name.ts';",
    '',
    'export async function listen(name: string): Promise<string> {',
    "  return registryName + name + (await readFile('/dev/null', 'utf8'));",
    '}',
    '',
  ].join('\n'),
  'src/api/name.ts': "export const apiName = 'api';\n",
  'src/jobs/name.ts': "export const jobsName = 'jobs';\n",
  'src/registry/name.ts': [
    "import { blobsName } from '../blobs/name.ts';",
    "import { configName } from '../config/name.ts';",
    "import { dbName, withAll } from '../db/name.ts';",
    "import { upstreamName } from '../upstream/name.ts';",
    '',
    'export const registryName = [blobsName, configName, dbName, upstreamName, withAll].join();',
    '',
  ].join('\n'),
  'src/auth/name.ts': "export const authName = 'auth';\n",
  'src/blobs/name.ts': "import { digestName } from '../oci/digest.ts';\n\nexport const blobsName = ['blobs', digestName].join();\n",
  'src/config/name.ts': "import { secretName } from '../lib/secret.ts';\n\nexport const configName = ['config', secretName].join();\n",
  'src/db/name.ts': [
    "export const dbName = 'db';",
    '',
    'export async function withAll(open: () => AsyncDisposable, all: readonly Disposable[]): Promise<void> {',
    '  await using first = open();',
    '  using second = all[0];',
    '  for (using one of all) use(one, second, first);',
    '}',
    '',
    'function use(..._things: readonly unknown[]): void {}',
    '',
  ].join('\n'),
  'src/upstream/name.ts': "export const upstreamName = 'upstream';\n",
  'src/oci/digest.ts': "export const digestName = 'digest';\n",
  'src/lib/secret.ts': "export const secretName = 'secret';\n",
  'test/wire/reach.test.ts': [
    "import { expect, test } from 'bun:test';",
    "import { digestName } from '../../src/oci/digest.ts';",
    '',
    "test('reaches any room', () => expect(digestName).toBe('digest'));",
    '',
  ].join('\n'),
};

type Wall = 'types' | 'lint' | 'promises' | 'imports' | 'unused';

describe('a clean repository', () => {
  test.each(['types', 'lint', 'promises', 'imports'] satisfies Wall[])('passes %s', (wall) => {
    const { code, output } = check(wall, {});
    expect(output).toMatch(new RegExp(`^ok +${wall} `));
    expect(code).toBe(0);
  });

  test('passes unused', () => {
    const { code, output } = check('unused', withoutPackages({}));
    expect(output).toMatch(/^ok +unused /);
    expect(code).toBe(0);
  });
});

describe('a planted violation fails its wall', () => {
  test.each<[fact: string, wall: Wall, file: string, text: string, finding: RegExp]>([
    ['a wrong type', 'types', 'src/db/name.ts', 'export const dbName: number = "db";\n', /src\/db\/name\.ts.*TS2322/],
    [
      'an index that may be absent',
      'types',
      'src/db/name.ts',
      "const names = ['db'];\nexport const dbName: string = names[0];\n",
      /TS2322/,
    ],
    ['an enum', 'types', 'src/db/name.ts', "enum Names {\n  Db = 'db',\n}\nexport const dbName = Names.Db;\n", /TS1294/],
    ['any', 'lint', 'src/db/name.ts', "export const dbName: any = 'db';\n", /noExplicitAny/],
    ['a non-null assertion', 'lint', 'src/db/name.ts', "const names = ['db'];\nexport const dbName = names[0]!;\n", /noNonNullAssertion/],
    ['a default export', 'lint', 'src/db/name.ts', "export const dbName = 'db';\nexport default dbName;\n", /noDefaultExport/],
    [
      'a barrel file',
      'lint',
      'src/db/index.ts',
      "export { dbName } from './name.ts';\nexport { other } from './other.ts';\n",
      /noBarrelFile/,
    ],
    ['a file name in camel case', 'lint', 'src/db/dbName.ts', "export const dbName = 'db';\n", /useFilenamingConvention/],
    ['a line in another format', 'lint', 'src/db/name.ts', 'export const dbName = "db"\n', /format/],
    [
      'a floating promise of this repository',
      'lint',
      'src/main.ts',
      "import { run } from './cli/run.ts';\n\nrun();\n",
      /noFloatingPromises/,
    ],
    [
      'the same for the type checker',
      'promises',
      'src/main.ts',
      "import { run } from './cli/run.ts';\n\nrun();\n",
      /src\/main\.ts:3:1: a promise/,
    ],
    [
      'a floating promise of Node',
      'promises',
      'src/db/name.ts',
      `import { open } from 'node:fs/promises';\n\nexport const dbName = 'db';\nexport async function flush(): Promise<void> {\n  const handle = await open('/dev/null');\n  handle.datasync();\n}\n`,
      /src\/db\/name\.ts:6:3: a promise/,
    ],
    [
      'a floating promise of Bun',
      'promises',
      'src/db/name.ts',
      "export const dbName = 'db';\nBun.sleep(1);\n",
      /src\/db\/name\.ts:2:1: a promise/,
    ],
    [
      'a promise with half a handler',
      'promises',
      'src/db/name.ts',
      "export const dbName = 'db';\nBun.sleep(1).then(() => {});\n",
      /name\.ts:2:1: a promise/,
    ],
    [
      'a type imported in place',
      'promises',
      'src/db/name.ts',
      "export const dbName: typeof import('../registry/name.ts').registryName = '';\n",
      /name\.ts:1:\d+: a type imported/,
    ],
    [
      'an upward import',
      'imports',
      'src/db/name.ts',
      importing('../auth/name.ts', 'authName', 'dbName'),
      /room-db: src\/db\/name\.ts -> src\/auth\/name\.ts/,
    ],
    [
      'an upward import of a type',
      'imports',
      'src/db/name.ts',
      "import type { Up } from '../auth/name.ts';\n\nexport const dbName: Up = 'db';\n",
      /room-db/,
    ],
    [
      'an upward import at run time',
      'imports',
      'src/db/name.ts',
      "export const dbName = (await import('../auth/name.ts')).authName;\n",
      /room-db/,
    ],
    [
      'an upward import in a using declaration',
      'imports',
      'src/db/name.ts',
      "export const dbName = 'db';\nexport async function use(): Promise<void> {\n  await using held = await import('../auth/name.ts');\n}\n",
      /room-db/,
    ],
    [
      'an import of the composition root',
      'imports',
      'src/http/listen.ts',
      "import { startApp } from '../app.ts';\n\nexport const listen = startApp;\n",
      /room-http/,
    ],
    [
      'an import between rooms of level 0',
      'imports',
      'src/oci/digest.ts',
      importing('../lib/secret.ts', 'secretName', 'digestName'),
      /room-oci/,
    ],
    ['an import between rooms of level 1', 'imports', 'src/db/name.ts', importing('../blobs/name.ts', 'blobsName', 'dbName'), /room-db/],
    ['an import between rooms of level 5', 'imports', 'src/http/listen.ts', importing('../api/name.ts', 'apiName', 'listen'), /room-http/],
    ['a cycle', 'imports', 'src/oci/digest.ts', importing('./digest.ts', 'digestName', 'other'), /no-cycles/],
    [
      'input or output in src/oci',
      'imports',
      'src/oci/digest.ts',
      "import { sep } from 'node:path';\n\nexport const digestName = sep;\n",
      /oci-is-pure/,
    ],
    ['an unknown room', 'imports', 'src/helpers/name.ts', importing('../lib/secret.ts', 'secretName', 'name'), /known-rooms/],
    [
      'a test imported by the source',
      'imports',
      'src/db/name.ts',
      importing('../../test/wire/name.ts', 'name', 'dbName'),
      /no-tests-in-source|resolvable/,
    ],
    [
      'the web imported by the source',
      'imports',
      'src/db/name.ts',
      importing('../../web/name.ts', 'name', 'dbName'),
      /server-without-web|resolvable/,
    ],
    [
      'SQL outside src/db',
      'imports',
      'src/auth/name.ts',
      "import { Database } from 'bun:sqlite';\n\nexport const authName = Database.name;\n",
      /sql-in-one-room/,
    ],
    [
      'HTTP outside src/http and src/api',
      'imports',
      'src/auth/name.ts',
      "import { Hono } from 'hono';\n\nexport const authName = Hono.name;\n",
      /http-in-two-rooms/,
    ],
    [
      'a development package in the source',
      'imports',
      'src/db/name.ts',
      "import fc from 'fast-check';\n\nexport const dbName = fc.sample(fc.string(), 1).join();\n",
      /no-dev-packages/,
    ],
    ['an import of nothing', 'imports', 'src/db/name.ts', importing('./absent.ts', 'absent', 'dbName'), /resolvable/],
  ])('%s', (_fact, wall, file, text, finding) => {
    const { code, output } = check(wall, { [file]: text });
    expect(output).toMatch(finding);
    expect(code).toBe(1);
  });

  test('a cycle of two files', () => {
    const { code, output } = check('imports', {
      'src/db/name.ts': importing('./other.ts', 'other', 'dbName'),
      'src/db/other.ts': importing('./name.ts', 'dbName', 'other'),
    });
    expect(output).toContain('no-cycles: src/db/name.ts -> src/db/other.ts -> src/db/name.ts');
    expect(code).toBe(1);
  });

  test('rules that look past a room', () => {
    const { code, output } = check('imports', {}, (text) => text.replace('options: {', "options: { exclude: '^src/db/',"));
    expect(output).toContain('dependency-cruiser did not look at 1 files: src/db/name.ts');
    expect(code).toBe(1);
  });

  test('rules that look at nothing', () => {
    const { code, output } = check('imports', {}, (text) => text.replace('options: {', "options: { exclude: '.',"));
    expect(output).toContain('dependency-cruiser looked at nothing');
    expect(code).toBe(1);
  });

  test.each<[fact: string, file: string, text: string, finding: RegExp]>([
    ['an export nobody uses', 'src/db/name.ts', "export const dbName = 'db';\nexport const spare = 1;\n", /spare/],
    ['a file nobody imports', 'src/db/spare.ts', 'export const spare = 1;\n', /src\/db\/spare\.ts/],
    [
      'a package that is not in package.json',
      'src/db/name.ts',
      "import express from 'express';\n\nexport const dbName = express.name;\n",
      /express/,
    ],
  ])('%s', (_fact, file, text, finding) => {
    const { code, output } = check('unused', withoutPackages({ [file]: text }));
    expect(output).toMatch(finding);
    expect(code).toBe(1);
  });

  test('a package nobody uses', () => {
    const { code, output } = check('unused', withoutPackages({}, { zod: '4.6.7' }));
    expect(output).toMatch(/Unused dependencies[\s\S]*zod/);
    expect(code).toBe(1);
  });
});

function importing(from: string, name: string, as: string): string {
  return `import { ${name} } from '${from}';\n\nexport const ${as} = ${name};\n`;
}

/** knip counts packages as well, and the small repository needs none of the real ones. */
function withoutPackages(
  files: Readonly<Record<string, string>>,
  dependencies: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const manifest = { name: 'small', version: '1.0.0', type: 'module', private: true, dependencies };
  return { ...files, 'package.json': JSON.stringify(manifest) };
}

/** Runs one wall in a fresh small repository that has these files more or changed. */
function check(
  wall: Wall,
  files: Readonly<Record<string, string>>,
  changeRules: (text: string) => string = (text) => text,
): { code: number; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-walls-'));
  folders.push(folder);
  for (const name of configFiles) cpSync(join(root, name), join(folder, name));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [name, text] of Object.entries({ ...cleanFiles, ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const rules = join(folder, '.dependency-cruiser.cjs');
  writeFileSync(rules, changeRules(readFileSync(rules, 'utf8')));
  const run = Bun.spawnSync([process.execPath, join(root, 'scripts/check.ts'), wall], { cwd: folder });
  return { code: run.exitCode, output: run.stdout.toString() + run.stderr.toString() };
}
