// The commands on what programs log in with: robots, tokens of users, rules for CI tokens.

import { type Command, Option } from 'commander';
import type { ProgramParts } from './offline-program.ts';
import { addPermissionOptions, repeatable } from './permission-options.ts';
import type { ListOptions, RobotOptions, refreshRobot, UpdateOptions } from './robots.ts';
import type { Terminal } from './terminal.ts';
import type { CreateOptions, DeleteOptions, listTokens } from './tokens.ts';
import type { listRules, RuleOptions } from './workloads.ts';

type OutputOptions = Parameters<typeof listRules>[0];
type OfOptions = Parameters<typeof listTokens>[0];
type RefreshOptions = Parameters<typeof refreshRobot>[1];

const whichRobot = 'its id, or its name: robot$ci, ci, team-a+ci';
const networkHelp = 'it may log in from this address or block only; may be repeated';

export function addCredentialCommands(program: Command, terminal: Terminal, parts: ProgramParts): void {
  addRobots(program, terminal, parts);
  addTokens(program, terminal, parts);
  addWorkloads(program, terminal, parts);
}

function addRobots(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('robot').description('accounts of programs, of a project or of the server').helpCommand(false);
  withServer(group.command('list').option('--project <name>', 'those of a project; without it those of the server'))
    .description('list robots')
    .addHelpText('after', examples(['breakwater robot list', 'breakwater robot list --project team-a --json']))
    .action(async (options: ListOptions) => (await import('./robots.ts')).listRobots(options, terminal));

  const create = addPermissionOptions(
    group.command('create').argument('<name>', 'a-z, 0-9 and . _ - between them; without prefix and project'),
    { needsNamespace: false },
  )
    .description('make a robot; its secret is printed once')
    .option('--project <name>', 'of this project, with rights in it alone; without it of the server')
    .option('--description <text>', 'what it is for')
    .option('--days <days>', "until then (default: the server's, 30 unless it was set)")
    .option('--never', 'without an end')
    .option('--network <cidr>', networkHelp, repeatable)
    .option('--secret-file <file>', 'a file with a secret of your own; without it one is made');
  withServer(create)
    .addHelpText(
      'after',
      examples(
        [
          'breakwater robot create ci --project team-a --push',
          "breakwater robot create scanner --pull '*' --days 30 --network 10.0.0.0/8",
          "breakwater robot create nightly --pull 'team-*' --push 'team-a/nightly/**'",
          'breakwater robot create auditor --allow /=audit-log:list --json',
        ],
        'You must hold every right that you give. The robot stays when you leave; it ends at its end.',
      ),
    )
    .action(async (name: string, options: RobotOptions) => (await import('./robots.ts')).createRobot(name, options, terminal));

  withServer(group.command('show').argument('<robot>', whichRobot))
    .description('show a robot: its rights, its end, its last use')
    .addHelpText('after', examples(["breakwater robot show 'robot$team-a+ci'", 'breakwater robot show 7 --json']))
    .action(async (which: string, options: OutputOptions) => (await import('./robots.ts')).showRobot(which, options, terminal));

  const update = addPermissionOptions(group.command('update').argument('<robot>', whichRobot), { needsNamespace: false })
    .description('change a robot; rights that are named replace all it had')
    .option('--description <text>', 'what it is for')
    .option('--days <days>', 'counted from when it was made')
    .option('--never', 'without an end')
    .option('--network <cidr>', networkHelp, repeatable)
    .option('--any-network', 'it may log in from everywhere')
    .option('--enable', 'switch it on')
    .option('--disable', 'switch it off; what it logged in for ends');
  withServer(update)
    .addHelpText('after', examples(['breakwater robot update team-a+ci --days 180', 'breakwater robot update 7 --disable']))
    .action(async (which: string, options: UpdateOptions) => (await import('./robots.ts')).updateRobot(which, options, terminal));

  withServer(
    group
      .command('refresh')
      .argument('<robot>', whichRobot)
      .option('--secret-file <file>', 'a file with a secret of your own; without it one is made'),
  )
    .description('give a robot another secret, printed once; the one before ends')
    .addHelpText('after', examples(['breakwater robot refresh team-a+ci']))
    .action(async (which: string, options: RefreshOptions) => (await import('./robots.ts')).refreshRobot(which, options, terminal));

  withServer(group.command('delete').argument('<robot>', whichRobot).option('--if-exists', 'no failure when there is no such robot'))
    .description('delete a robot')
    .addHelpText('after', examples(['breakwater robot delete team-a+ci']))
    .action(async (which: string, options: OutputOptions & { ifExists?: boolean }) =>
      (await import('./robots.ts')).deleteRobot(which, options, terminal),
    );
}

