// HTTPS in the server itself: the certificate of the configuration, and one that changes while the server runs.

import { describe, expect, test } from 'bun:test';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { requireTools } from '../support/requirements.ts';
import { startInProcess } from './in-process.ts';
import { openConnection } from './raw-socket.ts';
import { bytesOf, startRegistry } from './registry.ts';

interface Pair {
  readonly certificate: string;
  readonly key: string;
}

function makeCertificate(folder: string, name: string): Pair {
  const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const made = Bun.spawnSync(['openssl', 'req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...names]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return { certificate, key };
}

/** The name in the certificate that a new connection is shown. */
function served(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      resolve(String(subject.CN));
    });
    socket.on('error', reject);
  });
}

/** The same while the certificate changes: a connection that waits at the listener that is given up may be reset. */
function takenUp(port: number): Promise<string> {
  return served(port).catch(() => 'reset');
}

const trusting = (url: string, init: BunFetchRequestInit = {}): Promise<Response> =>
  fetch(url, { ...init, tls: { rejectUnauthorized: false } });

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const sinceMs = performance.now(); !(await isTrue()); await Bun.sleep(20))
    if (performance.now() - sinceMs > 10_000) throw new Error('it did not come true');
}

async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-tls-'));
  try {
    await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf(!requireTools('openssl'))('a certificate', () => {
  test('of the configuration is served, and nothing in the clear on its port', () =>
    inFolder(async (folder) => {
      const { certificate, key } = makeCertificate(folder, 'one');
      const config = `presets: false\nmirror: { root: false }\ntls: { certificate: ${certificate}, private_key: ${key} }\n`;
      const registry = await startRegistry({ config });
      try {
        expect(registry.url).toStartWith('https://');
        const challenge = await trusting(`${registry.url}/v2/`);
        expect(challenge.headers.get('www-authenticate')).toContain(`realm="https://127.0.0.1:${registry.port}/service/token"`);
        const plain = await openConnection(registry.port);
        plain.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
        await plain.closed;
      } finally {
        expect(await registry.stop()).toBe(0);
      }
    }));

  test('that changes is taken up; a pair that does not fit is not; requests under way go on', () =>
    inFolder(async (folder) => {
      const [one, two, three] = [makeCertificate(folder, 'one'), makeCertificate(folder, 'two'), makeCertificate(folder, 'three')];
      const tls = { certificateFile: join(folder, 'tls.crt'), privateKeyFile: join(folder, 'tls.key') };
      const install = ({ certificate, key }: Pair): void => {
        copyFileSync(certificate, tls.certificateFile);
        copyFileSync(key, tls.privateKeyFile);
      };
      install(one);
      const server = await startInProcess({ tls, certificateCheckMs: 50 });
      const { authorization } = server;
      const events = (name: string): number => server.logged.filter((line) => line.includes(`"event":"${name}"`)).length;
      try {
        expect(await served(server.port)).toBe('one');
        // An upload that lasts from before the change to after it.
        const begun = await trusting(`${server.url}/v2/library/app/blobs/uploads/`, { method: 'POST', headers: { authorization } });
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
        const writer = writable.getWriter();
        const upload = trusting(`${server.url}${begun.headers.get('location')}`, {
          method: 'PATCH',
          headers: { authorization },
          body: readable,
        });
        await writer.write(bytesOf('before, '));

        install(two);
        await until(async () => (await takenUp(server.port)) === 'two');
        await writer.write(bytesOf('after'));
        await writer.close();
        const accepted = await upload;
        expect([accepted.status, accepted.headers.get('range')]).toEqual([202, '0-12']);

        install({ ...three, key: two.key });
        await until(() => events('tls.reload-failed') === 1);
        expect(await served(server.port)).toBe('two');
        rmSync(tls.privateKeyFile);
        await until(() => events('tls.reload-failed') === 2);
        expect(await served(server.port)).toBe('two');
        install(three);
        await until(async () => (await takenUp(server.port)) === 'three');
        expect(events('tls.reloaded')).toBe(2);
      } finally {
        await server.close();
      }
    }));

  test('that changed does not cut a request of before when the server ends', () =>
    inFolder(async (folder) => {
      const tls = { certificateFile: join(folder, 'tls.crt'), privateKeyFile: join(folder, 'tls.key') };
      const install = ({ certificate, key }: Pair): void => {
        copyFileSync(certificate, tls.certificateFile);
        copyFileSync(key, tls.privateKeyFile);
      };
      install(makeCertificate(folder, 'one'));
      const server = await startInProcess({ tls, certificateCheckMs: 50 });
      const { authorization } = server;
      try {
        const begun = await trusting(`${server.url}/v2/library/app/blobs/uploads/`, { method: 'POST', headers: { authorization } });
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
        const writer = writable.getWriter();
        const upload = trusting(`${server.url}${begun.headers.get('location')}`, {
          method: 'PATCH',
          headers: { authorization },
          body: readable,
        });
        await writer.write(bytesOf('before, '));
        install(makeCertificate(folder, 'two'));
        await until(async () => (await takenUp(server.port)) === 'two');
        const stopped = server.stop();
        await until(() =>
          served(server.port).then(
            () => false,
            () => true,
          ),
        );
        await writer.write(bytesOf('after'));
        await writer.close();
        expect((await upload).headers.get('range')).toBe('0-12');
        await stopped;
      } finally {
        await server.close();
      }
    }));
});
