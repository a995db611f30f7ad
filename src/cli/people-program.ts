// The commands about who there is and what they may, as the command line has them.

import type { Command } from 'commander';
import { Option } from 'commander';
import type { ResetOptions } from './admin.ts';
import type { CreateOptions as GroupOptions } from './group.ts';
import type { LoginOptions, LogoutOptions } from './login.ts';
import type { RoleOptions as MemberRoleOptions, WhoOptions } from './member.ts';
import type { GrantOptions, RoleOptions } from './role.ts';
import type { Terminal } from './terminal.ts';
import type { CreateOptions, DeleteOptions, ListOptions, OutputOptions, PasswordOptions, SetOptions } from './user.ts';

export interface ProgramParts {
  readonly withServer: (command: Command) => Command;
  readonly examples: (lines: readonly string[], more?: string) => string;
}

const newPasswordFile = [
  '--new-password-file <file>',
  'file with the new password, - for standard input; without it one is made and printed once',
] as const;

export function addPeopleCommands(program: Command, terminal: Terminal, parts: ProgramParts): void {
  addLogin(program, terminal, parts);
  addUsers(program, terminal, parts);
  addMembers(program, terminal, parts);
  addGroups(program, terminal, parts);
  addRoles(program, terminal, parts);
  addAdmin(program, terminal, parts);
}

function addLogin(program: Command, terminal: Terminal, { examples }: ProgramParts): void {
  program
    .command('login')
    .argument('<address>', 'http://HOST:PORT or https://HOST, with a path where the server has one')
    .description('keep a login for the other commands')
    .option('--user <name>', 'user or robot to log in as (BREAKWATER_USER)')
    .option(
      '--password-file <file>',
      'file with the password or CLI secret, - for standard input (else BREAKWATER_PASSWORD, else asked for)',
    )
    .option('--ca-file <file>', 'PEM file of the certificate authority to trust, kept too')
    .option('--insecure', 'do not check the certificate, now and later; for tests only')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        [
          'breakwater login https://registry.example --user anna',
          'breakwater login http://127.0.0.1:5000 --user admin --password-file secret',
        ],
        'Kept in breakwater/logins.json below $XDG_CONFIG_HOME or ~/.config, readable for nobody else. The last login is the one that counts.',
      ),
    )
    .action(async (address: string, options: LoginOptions) => (await import('./login.ts')).login(address, options, terminal));
  program
    .command('logout')
    .argument('[address]', 'of which server; without it, of the last login')
    .description('forget a login that was kept')
    .option('--all', 'forget all of them')
    .addOption(json())
    .addHelpText('after', examples(['breakwater logout', 'breakwater logout https://registry.example']))
    .action(async (address: string | undefined, options: LogoutOptions) => (await import('./login.ts')).logout(address, options, terminal));
}

function addUsers(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('user').description('create, change, switch off and delete users of a running server').helpCommand(false);
  withServer(
    group
      .command('create')
      .argument('<name>')
      .description('create a local user')
      .option(...newPasswordFile)
      .option('--email <address>', 'e-mail address')
      .option('--real-name <name>', 'the name of the person')
      .option('--comment <text>')
      .option('--admin', 'make it an administrator')
      .option('--auditor', 'it may read everything')
      .option('--must-change', 'it must choose another password before anything else')
      .option('--if-absent', 'no failure when there is a user of this name'),
  )
    .addHelpText(
      'after',
      examples(['breakwater user create anna', 'breakwater user create anna --new-password-file - --email anna@example.org']),
    )
    .action(async (name: string, options: CreateOptions) => (await import('./user.ts')).createUser(name, options, terminal));
  withServer(group.command('list').option('--search <text>', 'part of the name'))
    .description('list users')
    .addHelpText('after', examples(['breakwater user list', 'breakwater user list --search an --json']))
    .action(async (options: ListOptions) => (await import('./user.ts')).listUsers(options, terminal));
  withServer(
    group
      .command('set')
      .argument('<name>')
      .description('change a user; what is not named stays')
      .option('--email <address>', 'e-mail address; empty takes it away')
      .option('--real-name <name>', 'the name of the person')
      .option('--comment <text>')
      .option('--admin', 'make it an administrator')
      .option('--no-admin', 'no administrator any more')
      .option('--auditor', 'it may read everything')
      .option('--no-auditor', 'it may no longer read everything'),
  )
    .addHelpText('after', examples(['breakwater user set anna --admin', 'breakwater user set anna --no-admin --comment "moved on"']))
    .action(async (name: string, options: SetOptions) => (await import('./user.ts')).setUser(name, options, terminal));
  withServer(
    group
      .command('password')
      .argument('[name]', 'whose; without it, of oneself')
      .description('change a password; ends sessions and tokens')
      .option(...newPasswordFile)
      .option('--must-change', 'of somebody else: another one must be chosen before anything else'),
  )
    .addHelpText('after', examples(['breakwater user password --new-password-file -', 'breakwater user password anna --must-change']))
    .action(async (name: string | undefined, options: PasswordOptions) =>
      (await import('./user.ts')).changePassword(name, options, terminal),
    );
  for (const [word, text] of [
    ['disable', 'switch a user off: nothing lets it in any more'],
    ['enable', 'switch a user on again'],
  ] as const) {
    withServer(group.command(word).argument('<name>'))
      .description(text)
      .addHelpText('after', examples([`breakwater user ${word} anna`]))
      .action(async (name: string, options: OutputOptions) =>
        (await import('./user.ts')).setUserDisabled(name, word === 'disable', options, terminal),
      );
  }
  withServer(group.command('delete').argument('<name>').option('--if-exists', 'no failure when there is no such user'))
    .description('delete a user with its memberships and secrets')
    .addHelpText('after', examples(['breakwater user delete anna', 'breakwater user delete anna --if-exists']))
    .action(async (name: string, options: DeleteOptions) => (await import('./user.ts')).deleteUser(name, options, terminal));
}

