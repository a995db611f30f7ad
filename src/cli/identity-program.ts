// The commands on identity providers: directories and issuers that people come from.

import type { Command } from 'commander';
import type { OutputOptions } from './identity.ts';
import type { ProgramParts } from './offline-program.ts';
import type { Terminal } from './terminal.ts';

export function addIdentityCommands(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program
    .command('identity')
    .description('where people come from besides the accounts made here: LDAP directories, OpenID Connect issuers')
    .helpCommand(false);
  withServer(group.command('list'))
    .description('list them, first asked first')
    .addHelpText('after', examples(['breakwater identity list', 'breakwater identity list --json']))
    .action(async (options: OutputOptions) => (await import('./identity.ts')).listProviders(options, terminal));
  withServer(group.command('test').argument('<name>', 'of the provider'))
    .description('connect to a provider, log in and search')
    .addHelpText('after', examples(['breakwater identity test corporate']))
    .action(async (name: string, options: OutputOptions) => (await import('./identity.ts')).testProvider(name, options, terminal));
  withServer(group.command('sync'))
    .description('look the people of all directories up now, as it happens every identity.sync_interval')
    .addHelpText('after', examples(['breakwater identity sync']))
    .action(async (options: OutputOptions) => (await import('./identity.ts')).syncDirectories(options, terminal));
}
