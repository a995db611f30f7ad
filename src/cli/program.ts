// The command line: its commands, options and help texts, and what becomes of failures. Every command's module is loaded when the command
// runs, so that `explain` does not load the server. Exit codes: 0 it worked, 1 it did not, 2 the command line is not understood.

import { Command, CommanderError, Option } from 'commander';
import pkg from '../../package.json' with { type: 'json' };
import { ConfigError } from '../config/error.ts';
import { addAuditCommands } from './audit-program.ts';
import type { CheckLoginOptions } from './check-login.ts';
import type { ConfigOptions } from './config.ts';
import { addContentCommands } from './content-program.ts';
import { addCredentialCommands } from './credential-program.ts';
import { CommandFailure } from './failure.ts';
import { addIdentityCommands } from './identity-program.ts';
import { addOfflineCommands } from './offline-program.ts';
import { addPeopleCommands } from './people-program.ts';
import type { CheckOptions, ShowOptions } from './presets.ts';
import type { CreateOptions, DeleteOptions, OutputOptions, SetOptions } from './project.ts';
import { addSecretCommands } from './secrets-program.ts';
import type { RotateOptions, SigningKeysOptions } from './signing-keys.ts';
import { addSourceCommands } from './source-program.ts';
import type { HistoryOptions } from './sources-history.ts';
import type { ImportOptions } from './sources-import.ts';
import type { Terminal } from './terminal.ts';

/** Runs one command line (without the program's name) and gives the exit code. `serve` returns when the server has ended. */
export async function runCommandLine(words: readonly string[], terminal: Terminal): Promise<number> {
  const texts = { out: '', err: '' };
  const program = createProgram(terminal, texts);
  try {
    await program.parseAsync([...words], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (texts.out !== '') await terminal.write(texts.out);
      if (texts.err !== '') await terminal.warn(texts.err);
      return error.exitCode === 0 ? 0 : 2;
    }
    await terminal.warn(describeFailure(error));
    return error instanceof CommandFailure ? error.exitCode : 1;
  }
}

/** A ConfigError stays as it is: `FILE:LINE: KEY: what is wrong`, one problem a line. */
function describeFailure(error: unknown): string {
  if (error instanceof ConfigError) return `${error.message}\n`;
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof CommandFailure ? error.hint : undefined;
  return `error: ${message}\n${hint === undefined ? '' : `hint: ${hint}\n`}`;
}

function createProgram(terminal: Terminal, texts: { out: string; err: string }): Command {
  const program = new Command('breakwater');
  program
    .description('A self-hosted container registry, and a mirror that outlives its sources.')
    .exitOverride()
    .showHelpAfterError('(--help says more)')
    .helpCommand(false)
    .version(pkg.version, '-V, --version', 'tell the version')
    .configureOutput({
      writeOut: (text) => {
        texts.out += text;
      },
      writeErr: (text) => {
        texts.err += text;
      },
    })
    .addHelpText(
      'after',
      examples(
        ['breakwater serve', 'breakwater project create team-a', 'breakwater explain debian:12'],
        'breakwater COMMAND --help tells the options of a command.',
      ),
    );
  addServe(program, terminal);
  addConfig(program, terminal);
  addProject(program, terminal);
  addPeopleCommands(program, terminal, { withServer, examples });
  addSources(program, terminal);
  addPresets(program, terminal);
  addMirror(program, terminal);
  addCheckLogin(program, terminal);
  addSigningKeys(program, terminal);
  addOfflineCommands(program, terminal, { withServer, examples });
  addContentCommands(program, terminal, { withServer, examples });
  addCredentialCommands(program, terminal, { withServer, examples });
  addSecretCommands(program, terminal, { examples });
  addIdentityCommands(program, terminal, { withServer, examples });
  addAuditCommands(program, terminal, { withServer, examples });
  program
    .command('version')
    .description('tell which version is installed here')
    .addOption(json())
    .action(async (options: { json?: boolean }) => (await import('./version.ts')).showVersion(options, terminal));
  return program;
}

