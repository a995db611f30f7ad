// What is wrong with a configuration: every problem at once, each with its place, so that one edit can mend them all.
// A text must never contain a password: values are quoted by `quoteValue`, and secret settings are not quoted at all.

export interface ConfigProblem {
  /** The config file, or where else the value came from (`--listen`, `BREAKWATER_LISTEN`). */
  readonly origin: string;
  /** Line in the file, from 1. */
  readonly line?: number;
  /** Dotted key (`registries."docker.io".sources[0].url`); empty for the file as a whole. */
  readonly key: string;
  /** What is wrong and what was expected. */
  readonly text: string;
}

/** A file that is something else altogether would otherwise fill the screen. */
const maxProblems = 50;

/** The configuration cannot be used. `message` has one line per problem: `FILE:LINE: KEY: what is wrong; expected ...`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
    const sorted = problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)).slice(0, maxProblems);
    super(sorted.map(formatProblem).join('\n'), options);
    this.problems = sorted;
  }
}

/** A value as shown in a problem: at most 80 characters on one line, without the user part of a URL. */
export function quoteValue(value: unknown): string {
  if (value === null) return 'an empty value';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' ? value.replace(/\/\/[^/]*@/g, '//***@') : String(value);
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return typeof value === 'string' ? JSON.stringify(shown) : shown;
}

/** `['registries', 'docker.io', 'sources', 0]` as `registries."docker.io".sources[0]`. */
export function formatKey(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += `${text === '' ? '' : '.'}${/^[\w-]+$/.test(String(step)) ? String(step) : JSON.stringify(String(step).slice(0, 80))}`;
  }
  return text;
}

function formatProblem(problem: ConfigProblem): string {
  const place = problem.line === undefined ? problem.origin : `${problem.origin}:${problem.line}`;
  return `${place}: ${problem.key === '' ? '' : `${problem.key}: `}${problem.text}`;
}
