// The commands for sites without a network, as the command line has them.

import type { Command } from 'commander';
import type { ExportOptions, ImportOptions } from './archive.ts';
import type { addPins, listPins } from './pins.ts';
import type { Terminal } from './terminal.ts';
import type { VerifyOptions } from './verify.ts';
import type { WarmOptions } from './warm.ts';

type OutputOptions = Parameters<typeof listPins>[1];
type PinOptions = Parameters<typeof addPins>[2];
export interface ProgramParts {
  readonly withServer: (command: Command) => Command;
  readonly examples: (lines: readonly string[], more?: string) => string;
}

const repeatable = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
const fileHelp = 'a list (one image a line), a compose file or Kubernetes manifests; - is standard input; may be repeated';

export function addOfflineCommands(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  withServer(
    program
      .command('warm')
      .argument('[images...]', 'as one would pull them; - reads a file from standard input')
      .description('let the server fetch images before somebody needs them')
      .option('--file <file>', fileHelp, repeatable)
      .option('--pins <set>', 'the images of a pinned set, for the platforms pinned')
      .option('--platform <platforms>', 'linux/amd64,linux/arm64, or all, which takes attestations too (default: linux/amd64)')
      .option('--bandwidth <rate>', 'bytes per second at most, such as 20MiB/s')
      .option('--concurrency <count>', 'images, and blobs, at a time: 1 to 32', '4')
      .option('--detach', 'begin it and return at once'),
  )
    .addHelpText(
      'after',
      examples(
        [
          'breakwater warm nginx:1.27 ghcr.io/owner/app:1',
          'breakwater warm --file compose.yaml --platform linux/amd64,linux/arm64',
          'helm template my-release ./chart | breakwater warm -',
          'breakwater warm --pins site-a --bandwidth 20MiB/s --json',
        ],
        "The run is the server's: it goes on when this command ends and after a restart, and what is there is not fetched again.\nExit code 1 when an image could not be had.",
      ),
    )
    .action(async (images: string[], options: WarmOptions) => (await import('./warm.ts')).warm(images, options, terminal));
  addWarmups(program, terminal, { withServer, examples });
  addVerify(program, terminal, { withServer, examples });
  addArchives(program, terminal, { withServer, examples });
  addPinCommands(program, terminal, { withServer, examples });
}

function addWarmups(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('warmups').description('list, watch and cancel warm-ups of a running server').helpCommand(false);
  withServer(group.command('list'))
    .description('the active ones, and the last 50 that ended')
    .addHelpText('after', examples(['breakwater warmups list']))
    .action(async (options: OutputOptions) => (await import('./warm.ts')).listWarmups(options, terminal));
  withServer(group.command('watch').argument('<id>'))
    .description('watch one to its end, as `warm` does')
    .addHelpText('after', examples(['breakwater warmups watch 01k9x5v3qjw3m4g0a9zq7n2c1d']))
    .action(async (id: string, options: OutputOptions) => (await import('./warm.ts')).watchWarmup(id, options, terminal));
  withServer(group.command('cancel').argument('<id>'))
    .description('end one; what it has fetched stays')
    .addHelpText('after', examples(['breakwater warmups cancel 01k9x5v3qjw3m4g0a9zq7n2c1d']))
    .action(async (id: string, options: OutputOptions) => (await import('./warm.ts')).cancelWarmup(id, options, terminal));
}

function addVerify(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  withServer(
    program
      .command('verify')
      .argument('[images...]', 'as one would pull them')
      .description('tell whether images can be pulled while no source can be reached')
      .requiredOption('--offline', 'ask no source: look at what is here')
      .option('--file <file>', fileHelp, repeatable)
      .option('--pins <set>', 'the images of a pinned set, for the platforms pinned')
      .option('--all', 'every tag here, for the platforms of which something is here')
      .option('--platform <platforms>', 'what of an index has to be here: linux/amd64,linux/arm64, or all (default: linux/amd64)')
      .option('--deep', 'read every byte and compare the digest, instead of the sizes of the files')
      .option('--bandwidth <rate>', 'bytes per second of a deep check (default: 100MiB/s)'),
  )
    .addHelpText(
      'after',
      examples(
        [
          'breakwater verify --offline nginx:1.27',
          'breakwater verify --offline --pins site-a --deep',
          'breakwater verify --offline --all --json',
        ],
        'Exit code 1 when something is missing.',
      ),
    )
    .action(async (images: string[], options: VerifyOptions) => (await import('./verify.ts')).verifyOffline(images, options, terminal));
}