function addServe(program: Command, terminal: Terminal): void {
  program
    .command('serve')
    .description('run the server until SIGTERM or SIGINT')
    .option('--config <file>', 'config file, YAML (BREAKWATER_CONFIG)')
    .option('--data <dir>', 'folder of everything the server keeps (BREAKWATER_DATA; default ./data)')
    .option('--listen <host:port>', 'where to listen; port 0 takes a free one (BREAKWATER_LISTEN; default 0.0.0.0:5000)')
    .addHelpText(
      'after',
      examples(
        [
          'breakwater serve',
          'breakwater serve --config /etc/breakwater.yaml',
          'breakwater serve --data /srv/breakwater --listen 127.0.0.1:5000',
        ],
        [
          "The first start makes the user admin. Its password is printed once and kept in the data folder's admin.password, unless",
          'BREAKWATER_ADMIN_PASSWORD gives one. Standard output tells the address, standard error carries the log, one JSON object per line.',
        ].join('\n'),
      ),
    )
    .action(async (options: Omit<ConfigOptions, 'json'>) => {
      const { loadConfig } = await import('../config/load.ts');
      const { env } = terminal;
      const config = loadConfig({ file: options.config, env, overrides: { data: options.data, listen: options.listen } });
      const { serve } = await import('./serve.ts');
      await serve(config, env);
    });
}

function addConfig(program: Command, terminal: Terminal): void {
  const group = program.command('config').description('check or print the configuration; starts nothing').helpCommand(false);
  const add = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .option('--config <file>', 'config file, YAML (BREAKWATER_CONFIG)')
      .option('--data <dir>', 'as for serve (BREAKWATER_DATA)')
      .option('--listen <host:port>', 'as for serve (BREAKWATER_LISTEN)')
      .addOption(json());
  add('check', 'tell what is wrong with the configuration: file, line, key, and what was expected')
    .addHelpText(
      'after',
      examples(['breakwater config check --config breakwater.yaml', 'breakwater config check --config breakwater.yaml --json']),
    )
    .action(async (options: ConfigOptions) => (await import('./config.ts')).checkConfig(options, terminal));
  add('print', 'print everything that holds, defaults included, passwords hidden')
    .addHelpText('after', examples(['breakwater config print', 'breakwater config print --config breakwater.yaml --json']))
    .action(async (options: ConfigOptions) => (await import('./config.ts')).showConfig(options, terminal));
}

function addProject(program: Command, terminal: Terminal): void {
  const group = program.command('project').description('create, list, change and delete projects of a running server').helpCommand(false);
  const create = group
    .command('create')
    .argument('<name>', 'the first part of the names of its repositories; lower case, no slash')
    .description('create a project')
    .addOption(
      new Option(
        '--kind <kind>',
        'local: push and pull; mirror: read-only, from a registry; overlay: pushed content first, then the registry',
      )
        .choices(['local', 'mirror', 'overlay'])
        .default('local'),
    )
    .option('--public', 'everybody may pull; without it the project is private')
    .option('--registry <registry>', 'the registry of a mirror or overlay, such as docker.io')
    .option('--allow-sparse', 'an index may be pushed although manifests it lists are absent')
    .option('--if-absent', 'no failure when exactly this project exists already');
  withServer(create)
    .addHelpText(
      'after',
      examples([
        'breakwater project create team-a',
        'breakwater project create base --public --if-absent',
        'breakwater project create hub --kind overlay --registry docker.io --public',
      ]),
    )
    .action(async (name: string, options: CreateOptions) => (await import('./project.ts')).createProject(name, options, terminal));
  withServer(group.command('list'))
    .description('list all projects')
    .addHelpText('after', examples(['breakwater project list', 'breakwater project list --json']))
    .action(async (options: OutputOptions) => (await import('./project.ts')).listProjects(options, terminal));
  withServer(group.command('show').argument('<name>'))
    .description('tell what a project is')
    .addHelpText('after', examples(['breakwater project show team-a', 'breakwater project show team-a --json']))
    .action(async (name: string, options: OutputOptions) => (await import('./project.ts')).showProject(name, options, terminal));
  const set = group
    .command('set')
    .argument('<name>')
    .description('change a project')
    .addOption(new Option('--public <yes|no>', 'whether everybody may pull').choices(['yes', 'no']))
    .addOption(new Option('--allow-sparse <yes|no>', 'whether an index may lack manifests it lists').choices(['yes', 'no']));
  withServer(set)
    .addHelpText('after', examples(['breakwater project set team-a --public yes']))
    .action(async (name: string, options: SetOptions) => (await import('./project.ts')).changeProject(name, options, terminal));
  const remove = group
    .command('delete')
    .argument('<name>')
    .description('delete a project that holds nothing')
    .option('--if-exists', 'no failure when there is no such project');
  withServer(remove)
    .addHelpText('after', examples(['breakwater project delete team-a', 'breakwater project delete team-a --if-exists']))
    .action(async (name: string, options: DeleteOptions) => (await import('./project.ts')).deleteProject(name, options, terminal));
}

