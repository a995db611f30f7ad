// `breakwater audit`: reading and checking the audit log of a running server.

import { type Command, InvalidArgumentError } from 'commander';
import type { ListOptions, VerifyOptions } from './audit.ts';
import type { ProgramParts } from './offline-program.ts';
import type { Terminal } from './terminal.ts';

export function addAuditCommands(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('audit').description('who did what, and whether the log of it is whole').helpCommand(false);
  withServer(
    group
      .command('list')
      .description('entries of the audit log, the latest first')
      .option('--project <project>', 'those of one project')
      .option('--by <name>', 'those of one user or robot')
      .option('--operation <operation>', 'such as create, update, delete, pull, login')
      .option('--type <type>', 'such as artifact, project, user, robot')
      .option('--outcome <outcome>', 'success, denied or failed')
      .option('--since <time>', 'from this time on, such as 2026-11-24T08:00:00Z')
      .option('--until <time>', 'up to this time')
      .option('--limit <count>', 'how many at most', countOf, 50),
  )
    .addHelpText(
      'after',
      examples([
        'breakwater audit list --operation login --outcome failed',
        'breakwater audit list --project team-a --since 2026-11-24 --limit 1000 --json',
      ]),
    )
    .action(async (options: ListOptions) => (await import('./audit.ts')).listAuditLog(options, terminal));
  withServer(group.command('verify'))
    .description('follow the chain of hashes from the oldest entry to the latest')
    .addHelpText(
      'after',
      examples(
        ['breakwater audit verify', 'breakwater audit verify --json'],
        'Exit code 1 when it is broken; the first broken entry is named.',
      ),
    )
    .action(async (options: VerifyOptions) => (await import('./audit.ts')).verifyAuditLog(options, terminal));
}

function countOf(text: string): number {
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 1_000_000) throw new InvalidArgumentError('expected a number from 1 to 1000000');
  return count;
}
