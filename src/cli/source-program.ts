// The commands about sources, as the command line has them. What concerns the source has names that the options of the server do not have:
// `--password-file` and `--insecure` are about the connection to Breakwater itself.

import { Argument, type Command, Option } from 'commander';
import type { OutputOptions } from './project.ts';
import type { ChangeOptions, PickOptions, RemoveOptions } from './source-changes.ts';
import type { AddOptions } from './source-options.ts';
import type { TestOptions } from './source-tests.ts';
import type { ListOptions } from './sources.ts';
import type { Terminal } from './terminal.ts';

interface ProgramParts {
  readonly withServer: (command: Command) => Command;
  readonly examples: (lines: readonly string[], more?: string) => string;
}

const repeatable = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
const which = 'the id, or the URL where it is that of one registry alone';

/** Adds them to the group `sources`, and gives the group. */
export function addSourceCommands(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): Command {
  const group = program.command('sources').description('show, test and change the sources of each registry').helpCommand(false);
  withServer(group.command('list', { isDefault: true }))
    .description('show the sources of each registry and how they do, in the order in which they would be asked')
    .option('--all', 'public mirrors that come with the program and are switched off, too')
    .addHelpText('after', examples(['breakwater sources', 'breakwater sources --all', 'breakwater sources --json']))
    .action(async (options: ListOptions) => (await import('./sources.ts')).showSources(options, terminal));

  withServer(
    withSettings(
      group
        .command('add')
        .argument('<url>', 'address of the mirror or registry')
        .description('add a source while the server runs, and test it')
        .requiredOption('--registry <registry>', 'the registry whose content it serves, such as docker.io')
        .option('--new-registry', 'mirror this registry, which is not mirrored yet')
        .option('--disabled', 'add it, but ask it nothing until it is enabled')
        .option('--no-test', 'do not test it'),
    ),
  )
    .addHelpText(
      'after',
      examples(
        [
          'breakwater sources add https://mirror.example --registry docker.io --priority 10',
          'breakwater sources add https://1ms.run --registry ghcr.io --path-style host --requests-per-minute 20',
          'breakwater sources add https://registry-1.docker.io --registry docker.io --trust authority --realm https://auth.docker.io --username me --source-password-file token',
          'breakwater sources add https://registry.corp.example --registry registry.corp.example --new-registry --trust authority --allow-private',
        ],
        'It is added also when the test fails, which is told as a warning.',
      ),
    )
    .action(async (url: string, options: AddOptions) => (await import('./source-changes.ts')).addSource(url, options, terminal));

  withServer(
    withSettings(
      group
        .command('set')
        .argument('<source>', which)
        .description('change settings of a source; what is not named stays')
        .option('--registry <registry>', 'the registry, when its URL is that of several')
        .option('--move-to <url>', 'its new address')
        .option('--unset <settings>', 'take away: proxy, credentials, tls, limits, scope, operator; several with commas'),
    ),
  )
    // After --allow-private: before it, this option would make that the default.
    .option('--no-allow-private', 'undo --allow-private')
    .addHelpText(
      'after',
      examples([
        'breakwater sources set 7 --priority 5',
        'breakwater sources set https://mirror.example --allow "library/*" --deny "library/secret"',
        'breakwater sources set 7 --unset proxy,limits',
      ]),
    )
    .action(async (source: string, options: ChangeOptions) =>
      (await import('./source-changes.ts')).changeSource(source, options, terminal),
    );

  for (const [name, text] of [
    ['enable', 'ask these sources again'],
    ['disable', 'ask nothing of these sources until they are enabled'],
  ] as const) {
    withServer(
      group.command(name).argument('<sources...>', which).option('--registry <registry>', 'the registry, when a URL is that of several'),
    )
      .description(text)
      .addHelpText('after', examples([`breakwater sources ${name} 7`, `breakwater sources ${name} https://mirror.example`]))
      .action(async (sources: string[], options: PickOptions) =>
        (await import('./source-changes.ts')).setEnabled(sources, name === 'enable', options, terminal),
      );
  }

  withServer(
    group
      .command('remove')
      .argument('[sources...]', which)
      .description('remove sources, or a whole registry')
      .option('--registry <registry>', 'the registry; without a source: all of it')
      .option('--force', 'a whole registry also while its mirror holds content, which stays and is served'),
  )
    .addHelpText(
      'after',
      examples(
        ['breakwater sources remove 7', 'breakwater sources remove --registry old.example'],
        'A source of the config file comes back when its entry there changes.',
      ),
    )
    .action(async (sources: string[], options: RemoveOptions) =>
      (await import('./source-changes.ts')).removeSources(sources, options, terminal),
    );

  withServer(
    group.command('order').argument('<registry>').argument('<ids...>', 'first asked first; its other sources follow as they stood'),
  )
    .description('say in which order the sources of a registry are asked while all do well')
    .addHelpText('after', examples(['breakwater sources order docker.io 7 3 5']))
    .action(async (registry: string, ids: string[], options: OutputOptions) =>
      (await import('./source-changes.ts')).orderSources(registry, ids, options, terminal),
    );

  withServer(
    group
      .command('public')
      .argument('<registry>')
      .addArgument(new Argument('<who>', 'auto: everybody, unless a source of it has, or had, credentials').choices(['yes', 'no', 'auto'])),
  )
    .description('say whether everybody may pull through the mirror of a registry')
    .addHelpText('after', examples(['breakwater sources public docker.io yes']))
    .action(async (registry: string, who: 'yes' | 'no' | 'auto', options: OutputOptions) =>
      (await import('./source-changes.ts')).setPublic(registry, who, options, terminal),
    );

  withServer(
    group
      .command('test')
      .argument('[sources...]', which)
      .description('ask sources now, whatever their state, and tell what they did')
      .option('--all', 'all sources that are enabled')
      .option('--registry <registry>', 'only those of this registry'),
  )
    .addHelpText(
      'after',
      examples(['breakwater sources test 7', 'breakwater sources test --all --json'], 'Exit code 1 when one of them fails.'),
    )
    .action(async (sources: string[], options: TestOptions) => (await import('./source-tests.ts')).testSources(sources, options, terminal));
  return group;
}