function addArchives(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  withServer(
    program
      .command('export')
      .argument('[images...]', 'as one would pull them')
      .description('write images that are here into one file: a tar with an OCI image layout')
      .requiredOption('-o, --output <file>', 'the file to write; - is standard output')
      .option('--file <file>', fileHelp, repeatable)
      .option('--pins <set>', 'the images of a pinned set, for the platforms pinned')
      .option('--platform <platforms>', 'what of an index goes along: linux/amd64,linux/arm64, or all (default: linux/amd64)'),
  )
    .addHelpText(
      'after',
      examples(
        [
          'breakwater export nginx:1.27 redis:7 -o bundle.tar',
          'breakwater export --pins site-a -o site-a.tar',
          'breakwater export --file compose.yaml -o - | ssh inside breakwater import -',
        ],
        'skopeo, podman, Docker and containerd read the file, too. An index is written whole; only the platforms named go along.',
      ),
    )
    .action(async (images: string[], options: ExportOptions) => (await import('./archive.ts')).exportArchive(images, options, terminal));
  withServer(
    program
      .command('import')
      .argument('<file>', 'a tar with an OCI image layout; - is standard input')
      .description('import the images of an archive: of `breakwater export`, `skopeo copy ... oci-archive:`, `docker save`')
      .option('--project <project>', 'put all images into this project, below their names without the registry')
      .option('--as <name>', 'the name of the only image, with or without a tag'),
  )
    .addHelpText(
      'after',
      examples(
        ['breakwater import bundle.tar', 'breakwater import bundle.tar --project team-a', 'breakwater import app.tar --as team-a/app:1'],
        'Without a name images keep theirs, and are pulled as before. An import that broke off is done again; what is here is not written twice.',
      ),
    )
    .action(async (file: string, options: ImportOptions) => (await import('./archive.ts')).importArchive(file, options, terminal));
}

function addPinCommands(program: Command, terminal: Terminal, { withServer, examples }: ProgramParts): void {
  const group = program.command('pins').description('sets of images that stay here and complete').helpCommand(false);
  withServer(
    group
      .command('add')
      .argument('<set>', 'a name for the set; it is made when it is new')
      .argument('[images...]', 'as one would pull them')
      .description('pin images in a set')
      .option('--file <file>', fileHelp, repeatable)
      .option('--platform <platforms>', 'what of an index has to be here: linux/amd64,linux/arm64, or all', 'linux/amd64'),
  )
    .addHelpText('after', examples(['breakwater pins add site-a nginx:1.27 redis:7', 'breakwater pins add site-a --file compose.yaml']))
    .action(async (set: string, images: string[], options: PinOptions) =>
      (await import('./pins.ts')).addPins(set, images, options, terminal),
    );
  withServer(group.command('remove').argument('<set>').argument('[images...]', 'as they were pinned').option('--all', 'the whole set'))
    .description('take images out of a set, or remove it')
    .addHelpText('after', examples(['breakwater pins remove site-a redis:7', 'breakwater pins remove site-a --all']))
    .action(async (set: string, images: string[], options: OutputOptions & { all?: boolean }) =>
      (await import('./pins.ts')).removePins(set, images, options, terminal),
    );
  withServer(group.command('list').argument('[set]'))
    .description('pinned images')
    .addHelpText('after', examples(['breakwater pins list', 'breakwater pins list site-a --json']))
    .action(async (set: string | undefined, options: OutputOptions) => (await import('./pins.ts')).listPins(set, options, terminal));
}
