// Commands stay light: what a command loads is followed through the static imports of its module. Only `serve` may reach the server.

import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dir, '../..');
const transpiler = new Bun.Transpiler({ loader: 'ts' });

/** Files of src/ and names of packages that are loaded when this file is. Type imports are no imports, dynamic ones come later. */
function loadedBy(file: string): { readonly files: ReadonlySet<string>; readonly packages: ReadonlySet<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const todo = [file];
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    if (files.has(next)) continue;
    files.add(next);
    if (!next.endsWith('.ts')) continue;
    for (const { path, kind } of transpiler.scanImports(readFileSync(join(root, next), 'utf8'))) {
      if (kind !== 'import-statement') continue;
      if (path.startsWith('.')) todo.push(relative(root, join(root, dirname(next), path)));
      else packages.add(path);
    }
  }
  return { files, packages };
}

const heavy = ['hono', '@hono/zod-openapi', 'kysely', 'pg', 'jose', 'bun:sqlite'];

describe('what is loaded', () => {
  test('the follower finds the server behind serve, or it would prove nothing', () => {
    const { files, packages } = loadedBy('src/cli/serve.ts');
    expect(files).toContain('src/app.ts');
    expect(files).toContain('src/http/server.ts');
    for (const name of ['@hono/zod-openapi', 'kysely', 'bun:sqlite']) expect(packages).toContain(name);
  });

  test('the entry loads commander and nothing of the server', () => {
    const { files, packages } = loadedBy('src/main.ts');
    expect([...packages].toSorted()).toEqual(['commander']);
    expect(files.size).toBeLessThan(20);
    for (const file of files) expect(file).toMatch(/^(src\/(main\.ts|cli\/|config\/error\.ts)|package\.json)/);
  });

  for (const command of [
    'project',
    'sources',
    'sources-import',
    'presets',
    'explain',
    'config',
    'version',
    'user',
    'member',
    'group',
    'role',
    'login',
    'content',
    'identity',
  ]) {
    test(`${command} does not load the server`, () => {
      const { files, packages } = loadedBy(`src/cli/${command}.ts`);
      for (const name of heavy) expect(packages).not.toContain(name);
      for (const file of files)
        expect(file).toMatch(
          /^(src\/(cli|config|lib|oci)\/|src\/api\/([a-z]+-)?schemas\.ts$|src\/auth\/secret-file\.ts$|presets\/\w+\.json$|package\.json$)/,
        );
    });
  }
});
