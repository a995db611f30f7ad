// Reads YAML text into plain values and remembers the line of each key, so that a problem can name its place.
// It never follows an anchor or alias and accepts no tags: a config file needs none, and both have been used to blow up parsers.

import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError, type ConfigProblem, formatKey } from './error.ts';

export interface YamlFile {
  /** Plain objects (without prototype), arrays, strings, numbers, booleans, null. Undefined when the file is empty. */
  readonly value: unknown;
  /** The line (from 1) of the key at this path, or of the nearest key above it that exists. */
  lineOf(path: readonly PropertyKey[]): number;
}

const maxLength = 1_048_576;
const maxFindings = 20;
const maxDepth = 16;

/** Reads the text of a config file. Throws a ConfigError naming every syntax problem; `origin` is the file's name in it. */
export function parseYaml(text: string, origin: string): YamlFile {
  if (text.length > maxLength) throw new ConfigError([{ origin, key: '', text: 'is too large; expected at most 1 MiB' }]);
  const counter = new LineCounter();
  const root = parseRoot(text, { origin, counter });
  const lines = new Map<string, number>();
  const problems: ConfigProblem[] = [];
  const lineAt = (offset: number | undefined): number => (offset === undefined ? 1 : Math.max(1, counter.linePos(offset).line));
  const refuse = (node: Node, path: readonly PropertyKey[], what: string): undefined => {
    problems.push({ origin, line: lineAt(node.range?.[0]), key: formatKey(path), text: what });
  };

  const read = (node: unknown, path: readonly PropertyKey[]): unknown => {
    if (node === null) return null;
    if (path.length > maxDepth && isNode(node)) return refuse(node, path, 'is nested too deep; expected a value');
    if (isAlias(node)) return refuse(node, path, 'is an alias (*); expected the value itself');
    if (isScalar(node)) return hasTag(node) ? refuse(node, path, 'has a tag (!); expected the plain value') : readScalar(node.value);
    if ((isSeq(node) || isMap(node)) && hasTag(node)) return refuse(node, path, 'has a tag (!); expected the plain value');
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        lines.set(pathId([...path, index]), lineAt(startOf(item)));
        return read(item, [...path, index]);
      });
    }
    if (!isMap(node)) return undefined;
    const result: Record<string, unknown> = Object.create(null);
    for (const pair of node.items) {
      const name = isScalar(pair.key) ? keyName(pair.key.value) : undefined;
      if (name === undefined) refuse(node, path, 'has a key that is not a plain word; expected a string');
      else if (name === '__proto__') refuse(node, [...path, name], 'is not a name that can be used; expected another');
      else {
        lines.set(pathId([...path, name]), lineAt(startOf(pair.key)));
        result[name] = read(pair.value, [...path, name]);
      }
    }
    return result;
  };

  const value = root === undefined ? undefined : read(root, []);
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    value,
    lineOf: (path) => {
      for (let length = path.length; length > 0; length--) {
        const line = lines.get(pathId(path.slice(0, length)));
        if (line !== undefined) return line;
      }
      return 1;
    },
  };
}

function parseRoot(text: string, options: { readonly origin: string; readonly counter: LineCounter }): Node | undefined {
  const { origin, counter } = options;
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, { lineCounter: counter, prettyErrors: false, version: '1.2', schema: 'core' });
  } catch (cause) {
    // The parser recurses, so brackets nested some thousand times deep exhaust the stack.
    throw new ConfigError([{ origin, key: '', text: 'cannot be read as YAML; expected a plain mapping of settings' }], { cause });
  }
  const findings = [...document.errors, ...document.warnings].slice(0, maxFindings);
  if (findings.length > 0) {
    throw new ConfigError(
      findings.map((finding) => ({
        origin,
        line: counter.linePos(finding.pos[0]).line,
        key: '',
        text: `${finding.message.split('\n')[0] ?? 'cannot be read'}; expected valid YAML`,
      })),
    );
  }
  return document.contents ?? undefined;
}

function readScalar(value: unknown): unknown {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number' ? value : String(value);
}

/** Names such as `123:` are read as numbers; they stay the words they were written as. */
function keyName(value: unknown): string | undefined {
  return typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function hasTag(node: Node): boolean {
  return 'tag' in node && node.tag !== undefined;
}

function startOf(node: unknown): number | undefined {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range) ? (node.range[0] as number) : undefined;
}

function pathId(path: readonly PropertyKey[]): string {
  return JSON.stringify(path.map(String));
}