function addSources(program: Command, terminal: Terminal): void {
  const group = addSourceCommands(program, terminal, { withServer, examples });
  const history = group
    .command('history')
    .argument('<source>', 'its id, or its URL')
    .description('tell how a source did over time: requests, share answered, pace, failures')
    .addOption(new Option('--range <range>', '24h by the minute, 90d by the hour').choices(['24h', '90d']).default('24h'));
  withServer(history)
    .addHelpText(
      'after',
      examples(['breakwater sources history 3', 'breakwater sources history https://mirror.example --range 90d --json']),
    )
    .action(async (source: string, options: HistoryOptions) =>
      (await import('./sources-history.ts')).showSourceHistory(source, options, terminal),
    );
  const importing = group
    .command('import')
    .argument(
      '<file...>',
      'daemon.json, registries.conf, hosts.toml, config.toml, registries.yaml, buildkitd.toml, or a folder such as certs.d',
    )
    .description('take over the mirrors of the files that Docker, podman, containerd, k3s and BuildKit have')
    .addOption(
      new Option('--kind <kind>', 'what the files are, when neither content nor name tells').choices([
        'daemon.json',
        'registries.conf',
        'hosts.toml',
        'config.toml',
        'registries.yaml',
        'buildkitd.toml',
      ]),
    )
    .option('--dry-run', 'only tell what would be done; so it is without --yes')
    .option('--yes', 'add the sources to the server')
    .option('--print-config', 'print them as `registries` for the config file of the server')
    .option('--test', 'let the server try each of them')
    .option('--with-credentials', 'take the logins in the files along; --print-config then prints passwords')
    .option('--dangerous', 'add what is reached over the internet without TLS, or without checking certificates, too');
  withServer(importing)
    .addHelpText(
      'after',
      examples(
        [
          'breakwater sources import /etc/docker/daemon.json',
          'breakwater sources import /etc/containerd/certs.d --test --yes',
          'breakwater sources import /etc/rancher/k3s/registries.yaml --with-credentials --print-config',
        ],
        [
          'Mirrors become sources that are believed about bytes, which their digest proves, and not about tags. Skipped are hosts known to be dead,',
          'addresses of this server itself, and what anybody on the way could change. The files are not changed.',
        ].join('\n'),
      ),
    )
    .action(async (files: string[], options: ImportOptions) =>
      (await import('./sources-import.ts')).importSources(files, options, terminal),
    );
}

function addPresets(program: Command, terminal: Terminal): void {
  const group = program.command('presets').description('well-known registries, public mirrors and dead hosts').helpCommand(false);
  group
    .command('show')
    .argument('[host]', 'a host or URL: what is known of it')
    .description('show the presets that hold; needs no server')
    .option('--data <dir>', 'data folder of the server (BREAKWATER_DATA; default ./data)')
    .option('--config <file>', 'config file of the server (BREAKWATER_CONFIG)')
    .addOption(json())
    .addHelpText('after', examples(['breakwater presets show', 'breakwater presets show https://hub-mirror.c.163.com']))
    .action(async (host: string | undefined, options: ShowOptions) => (await import('./presets.ts')).showPresets(host, options, terminal));
  group
    .command('check')
    .argument('<file>', 'a file of presets')
    .description('tell whether a server would take a file of presets; needs no server')
    .option('--public-key <key>', 'check its signature with this key: ssh-ed25519 AAAA..., or a file that holds it')
    .option('--signature <file>', 'its signature (default: FILE.sig)')
    .addOption(json())
    .addHelpText(
      'after',
      examples(['breakwater presets check presets.json', 'breakwater presets check presets.json --public-key presets-key.pub']),
    )
    .action(async (file: string, options: CheckOptions) => (await import('./presets.ts')).checkPresets(file, options, terminal));
  withServer(group.command('update'))
    .description('let the server look for newer presets now, where its configuration says')
    .addHelpText('after', examples(['breakwater presets update', 'breakwater presets update --json']))
    .action(async (options: OutputOptions) => (await import('./presets.ts')).updatePresets(options, terminal));
}

