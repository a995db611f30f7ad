// Rights as the command line names them: `--pull team-a`, `--push team-a`, `--allow team-a=repository:pull,tag:list`, `--allow /=audit-log:list`.

import { type Command, Option } from 'commander';
import type { RobotPermissionBody } from '../api/robot-schemas.ts';
import { CommandFailure } from './failure.ts';

export interface PermissionOptions {
  /** An empty one: without a namespace. */
  readonly pull?: readonly string[];
  readonly push?: readonly string[];
  readonly allow?: readonly string[];
}

const pullWords = ['repository:pull'];
const pushWords = ['repository:pull', 'repository:push'];

export function addPermissionOptions(command: Command, { needsNamespace }: { readonly needsNamespace: boolean }): Command {
  const argument = needsNamespace ? '<namespace>' : '[namespace]';
  const about = 'a project, * for all, a glob such as team-* or team-a/ci/**';
  const named = (flag: string, description: string): Option => {
    const option = new Option(`${flag} ${argument}`, description).argParser(repeatable);
    return needsNamespace ? option : option.preset('');
  };
  return command
    .addOption(named('--pull', `may pull from ${about}`))
    .addOption(named('--push', 'may pull from there and push to it'))
    .option('--allow <namespace=rights>', 'these rights, such as team-a=repository:pull,tag:list; / is the server', repeatable);
}

export function repeatable(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** In the shape of the API; undefined when nothing was named. `project` is meant where no namespace is named. */
export function readPermissions(options: PermissionOptions, project: string | undefined): RobotPermissionBody[] | undefined {
  const byNamespace = new Map<string, Set<string>>();
  const add = (namespace: string, words: readonly string[]): void => {
    const known = byNamespace.get(namespace) ?? new Set();
    for (const word of words) known.add(word);
    byNamespace.set(namespace, known);
  };
  const namespaceOf = (named: string, option: string): string => {
    const namespace = named === '' ? project : named;
    if (namespace !== undefined) return namespace;
    throw new CommandFailure(`${option} where?`, { hint: `name a project: ${option} team-a, or ${option} '*' for all`, exitCode: 2 });
  };
  for (const named of options.pull ?? []) add(namespaceOf(named, '--pull'), pullWords);
  for (const named of options.push ?? []) add(namespaceOf(named, '--push'), pushWords);
  for (const text of options.allow ?? []) {
    const at = text.indexOf('=');
    const words = text.slice(at + 1).split(',');
    if (at < 1 || words.some((word) => !/^[^:]+:[^:]+$/.test(word)))
      throw new CommandFailure(`--allow: "${text}" is not understood`, {
        hint: 'expected NAMESPACE=RESOURCE:ACTION,..., such as team-a=repository:pull,tag:list',
        exitCode: 2,
      });
    add(text.slice(0, at), words);
  }
  if (byNamespace.size === 0) return undefined;
  return [...byNamespace].map(([namespace, words]) => ({
    kind: namespace === '/' ? 'system' : 'project',
    namespace,
    access: [...words].map((word) => {
      const [resource = '', action = ''] = word.split(':');
      return { resource, action };
    }),
  }));
}

/** `pull, push in team-a; audit-log:list on the server`. */
export function describePermissions(permissions: readonly RobotPermissionBody[]): string {
  return permissions
    .map(({ namespace, access }) => {
      const words = access.map(({ resource, action }) => (resource === 'repository' ? action : `${resource}:${action}`)).join(', ');
      return `${words} ${namespace === '/' ? 'on the server' : `in ${namespace === '*' ? 'all projects' : namespace}`}`;
    })
    .join('; ');
}
