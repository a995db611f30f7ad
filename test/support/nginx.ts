// A real nginx as the reverse proxy of one test: free loopback port, its own folder, TLS with a certificate of its own when that is wanted.
// It ends only the process it started, and removes only the folder it made.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Nginx {
  /** https with a certificate, else http; the address 127.0.0.1. */
  readonly url: string;
  readonly port: number;
  /** A folder that holds the certificate as ca.crt, as podman and skopeo want it (`--cert-dir`). */
  readonly certDir: string;
  /** PEM of the certificate, which is its own authority. */
  readonly ca: string;
  stop(): Promise<void>;
}

export interface NginxOptions {
  /** What stands in the `server` block, besides `listen` and the certificate; `upstream` is where to pass requests. */
  readonly server: (upstream: string) => string;
  readonly upstreamPort: number;
  readonly tls?: boolean | { readonly names?: string; readonly days?: number };
  /** Default: a free one. */
  readonly port?: number;
}

/** Headers and settings that a proxy before a registry needs. */
export const goodHeaders = `
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_request_buffering off;
  proxy_buffering off;
  client_max_body_size 0;`;

/** A loopback port that was free a moment ago. */
export function freePort(): number {
  const socket = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
  const { port } = socket;
  socket.stop(true);
  return port;
}

/** A self-signed certificate and its key as PEM files in `folder`. Needs openssl. */
function makeCertificate(folder: string, options: { readonly names?: string; readonly days?: number } = {}): void {
  const names = options.names ?? 'IP:127.0.0.1,DNS:localhost';
  const made = Bun.spawnSync([
    ...[
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      String(options.days ?? 2),
    ],
    ...[
      '-keyout',
      join(folder, 'server.key'),
      '-out',
      join(folder, 'server.crt'),
      '-subj',
      '/CN=proxy',
      '-addext',
      `subjectAltName=${names}`,
    ],
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
}

/** Starts nginx and waits until it takes connections. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-nginx-'));
  const certDir = join(folder, 'certs');
  for (const made of [certDir, join(folder, 'tmp')]) mkdirSync(made);
  const { tls = false } = options;
  const port = options.port ?? freePort();
  if (tls !== false) {
    makeCertificate(folder, tls === true ? {} : tls);
    writeFileSync(join(certDir, 'ca.crt'), readFileSync(join(folder, 'server.crt')));
  }
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/tmp;`).join(' ');
  const certificate = tls === false ? '' : `ssl_certificate ${folder}/server.crt; ssl_certificate_key ${folder}/server.key;`;
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''} worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
    events { worker_connections 64; }
    http {
      access_log off; ${temporary}
      upstream registry { server 127.0.0.1:${options.upstreamPort}; }
      server { listen 127.0.0.1:${port}${tls === false ? '' : ' ssl'}; ${certificate} ${options.server('http://registry')} }
    }`,
  );
  const nginx = Bun.spawn(['nginx', '-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  });
  const stop = async (): Promise<void> => {
    nginx.kill('SIGTERM');
    await nginx.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  for (let turn = 0; !(await isOpen(port)); turn++) {
    if (nginx.exitCode !== null || turn > 500) {
      const words = readFileSync(join(folder, 'error.log'), 'utf8').slice(-2000);
      await stop();
      throw new Error(`nginx does not answer\n${words}`);
    }
    await Bun.sleep(20);
  }
  return {
    url: `${tls === false ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    certDir,
    ca: tls === false ? '' : readFileSync(join(certDir, 'ca.crt'), 'utf8'),
    stop,
  };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
