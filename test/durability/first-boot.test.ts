// The first boot interrupted: killed while it writes its secrets, or the power cut just after it was ready. The next boot must work without
// help, and the password in `admin.password` must be a real one that opens the door; an empty one never does.

import { describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bunBinary, mainFile, type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireRoot, requireTools } from '../support/requirements.ts';
import { canMount, createVolume } from './cut-volume.ts';
import { contentOf, sha256 } from './ledger.ts';

const config = 'presets: false\nmirror: { root: false }\nlimits: { minimum_free: { percent: 0, bytes: 1MiB } }\n';
const mounts = requireTools('mkfs.ext4', 'python3', 'mount') && requireRoot() && canMount();

describe.skipIf(!requireTools('strace'))('a first boot killed while it writes a secret', () => {
  for (const file of ['admin.password']) {
    test(`${file}: the next boot makes it anew`, async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-first-'));
      try {
        // The signal comes as the call begins, so the file was made but holds nothing.
        const calls = 'write,pwrite64,writev';
        const killer = ['strace', '-D', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${calls}:signal=KILL:when=1`];
        const paths = [file, ...temporaryNames(file)].flatMap((name) => ['-P', join(dataDir, name)]);
        const command = [...killer, ...paths, bunBinary, mainFile, 'serve', '--data', dataDir, '--listen', '127.0.0.1:0'];
        const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'ignore', timeout: 15_000 });
        const said = await new Response(child.stdout).text();
        await child.exited;
        expect(said).not.toContain('is ready');
        const server = await startBreakwater({ dataDir, config });
        try {
          await expectWorkingSecret(server);
        } finally {
          await server.stop();
        }
      } finally {
        rmSync(dataDir, { recursive: true, force: true });
      }
    }, 60_000);
  }
});

describe.skipIf(!mounts)('a power cut just after the first boot, with the whole data folder on the disk', () => {
  for (const pushes of [0, 1]) {
    test(`${pushes} blobs pushed: the next boot works and the password is the one shown`, async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'breakwater-first-'));
      const volume = createVolume(`/dev/shm/${dataDir.split('/').at(-1)}.img`, dataDir, 256);
      try {
        const server = await startBreakwater({ dataDir, config });
        const bytes = contentOf(1, 1000);
        try {
          if (pushes > 0) await pushBlob(server, bytes);
          volume.cut();
        } finally {
          await server.kill();
        }
        volume.remount();
        const again = await startBreakwater({ dataDir, config });
        try {
          await expectWorkingSecret(again);
          expect(again.adminPassword).toBe(server.adminPassword);
          if (pushes > 0) {
            const answer = await fetch(`${again.url}/v2/library/first/blobs/${sha256(bytes)}`, { headers: loginOf(again.adminPassword) });
            expect(answer.status).toBe(200);
            expect(sha256(await answer.bytes())).toBe(sha256(bytes));
          }
        } finally {
          await again.stop();
        }
      } finally {
        volume.remove();
        rmSync(dataDir, { recursive: true, force: true });
      }
    }, 60_000);
  }
});

/** Names a secret may be written under before it gets its own; when the server uses another one, it has to be added here. */
function temporaryNames(file: string): string[] {
  return [`${file}.new`, `${file}.tmp`, `${file}.partial`];
}

async function expectWorkingSecret(server: RunningBreakwater): Promise<void> {
  expect(readFileSync(join(server.dataDir, 'admin.password'), 'utf8')).toMatch(/^[\w-]{20,}\n$/);
  const login = await fetch(`${server.url}/v2/`, { headers: loginOf(server.adminPassword) });
  expect(login.status).toBe(200);
  const empty = await fetch(`${server.url}/v2/`, { headers: loginOf('') });
  expect(empty.status).toBe(401);
}

async function pushBlob(server: RunningBreakwater, bytes: Uint8Array): Promise<void> {
  const headers = loginOf(server.adminPassword);
  const begun = await fetch(`${server.url}/v2/library/first/blobs/uploads/`, { method: 'POST', headers });
  const location = `${server.url}${begun.headers.get('location')}?digest=${sha256(bytes)}`;
  const done = await fetch(location, { method: 'PUT', headers, body: bytes as Uint8Array<ArrayBuffer> });
  expect(done.status).toBe(201);
}

function loginOf(password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}` };
}