function addMirror(program: Command, terminal: Terminal): void {
  withServer(program.command('explain'))
    .argument('<image>', 'as one would pull it: debian:12, ghcr.io/owner/app:1, team-a/app@sha256:...')
    .description('tell what the server has of an image, and which source gave which bytes of it')
    .addHelpText('after', examples(['breakwater explain debian:12', 'breakwater explain ghcr.io/owner/app:1 --json']))
    .action(async (image: string, options: OutputOptions) => (await import('./explain.ts')).explainImage(image, options, terminal));
}

function addSigningKeys(program: Command, terminal: Terminal): void {
  const group = program.command('signing-keys').description('the keys that sign the tokens of the registry').helpCommand(false);
  withServer(group.command('list'))
    .description('list the keys that are believed')
    .addHelpText('after', examples(['breakwater signing-keys list']))
    .action(async (options: SigningKeysOptions) => (await import('./signing-keys.ts')).listSigningKeys(options, terminal));
  withServer(group.command('rotate'))
    .description('sign with a new key from now on; it happens by itself every 30 days')
    .option('--revoke', 'believe no other key any more: every token there is becomes worthless')
    .addHelpText('after', examples(['breakwater signing-keys rotate', 'breakwater signing-keys rotate --revoke']))
    .action(async (options: RotateOptions) => (await import('./signing-keys.ts')).rotateSigningKeys(options, terminal));
}

function addCheckLogin(program: Command, terminal: Terminal): void {
  const command = program
    .command('check-login')
    .argument('[url]', "the address that clients use, such as https://registry.example.com (default: the server's)")
    .description('log in through the address that clients use, as they do, and tell what is wrong on the way and what to change')
    .option('--repository <name>', 'also start an upload to this repository, and take it back')
    .option('--anonymous', 'without a login');
  withServer(command)
    .addHelpText(
      'after',
      examples(
        ['breakwater check-login https://registry.example.com', 'breakwater check-login https://tools.example.com/registry --json'],
        'The password is sent to that address only, and not over a certificate that is not trusted.',
      ),
    )
    .action(async (url: string | undefined, options: CheckLoginOptions) =>
      (await import('./check-login.ts')).checkLoginThrough(url, options, terminal),
    );
}

/** The options of every command that speaks to a server. */
function withServer(command: Command): Command {
  return command
    .addOption(json())
    .optionsGroup('Server:')
    .option(
      '--url <url>',
      'address of the server (BREAKWATER_URL; default: of `breakwater login`, from its configuration, else http://127.0.0.1:5000)',
    )
    .option('--user <name>', 'user to log in as (BREAKWATER_USER; default: of `breakwater login`, else admin)')
    .option(
      '--password-file <file>',
      'file with the password (else BREAKWATER_PASSWORD, `breakwater login`, admin.password in the data folder)',
    )
    .option('--data <dir>', 'data folder of the server (BREAKWATER_DATA; default ./data)')
    .option('--config <file>', 'config file of the server (BREAKWATER_CONFIG)')
    .option('--ca-file <file>', 'PEM file of the certificate authority to trust')
    .option('--insecure', 'do not check the certificate; for tests only');
}

function json(): Option {
  return new Option('--json', 'print JSON, for programs');
}

function examples(lines: readonly string[], more?: string): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}\n`).join('')}${more === undefined ? '' : `\n${more}\n`}`;
}
