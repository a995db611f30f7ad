// Finds promises that nobody waits for, and `import('...')` types, with the real type checker.
// Biome's own rule sees only types written in this repository, so it is blind to `readFile(...)`, `handle.sync()` or `Bun.write(...)`;
// a forgotten await there is a lost write. dependency-cruiser does not see `import('...')` types, so they could cross a wall.
// It reads and never changes. A promise left alone on purpose is written `void promise`.
//
//   bun scripts/check-promises.ts [TSCONFIG]      prints FILE:LINE:COLUMN: what, ends with 1 when it found something

import { relative, resolve } from 'node:path';
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast';
import { isCallExpression, isExpressionStatement, isNewExpression, isPropertyAccessExpression } from 'typescript/unstable/ast/is';
import { API, type Checker, type Type } from 'typescript/unstable/async';

const configFile = resolve(process.argv[2] ?? 'tsconfig.json');
const findings: string[] = [];
const api = new API({ cwd: process.cwd() });
try {
  const snapshot = await api.updateSnapshot({ openProjects: [configFile] });
  const project = snapshot.getProject(configFile);
  if (project === undefined) throw new Error(`no project ${configFile}`);
  if (project.rootFiles.length === 0) throw new Error(`${configFile} names no files`);
  for (const name of project.rootFiles) {
    const file = await project.program.getSourceFile(name);
    if (file === undefined) throw new Error(`cannot read ${name}`);
    await checkFile(file, project.checker);
  }
  console.log(`${project.rootFiles.length} files, ${findings.length} found`);
} finally {
  await api.close();
}
for (const finding of findings) console.log(finding);
process.exit(findings.length === 0 ? 0 : 1);

async function checkFile(file: SourceFile, checker: Checker): Promise<void> {
  const calls: Node[] = [];
  const visit = (node: Node): void => {
    if (isExpressionStatement(node) && mayFloat(node.expression)) calls.push(node.expression);
    if (node.kind === SyntaxKind.ImportType) report(file, node, "a type imported by import('...'): write an import statement");
    node.forEachChild(visit);
  };
  visit(file);
  if (calls.length === 0) return;
  const types = await checker.getTypeAtLocation(calls);
  const verdicts = new Map<number, boolean>();
  for (const [index, type] of types.entries()) {
    const call = calls[index];
    if (call === undefined || type === undefined) continue;
    const known = verdicts.get(type.id);
    const floats = known ?? (await isPromise(type, checker));
    verdicts.set(type.id, floats);
    if (floats) report(file, call, 'a promise nobody waits for: await it, return it, or write `void` before it');
  }
}

/** True for `Promise<...>`, and for `Promise<...> | undefined` as `object?.method()` gives it. */
async function isPromise(type: Type, checker: Checker): Promise<boolean> {
  const certain = (await checker.getNonNullableType(type)) ?? type;
  return (await checker.getPropertyOfType(certain, 'then')) !== undefined;
}

/** A call or construction whose rejection is not already handled by `.catch(f)` or `.then(f, g)`, with or without `.finally(f)`. */
function mayFloat(node: Node): boolean {
  if (!isCallExpression(node)) return isNewExpression(node);
  if (!isPropertyAccessExpression(node.expression)) return true;
  const method = node.expression.name.text;
  if (method === 'finally') return mayFloat(node.expression.expression);
  return !((method === 'catch' && node.arguments.length > 0) || (method === 'then' && node.arguments.length > 1));
}

function report(file: SourceFile, node: Node, text: string): void {
  const before = file.text.slice(0, node.getStart(file)).split('\n');
  findings.push(`${relative(process.cwd(), file.fileName)}:${before.length}:${(before.at(-1) ?? '').length + 1}: ${text}`);
}
