// A containerd for one test file with its own socket, content store and hosts.toml folder, driven by `ctr`. The CRI plugin is off, so
// it needs no network set-up. Needs root.

import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand, runToSuccess } from './command.ts';
import { unmountBelow } from './docker-engine.ts';

export interface Containerd {
  /** For `ctr --address`. */
  readonly socket: string;
  /** Runs `ctr …`, gives standard output, throws when it fails. */
  ctr(...words: readonly string[]): Promise<string>;
  /** Writes `hosts.toml` for a registry and gives the folder for `--hosts-dir`; each call makes a new folder. */
  hostsDir(registry: string, toml: string): string;
  /** The digest a local reference stands for. */
  digestOf(reference: string): Promise<string>;
  stop(): Promise<void>;
}

const unusedPlugins = [
  'io.containerd.grpc.v1.cri',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.zfs',
];

/** Starts containerd and waits until it answers. */
export async function startContainerd(): Promise<Containerd> {
  const folder = mkdtempSync(join(tmpdir(), 'containerd-'));
  const socket = join(folder, 'containerd.sock');
  const configFile = join(folder, 'config.toml');
  const text = (value: string): string => JSON.stringify(value);
  writeFileSync(
    configFile,
    [
      'version = 2',
      `root = ${text(join(folder, 'root'))}`,
      `state = ${text(join(folder, 'state'))}`,
      `disabled_plugins = [${unusedPlugins.map(text).join(', ')}]`,
      `[grpc]\naddress = ${text(socket)}`,
      `[ttrpc]\naddress = ${text(`${socket}.ttrpc`)}`,
      '',
    ].join('\n'),
  );
  const logFile = join(folder, 'containerd.log');
  const log = openSync(logFile, 'a');
  const daemon = Bun.spawn(['containerd', '--config', configFile], { stdin: 'ignore', stdout: log, stderr: log });
  const ctr = (...words: readonly string[]): Promise<string> => runToSuccess(['ctr', '--address', socket, ...words]);
  const stop = async (): Promise<void> => {
    daemon.kill('SIGTERM');
    await daemon.exited;
    unmountBelow(folder);
    rmSync(folder, { recursive: true, force: true });
  };
  const deadlineMs = performance.now() + 20_000;
  while ((await runCommand(['ctr', '--address', socket, 'version'])).code !== 0) {
    if (daemon.exitCode !== null || performance.now() > deadlineMs) {
      const words = readFileSync(logFile, 'utf8').slice(-2000);
      await stop();
      throw new Error(`containerd does not answer\n${words}`);
    }
    await Bun.sleep(100);
  }
  let hostsFolders = 0;
  return {
    socket,
    ctr,
    stop,
    hostsDir: (registry, toml) => {
      const directory = join(folder, `certs.d-${hostsFolders++}`);
      mkdirSync(join(directory, registry), { recursive: true });
      writeFileSync(join(directory, registry, 'hosts.toml'), toml);
      return directory;
    },
    digestOf: async (reference) => {
      const lines = (await ctr('images', 'ls')).split('\n');
      const digest = lines.map((line) => line.split(/\s+/)).find((columns) => columns[0] === reference)?.[2];
      if (digest === undefined) throw new Error(`no local image ${reference}`);
      return digest;
    },
  };
}