/** Every setting of a source, as in the config file. */
function withSettings(command: Command): Command {
  return command
    .addOption(
      new Option('--trust <trust>', 'authority: believed about tags; digest-only (default): content by digest').choices([
        'authority',
        'digest-only',
      ]),
    )
    .option('--priority <number>', 'lower is asked first (default 100)')
    .addOption(
      new Option(
        '--path-style <style>',
        'root (default): the URL is the whole address; prefix, host: of a mirror of many registries',
      ).choices(['root', 'prefix', 'host']),
    )
    .option('--proxy <url>', 'proxy through which it is reached')
    .option('--username <name>', 'its login; with one of the three passwords')
    .option('--source-password-file <file>', 'file with its password, read here and sent to the server')
    .option('--source-password-path <path>', "path of a file on the server's machine, which api_credentials must allow")
    .option('--source-password-env <name>', 'environment variable of the server, which api_credentials must allow')
    .option('--helper <command>', 'program on the server that prints its login, words separated by spaces; api_credentials must allow it')
    .option('--realm <origin>', 'where its token service lives, if not at its own host; may be repeated', repeatable)
    .option('--allow-private', 'it may be at a private address although its name looks public')
    .option('--source-ca-file <file>', 'PEM file of the certificate authorities to trust for it')
    .option('--source-insecure', 'do not check its certificate; for tests only')
    .option('--allow <pattern>', 'repositories it is asked for, such as library/*; may be repeated', repeatable)
    .option('--deny <pattern>', 'repositories it is never asked for; may be repeated', repeatable)
    .option('--connections <number>', 'requests in flight at most')
    .option('--requests-per-minute <number>', 'requests in a minute at most')
    .option('--bytes-per-second <size>', 'such as 2MiB')
    .option('--operator <name>', 'who runs it');
}
