// podman for one test file: its own image store, runtime folder, registries.conf and login file in one temporary folder.
// It works without a bridge, systemd or cgroup rights because it only pulls, tags and pushes; `podman run` is not used.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestImages } from '../images/test-images.ts';
import { type CommandResult, runCommand, runToSuccess } from './command.ts';
import { unmountBelow } from './docker-engine.ts';

export interface Podman {
  readonly folder: string;
  /** Runs `podman …`, gives standard output, throws when it fails. */
  podman(...words: readonly string[]): Promise<string>;
  /** Runs `podman …` and gives the exit code; `input` is its standard input. */
  tryPodman(words: readonly string[], input?: string): Promise<CommandResult>;
  /** Image id and repository digests of a local image. */
  image(name: string): Promise<{ readonly id: string; readonly repoDigests: readonly string[] }>;
  /** Removes every image. */
  clear(): Promise<void>;
  /** Removes the folder. */
  close(): void;
}

/** Text of a registries.conf that sends docker.io to one mirror (`location`, over plain HTTP). */
export function dockerHubMirrorConfig(location: string): string {
  return [
    'unqualified-search-registries = ["docker.io"]',
    'short-name-mode = "disabled"',
    '[[registry]]',
    'prefix = "docker.io"',
    'location = "docker.io"',
    '[[registry.mirror]]',
    `location = ${JSON.stringify(location)}`,
    'insecure = true',
    '',
  ].join('\n');
}

/** A podman with its own folders. `registriesConfig` is the text of registries.conf. */
export function createPodman(images: TestImages, registriesConfig: string): Podman {
  const folder = mkdtempSync(join(tmpdir(), 'podman-'));
  const file = (name: string): string => join(folder, name);
  writeFileSync(file('registries.conf'), registriesConfig);
  writeFileSync(file('auth.json'), '{}');
  // Empty, so that the machine's own containers.conf has no say.
  writeFileSync(file('containers.conf'), '');
  const env = {
    CONTAINERS_REGISTRIES_CONF: file('registries.conf'),
    CONTAINERS_CONF: file('containers.conf'),
    REGISTRY_AUTH_FILE: file('auth.json'),
    TMPDIR: folder,
  };
  const words = (given: readonly string[]): string[] => [
    ...['podman', '--root', file('root'), '--runroot', file('run'), '--tmpdir', file('tmp')],
    ...['--storage-driver', 'overlay', '--events-backend', 'file', '--cgroup-manager', 'cgroupfs'],
    ...given.slice(0, 1),
    ...(given[0] === 'pull' || given[0] === 'push' ? ['--signature-policy', images.policyFile] : []),
    ...given.slice(1),
  ];
  const podman = (...given: readonly string[]): Promise<string> => runToSuccess(words(given), { env });
  return {
    folder,
    podman,
    tryPodman: (given, input) => runCommand(words(given), { env, ...(input === undefined ? {} : { input }) }),
    image: async (name) => {
      const [found]: { Id: string; RepoDigests: string[] }[] = JSON.parse(await podman('image', 'inspect', name));
      if (found === undefined) throw new Error(`no local image ${name}`);
      return { id: `sha256:${found.Id}`, repoDigests: found.RepoDigests };
    },
    clear: async () => {
      await podman('rmi', '--all', '--force');
    },
    close: () => {
      unmountBelow(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
