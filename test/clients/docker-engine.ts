// A real Docker engine for one test file: its own socket, image store and login folder, all in one temporary folder.
// It never touches the machine's Docker, its network (no bridge, no iptables) or its login file. Needs root and Debian's docker.io.
// Containers share the host's network: `docker run --network host`; loopback registries are reached over plain HTTP.

import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandResult, runCommand, runToSuccess } from './command.ts';

export interface DockerEngine {
  /** Runs `docker …`, gives standard output, throws when it fails. */
  docker(...words: readonly string[]): Promise<string>;
  /** Runs `docker …` and gives the exit code; `input` is its standard input. */
  tryDocker(words: readonly string[], input?: string): Promise<CommandResult>;
  /** Image id and repository digests of a local image. */
  image(name: string): Promise<{ readonly id: string; readonly repoDigests: readonly string[] }>;
  /** The folder of config.json, where `docker login` writes. */
  readonly configDir: string;
  /** For `docker --host`. */
  readonly host: string;
  stop(): Promise<void>;
}

/** Words that let a container run without a bridge, a seccomp profile or raised limits. */
export const runWords = [
  'run',
  '--rm',
  '--network',
  'host',
  '--security-opt',
  'seccomp=unconfined',
  '--ulimit',
  'nofile=20000:20000',
] as const;

const startTimeoutMs = 30_000;

/** Starts the engine with the given daemon.json and waits until it answers. */
export async function startDockerEngine(daemonJson: Readonly<Record<string, unknown>>): Promise<DockerEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'dockerd-'));
  const configDir = join(folder, 'login');
  const runDir = join(folder, 'run');
  for (const made of [configDir, runDir]) mkdirSync(made);
  const daemonFile = join(folder, 'daemon.json');
  writeFileSync(daemonFile, JSON.stringify(daemonJson));
  const socket = `unix://${join(runDir, 'docker.sock')}`;
  const logFile = join(folder, 'dockerd.log');
  const log = openSync(logFile, 'a');
  const daemon = Bun.spawn(
    [
      ...['prlimit', '--nofile=20000:20000', 'dockerd', '--config-file', daemonFile, '--host', socket],
      ...['--data-root', join(folder, 'data'), '--exec-root', join(runDir, 'exec'), '--pidfile', join(runDir, 'pid')],
      ...['--storage-driver', 'overlay2', '--iptables=false', '--ip6tables=false', '--ip-masq=false', '--bridge=none'],
      ...['--insecure-registry', '127.0.0.0/8'],
    ],
    { env: { ...process.env, DOCKER_RAMDISK: '1' }, stdin: 'ignore', stdout: log, stderr: log },
  );
  const env = { DOCKER_HOST: socket, DOCKER_CONFIG: configDir };
  const docker = (...words: readonly string[]): Promise<string> => runToSuccess(['docker', ...words], { env });
  const stop = async (): Promise<void> => {
    daemon.kill('SIGTERM');
    const timer = setTimeout(() => daemon.kill('SIGKILL'), 20_000);
    await daemon.exited;
    clearTimeout(timer);
    unmountBelow(folder);
    rmSync(folder, { recursive: true, force: true });
  };
  const deadlineMs = performance.now() + startTimeoutMs;
  while ((await runCommand(['docker', 'version'], { env })).code !== 0) {
    if (daemon.exitCode !== null || performance.now() > deadlineMs) {
      const words = readFileSync(logFile, 'utf8').slice(-2000);
      await stop();
      throw new Error(`dockerd does not answer\n${words}`);
    }
    await Bun.sleep(200);
  }
  return {
    docker,
    configDir,
    host: socket,
    stop,
    tryDocker: (words, input) => runCommand(['docker', ...words], { env, ...(input === undefined ? {} : { input }) }),
    image: async (name) => {
      const [found]: { Id: string; RepoDigests: string[] }[] = JSON.parse(await docker('image', 'inspect', name));
      if (found === undefined) throw new Error(`no local image ${name}`);
      return { id: found.Id, repoDigests: found.RepoDigests };
    },
  };
}

/** Unmounts what a stopped engine left mounted below its folder (its own data folder, network namespaces), deepest first. */
export function unmountBelow(folder: string): void {
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${folder}/`));
  for (const point of points.sort().reverse()) Bun.spawnSync(['umount', '--lazy', point]);
}
