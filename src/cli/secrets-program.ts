// `breakwater secrets`: the master key of a data folder. It works on the files of this machine, not through a running server.

import { type Command, Option } from 'commander';
import type { RewrapOptions, StatusOptions } from './secrets.ts';
import type { Terminal } from './terminal.ts';

export function addSecretCommands(
  program: Command,
  terminal: Terminal,
  { examples }: { examples(lines: readonly string[], more?: string): string },
): void {
  const group = program.command('secrets').description('the master key that seals the secrets in the database').helpCommand(false);
  const add = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .option('--config <file>', 'config file of the server (BREAKWATER_CONFIG)')
      .option('--data <dir>', 'data folder of the server (BREAKWATER_DATA; default ./data)')
      .addOption(new Option('--json', 'print JSON, for programs'));
  add('status', 'tell which master key there is, which one the database has, and how many values it seals')
    .addHelpText(
      'after',
      examples(
        ['breakwater secrets status', 'breakwater secrets status --data /srv/breakwater --json'],
        'Exit code 1 when the server would not start.',
      ),
    )
    .action(async (options: StatusOptions) => (await import('./secrets.ts')).showSecrets(options, terminal));
  add('rewrap', 'seal everything under another master key; the server must be stopped')
    .requiredOption('--new-key-file <file>', 'file of the new key: 32 bytes as base64 or hex; made when absent')
    .addHelpText(
      'after',
      examples(
        ['breakwater secrets rewrap --new-key-file /etc/breakwater/master-2.key'],
        [
          'A run that broke off is run again with the same file. A key in the data folder is replaced at the end; where `master_key_file` or',
          'BREAKWATER_MASTER_KEY_FILE names one, that has to name the new file before the next start.',
        ].join('\n'),
      ),
    )
    .action(async (options: RewrapOptions) => (await import('./secrets.ts')).rewrapSecrets(options, terminal));
}