function addMembers(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('member').description('who belongs to a project, and as what').helpCommand(false);
  const roleHelp = 'projectAdmin, maintainer, developer, guest, limitedGuest, or a custom one';
  withServer(group.command('list').argument('<project>'))
    .description('list the members of a project')
    .addHelpText('after', examples(['breakwater member list team-a', 'breakwater member list team-a --json']))
    .action(async (project: string, options: OutputOptions) => (await import('./member.ts')).listMembers(project, options, terminal));
  withServer(
    group
      .command('add')
      .argument('<project>')
      .argument('<name>', 'a user; with --group a group')
      .description('make a user or a group a member')
      .requiredOption('--role <role>', roleHelp)
      .option('--group', 'the name is that of a group'),
  )
    .addHelpText(
      'after',
      examples(['breakwater member add team-a anna --role developer', 'breakwater member add team-a ops --group --role maintainer']),
    )
    .action(async (project: string, name: string, options: MemberRoleOptions) =>
      (await import('./member.ts')).addMember(project, name, options, terminal),
    );
  withServer(
    group
      .command('set')
      .argument('<project>')
      .argument('<name>', 'a user; with --group a group')
      .description('give a member another role')
      .requiredOption('--role <role>', roleHelp)
      .option('--group', 'the name is that of a group'),
  )
    .addHelpText('after', examples(['breakwater member set team-a anna --role guest']))
    .action(async (project: string, name: string, options: MemberRoleOptions) =>
      (await import('./member.ts')).changeMember(project, name, options, terminal),
    );
  withServer(
    group
      .command('remove')
      .argument('<project>')
      .argument('<name>', 'a user; with --group a group')
      .description('end a membership')
      .option('--group', 'the name is that of a group'),
  )
    .addHelpText('after', examples(['breakwater member remove team-a anna']))
    .action(async (project: string, name: string, options: WhoOptions) =>
      (await import('./member.ts')).removeMember(project, name, options, terminal),
    );
}

function addGroups(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('group').description('groups of users').helpCommand(false);
  withServer(group.command('list'))
    .description('list groups')
    .addHelpText('after', examples(['breakwater group list']))
    .action(async (options: OutputOptions) => (await import('./group.ts')).listGroups(options, terminal));
  withServer(
    group
      .command('create')
      .argument('<name>')
      .description('create a local group, or make one of an identity provider known')
      .option('--dn <dn>', 'the DN of an LDAP group')
      .option('--oidc', "a value of an OIDC provider's groups claim")
      .option('--provider <name>', 'which identity provider, where there are several'),
  )
    .addHelpText(
      'after',
      examples(['breakwater group create ops', 'breakwater group create devs --dn cn=devs,ou=groups,dc=example,dc=org']),
    )
    .action(async (name: string, options: GroupOptions) => (await import('./group.ts')).createGroup(name, options, terminal));
  withServer(group.command('members').argument('<group>', 'its name or number'))
    .description('list who is in a group')
    .addHelpText('after', examples(['breakwater group members ops']))
    .action(async (name: string, options: OutputOptions) => (await import('./group.ts')).listGroupMembers(name, options, terminal));
  for (const [word, text] of [
    ['add', 'put a user into a local group'],
    ['remove', 'take a user out of a local group'],
  ] as const) {
    withServer(group.command(word).argument('<group>', 'its name or number').argument('<user>'))
      .description(text)
      .addHelpText('after', examples([`breakwater group ${word} ops anna`]))
      .action(async (name: string, user: string, options: OutputOptions) =>
        (await import('./group.ts')).setGroupMember({ group: name, user, isIn: word === 'add' }, options, terminal),
      );
  }
  withServer(group.command('delete').argument('<group>', 'its name or number'))
    .description('delete a group with the rights that it gives')
    .addHelpText('after', examples(['breakwater group delete ops']))
    .action(async (name: string, options: OutputOptions) => (await import('./group.ts')).deleteGroup(name, options, terminal));
}

