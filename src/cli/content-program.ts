// The commands on what the registry holds: repositories, artifacts, tags.

import type { Command } from 'commander';
import type { ListOptions, OutputOptions, RepositoryListOptions } from './content.ts';
import type { ProgramParts } from './offline-program.ts';
import type { Terminal } from './terminal.ts';

const nameHelp = 'with its project: team-a/web/app';
const imageHelp = 'team-a/web/app:1.0, or with @sha256:...';

export function addContentCommands(program: Command, terminal: Terminal, parts: ProgramParts): void {
  addRepositories(program, terminal, parts);
  addArtifacts(program, terminal, parts);
  addTags(program, terminal, parts);
}

function addRepositories(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('repository').description('repositories, and what is said of them').helpCommand(false);
  withServer(limited(group.command('list').option('--project <name>', 'those of a project'), 'a part of the name'))
    .description('list the repositories that you may see')
    .addHelpText('after', examples(['breakwater repository list', 'breakwater repository list --project team-a --search web --json']))
    .action(async (options: RepositoryListOptions) => (await import('./content.ts')).listRepositories(options, terminal));
  withServer(group.command('show').argument('<repository>', nameHelp))
    .description('show a repository')
    .addHelpText('after', examples(['breakwater repository show team-a/web/app']))
    .action(async (name: string, options: OutputOptions) => (await import('./content.ts')).showRepository(name, options, terminal));
  withServer(group.command('delete').argument('<repository>', nameHelp))
    .description('delete a repository with all it holds')
    .addHelpText('after', examples(['breakwater repository delete team-a/web/app']))
    .action(async (name: string, options: OutputOptions) => (await import('./content.ts')).deleteRepository(name, options, terminal));
}

function addArtifacts(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('artifact').description('images, charts and other artifacts').helpCommand(false);
  withServer(limited(group.command('list').argument('<repository>', nameHelp), 'a part of a tag'))
    .description('list the artifacts of a repository, pushed last first')
    .addHelpText('after', examples(['breakwater artifact list team-a/web/app', 'breakwater artifact list team-a/web/app --search 1.2']))
    .action(async (name: string, options: ListOptions) => (await import('./content.ts')).listArtifacts(name, options, terminal));
  withServer(group.command('show').argument('<image>', imageHelp))
    .description('show an artifact: size, platform, tags, children, accessories')
    .addHelpText('after', examples(['breakwater artifact show team-a/web/app:1.0', 'breakwater artifact show team-a/web/app:1.0 --json']))
    .action(async (image: string, options: OutputOptions) => (await import('./content.ts')).showArtifact(image, options, terminal));
  withServer(group.command('delete').argument('<image>', imageHelp))
    .description('delete an artifact with all its tags and its accessories')
    .addHelpText('after', examples(['breakwater artifact delete team-a/web/app:1.0'], 'One tag alone goes with `breakwater tag delete`.'))
    .action(async (image: string, options: OutputOptions) => (await import('./content.ts')).deleteArtifact(image, options, terminal));
  withServer(group.command('copy').argument('<image>', imageHelp).argument('<repository>', 'where to, with its project'))
    .description('copy an artifact with its tags to another repository of the server; no byte is moved')
    .addHelpText('after', examples(['breakwater artifact copy team-a/web/app:1.0 production/web/app']))
    .action(async (image: string, repository: string, options: OutputOptions) =>
      (await import('./content.ts')).copyArtifact(image, repository, options, terminal),
    );
}

function addTags(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('tag').description('tags of artifacts').helpCommand(false);
  withServer(limited(group.command('list').argument('<image>', imageHelp), 'a part of the tag'))
    .description('list all tags of the artifact that an image names')
    .addHelpText('after', examples(['breakwater tag list team-a/web/app:1.0']))
    .action(async (image: string, options: ListOptions) => (await import('./content.ts')).listTags(image, options, terminal));
  withServer(group.command('add').argument('<image>', imageHelp).argument('<tag>', 'a tag that is not there yet'))
    .description('give an artifact one more tag')
    .addHelpText('after', examples(['breakwater tag add team-a/web/app:1.0 stable']))
    .action(async (image: string, tag: string, options: OutputOptions) =>
      (await import('./content.ts')).addTag(image, tag, options, terminal),
    );
  withServer(group.command('delete').argument('<image>', 'with the tag: team-a/web/app:1.0'))
    .description('remove a tag; what it pointed to stays')
    .addHelpText('after', examples(['breakwater tag delete team-a/web/app:1.0']))
    .action(async (image: string, options: OutputOptions) => (await import('./content.ts')).deleteTag(image, options, terminal));
}

function limited(command: Command, searchHelp: string): Command {
  return command.option('--search <text>', searchHelp).option('--limit <number>', 'at most so many', '1000');
}