function addTokens(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('token').description('secrets of your own for programs, beside your password').helpCommand(false);
  const ofUser = (): Option => new Option('--of <user-id>', 'of another user, for administrators').default('current', 'your own');
  withServer(group.command('list').addOption(ofUser()))
    .description('list tokens')
    .addHelpText('after', examples(['breakwater token list --user anna']))
    .action(async (options: OfOptions) => (await import('./tokens.ts')).listTokens(options, terminal));
  const create = group
    .command('create')
    .argument('<name>', 'what it is called, such as laptop')
    .description('make a token, printed once: a password for docker login')
    .addOption(
      new Option('--reach <reach>', 'registry: docker login and pulls and pushes; api: the admin API, too')
        .choices(['registry', 'api'])
        .default('registry'),
    )
    .option('--days <days>', 'until then (default: 90)')
    .option('--never', 'without an end');
  withServer(create)
    .addHelpText(
      'after',
      examples(
        ['breakwater token create laptop --user anna --days 30'],
        'It has the rights of its user, and ends with the account. Making one needs the password: a token makes none.',
      ),
    )
    .action(async (name: string, options: CreateOptions) => (await import('./tokens.ts')).createToken(name, options, terminal));
  withServer(
    group.command('delete').argument('[id]').addOption(ofUser()).option('--all', "every token of the user, and Harbor's CLI secret"),
  )
    .description('delete a token')
    .addHelpText('after', examples(['breakwater token delete 12', 'breakwater token delete --all --of 3']))
    .action(async (id: string | undefined, options: DeleteOptions) => (await import('./tokens.ts')).deleteToken(id, options, terminal));
}

function addWorkloads(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('workload').description('rules by which the tokens of CI jobs open something').helpCommand(false);
  withServer(group.command('list'))
    .description('list rules')
    .addHelpText('after', examples(['breakwater workload list']))
    .action(async (options: OutputOptions) => (await import('./workloads.ts')).listRules(options, terminal));
  const create = addPermissionOptions(
    group
      .command('create')
      .argument('<name>')
      .requiredOption('--issuer <url>', "the tokens' iss, character for character")
      .requiredOption('--audience <text>', 'one of their aud'),
    { needsNamespace: true },
  )
    .description('let the tokens of an issuer in whose claims are these')
    .option('--claim <claim=value>', 'the claim is exactly this; may be repeated, all must hold', repeatable)
    .option('--claim-like <claim=glob>', 'the claim is like this: * stays between slashes, ** does not', repeatable)
    .option('--description <text>', 'what it is for')
    .option('--minutes <minutes>', 'how long what a token is exchanged for lives: 1 to 60', '15')
    .option('--single-use', 'a token is exchanged once and is no password itself')
    .option('--jwks-url <url>', "where the issuer's keys are, when its discovery document does not say")
    .option('--jwks-file <file>', "the issuer's keys themselves: nothing is fetched then")
    .option('--issuer-ca <file>', "PEM file of the authority of the issuer's certificate")
    .option('--allow-private', 'the issuer may be at a private address');
  withServer(create)
    .addHelpText(
      'after',
      examples([
        'breakwater workload create deploy --issuer https://token.actions.githubusercontent.com --audience https://registry.example --claim repository=team/app --claim ref=refs/heads/main --push team-a',
        'breakwater workload create builds --issuer https://gitlab.example --audience https://registry.example --claim project_path=team/app --claim ref_protected=true --push team-a',
        'breakwater workload create cluster --issuer https://kubernetes.default.svc --audience registry --jwks-file jwks.json --claim sub=system:serviceaccount:ci:builder --pull team-a',
      ]),
    )
    .action(async (name: string, options: RuleOptions) => (await import('./workloads.ts')).createRule(name, options, terminal));
  withServer(group.command('show').argument('<rule>', 'its name'))
    .description('show a rule')
    .addHelpText('after', examples(['breakwater workload show deploy --json']))
    .action(async (name: string, options: OutputOptions) => (await import('./workloads.ts')).showRule(name, options, terminal));
  for (const [word, isOn] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    withServer(group.command(word).argument('<rule>', 'its name'))
      .description(isOn ? 'switch a rule on' : 'switch a rule off; what was exchanged by it ends')
      .addHelpText('after', examples([`breakwater workload ${word} deploy`]))
      .action(async (name: string, options: OutputOptions) => (await import('./workloads.ts')).switchRule(name, isOn, options, terminal));
  }
  withServer(group.command('delete').argument('<rule>', 'its name'))
    .description('delete a rule; what was exchanged by it ends')
    .addHelpText('after', examples(['breakwater workload delete deploy']))
    .action(async (name: string, options: OutputOptions) => (await import('./workloads.ts')).deleteRule(name, options, terminal));
  withServer(group.command('check').argument('<file>', 'a file with the token of a job; - is standard input'))
    .description('tell which rule lets a token in, or why none does')
    .addHelpText('after', examples(['breakwater workload check token.txt', 'breakwater workload check - --json < token.txt']))
    .action(async (file: string, options: OutputOptions) => (await import('./workloads.ts')).checkToken(file, options, terminal));
}