function addRoles(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('role').description('roles, and rules that give one beyond a single project').helpCommand(false);
  withServer(group.command('list'))
    .description('list roles')
    .addHelpText('after', examples(['breakwater role list']))
    .action(async (options: OutputOptions) => (await import('./role.ts')).listRoles(options, terminal));
  withServer(group.command('show').argument('<role>', 'its name or number'))
    .description('list what a role may do')
    .addHelpText('after', examples(['breakwater role show developer']))
    .action(async (name: string, options: OutputOptions) => (await import('./role.ts')).showRole(name, options, terminal));
  withServer(group.command('actions'))
    .description('list everything that a role can allow')
    .addHelpText('after', examples(['breakwater role actions']))
    .action(async (options: OutputOptions) => (await import('./role.ts')).listActions(options, terminal));
  for (const [word, text] of [
    ['create', 'create a role from actions'],
    ['set', 'replace the actions of a custom role'],
  ] as const) {
    withServer(group.command(word).argument('<role>').argument('<actions...>', 'such as repository:pull').option('--description <text>'))
      .description(text)
      .addHelpText('after', examples([`breakwater role ${word} puller repository:pull repository:list tag:list`]))
      .action(async (name: string, actions: string[], options: RoleOptions) => {
        const role = await import('./role.ts');
        await (word === 'create' ? role.createRole : role.setRole)(name, actions, options, terminal);
      });
  }
  withServer(group.command('delete').argument('<role>', 'its name or number'))
    .description('delete a custom role that nobody holds')
    .addHelpText('after', examples(['breakwater role delete puller']))
    .action(async (name: string, options: OutputOptions) => (await import('./role.ts')).deleteRole(name, options, terminal));
  withServer(group.command('grants'))
    .description('list the rules that give a role beyond one project')
    .addHelpText('after', examples(['breakwater role grants']))
    .action(async (options: OutputOptions) => (await import('./role.ts')).listGrants(options, terminal));
  withServer(
    group
      .command('grant')
      .argument('<role>', 'its name or number')
      .argument('<name>', 'a user; with --group a group')
      .description('give a role by rule; one place')
      .option('--group', 'the name is that of a group')
      .option('--projects <pattern>', 'in the projects whose name matches, now and later')
      .option('--repositories <pattern>', 'in the repositories whose full name matches')
      .option('--all-projects', 'in every project')
      .option('--system', 'on the server')
      .option('--everywhere', 'on the server and in every project'),
  )
    .addHelpText(
      'after',
      examples([
        'breakwater role grant developer anna --projects "team-*"',
        'breakwater role grant guest qa --group --repositories "team-a/release/**"',
      ]),
    )
    .action(async (role: string, holder: string, options: GrantOptions) =>
      (await import('./role.ts')).grantRole({ role, holder }, options, terminal),
    );
  withServer(group.command('revoke').argument('<rule>', 'its number'))
    .description('take a rule back')
    .addHelpText('after', examples(['breakwater role revoke 3']))
    .action(async (id: string, options: OutputOptions) => (await import('./role.ts')).revokeGrant(id, options, terminal));
}

function addAdmin(program: Command, terminal: Terminal, { examples }: ProgramParts): void {
  const group = program.command('admin').description("on the server's own machine, when nobody can log in any more").helpCommand(false);
  group
    .command('reset-password')
    .description('give an administrator a new password, also beside a running server')
    .option('--account <name>', 'a local user; it becomes an administrator, is switched on, and is made when absent', 'admin')
    .option(...newPasswordFile)
    .option('--data <dir>', 'data folder of the server (BREAKWATER_DATA; default ./data)')
    .option('--config <file>', 'config file of the server (BREAKWATER_CONFIG)')
    .addOption(json())
    .addHelpText(
      'after',
      examples(
        ['breakwater admin reset-password', 'breakwater admin reset-password --data /srv/breakwater --new-password-file secret'],
        [
          'Writes to the database in the data folder, in one transaction: run it as the user of the server. A running server follows within a second.',
          'A password that is made here must be changed after the next login.',
        ].join('\n'),
      ),
    )
    .action(async (options: ResetOptions) => (await import('./admin.ts')).resetPassword(options, terminal));
}

function json(): Option {
  return new Option('--json', 'print JSON, for programs');
}
