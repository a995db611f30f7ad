// Behind a proxy: whose word counts for the address that clients are sent to, and that pushes and pulls pass through a real nginx.

import { describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireTools } from '../support/requirements.ts';
import { exchange } from './raw-socket.ts';
import { basicOf, bytesOf, imageOf, imageType, type Registry, sha256, startRegistry } from './registry.ts';

const isolated = 'presets: false\nmirror: { root: false }\n';

async function realmOf(registry: Registry, headers: Record<string, string>): Promise<string | undefined> {
  const response = await registry.call('/v2/', { as: 'anonymous', headers });
  return /realm="([^"]*)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1];
}

describe('the address that clients are sent to', () => {
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'registry.example' };
  const cases: [string, string, string[], string | undefined][] = [
    ['a proxy of the configuration is believed', 'trusted_proxies: [127.0.0.0/8]', [], 'https://registry.example/service/token'],
    ['also one on IPv6', 'trusted_proxies: ["::1"]', ['--listen', '[::1]:0'], 'https://registry.example/service/token'],
    ['another one is not', 'trusted_proxies: [10.0.0.0/8, "fd00::/8"]', [], undefined],
    [
      'external_url is above all',
      'trusted_proxies: [127.0.0.1]\nexternal_url: https://outer.example',
      [],
      'https://outer.example/service/token',
    ],
  ];
  for (const [name, settings, args, realm] of cases) {
    test(name, async () => {
      const registry = await startRegistry({ config: `${isolated}${settings}\n`, args });
      try {
        expect(await realmOf(registry, forwarded)).toBe(realm ?? `${registry.url}/service/token`);
      } finally {
        await registry.stop();
      }
    });
  }
});

describe('below a path of a host', () => {
  const settings: [string, string, Record<string, string>][] = [
    ['by external_url', 'external_url: https://tools.example/registry-a', {}],
    [
      'by what a trusted proxy forwards',
      'trusted_proxies: [127.0.0.1]',
      { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'tools.example', 'x-forwarded-prefix': '/registry-a' },
    ],
  ];
  for (const [name, config, headers] of settings) {
    test(`realm, Location and Link begin with it, ${name}`, async () => {
      const registry = await startRegistry({ config: `${isolated}${config}\n` });
      const at = async (path: string, header: string, options: { method?: string; body?: string } = {}): Promise<string | null> => {
        const json = options.body === undefined ? {} : { 'content-type': 'application/json' };
        return (await registry.call(path, { ...options, headers: { ...headers, ...json } })).headers.get(header);
      };
      try {
        expect(await realmOf(registry, headers)).toBe('https://tools.example/registry-a/service/token');
        expect(await at('/registry-a/v2/library/app/blobs/uploads/', 'location', { method: 'POST' })).toStartWith(
          '/registry-a/v2/library/app/',
        );
        const body = JSON.stringify({ name: 'made', kind: 'local' });
        expect(await at('/registry-a/api/v2.0/projects', 'location', { method: 'POST', body })).toStartWith(
          '/registry-a/api/v2.0/projects/',
        );
        for (const tag of ['1', '2']) await registry.pushImage('library/app', tag);
        expect(await at('/registry-a/v2/library/app/tags/list?n=1', 'link')).toStartWith('</registry-a/v2/library/app/tags/list?');
        const token = await registry.call('/registry-a/service/token?scope=repository:library/app:pull', { headers });
        expect(token.status).toBe(200);
      } finally {
        await registry.stop();
      }
    });
  }

  test('with external_url the registry API at the root of the host has no prefix', async () => {
    const registry = await startRegistry({ config: `${isolated}external_url: https://tools.example/registry-a\n` });
    try {
      const begun = await registry.call('/v2/library/app/blobs/uploads/', { method: 'POST' });
      expect(begun.headers.get('location')).toStartWith('/v2/library/app/blobs/uploads/');
    } finally {
      await registry.stop();
    }
  });

  test('a prefix of somebody else changes nothing', async () => {
    const registry = await startRegistry({ config: isolated });
    try {
      const headers = { 'x-forwarded-prefix': '/evil', forwarded: 'host=evil.example;proto=https', 'x-real-ip': '1.2.3.4' };
      const begun = await registry.call('/v2/library/app/blobs/uploads/', { method: 'POST', headers });
      expect(begun.headers.get('location')).toStartWith('/v2/library/app/blobs/uploads/');
      expect(await realmOf(registry, headers)).toBe(`${registry.url}/service/token`);
    } finally {
      await registry.stop();
    }
  });
});

describe.skipIf(!requireTools('nginx'))('through nginx', () => {
  test('an image is pushed and pulled, and smuggled requests are not answered', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'breakwater-nginx-'));
    const registry = await startRegistry({ config: `${isolated}trusted_proxies: [127.0.0.1]\n` });
    const socket = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
    const { port } = socket;
    socket.stop(true);
    mkdirSync(join(folder, 'tmp'));
    await Bun.write(join(folder, 'nginx.conf'), nginxConfig(folder, port, registry.port));
    const nginx = Bun.spawn(['nginx', '-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'ignore',
    });
    try {
      const url = `http://127.0.0.1:${port}`;
      for (let turn = 0; turn < 200; turn++) {
        if ((await fetch(`${url}/healthz`).catch(() => undefined))?.ok === true) break;
        await Bun.sleep(20);
      }
      const challenge = await fetch(`${url}/v2/`);
      expect(challenge.headers.get('www-authenticate')).toContain(`realm="${url}/service/token"`);
      const headers = { authorization: basicOf(registry.admin) };
      const layer = new Uint8Array(3_000_000).fill(7);
      const config = bytesOf('{}');
      for (const bytes of [layer, config]) {
        const begun = await fetch(`${url}/v2/library/app/blobs/uploads/`, { method: 'POST', headers });
        const location = `${url}${begun.headers.get('location')}`;
        expect((await fetch(location, { method: 'PATCH', headers, body: bytes as Uint8Array<ArrayBuffer> })).status).toBe(202);
        expect((await fetch(`${location}?digest=${sha256(bytes)}`, { method: 'PUT', headers })).status).toBe(201);
      }
      const image = imageOf(config, layer);
      const put = { method: 'PUT', headers: { ...headers, 'content-type': imageType }, body: image.bytes as Uint8Array<ArrayBuffer> };
      expect((await fetch(`${url}/v2/library/app/manifests/v1`, put)).status).toBe(201);
      const pulled = await fetch(`${url}/v2/library/app/manifests/v1`);
      expect(sha256(await pulled.bytes())).toBe(image.digest);
      expect(sha256(await (await fetch(`${url}/v2/library/app/blobs/${image.layerDigest}`)).bytes())).toBe(image.layerDigest);

      const hidden = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';
      const smuggled = [
        `POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
        `GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
        `POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`,
        `POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
        `POST /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`,
      ];
      for (const bytes of smuggled) expect((await exchange(port, bytes)).statuses).not.toContain(200);
      // Nothing of it waits in the connections between the two.
      for (let index = 0; index < 10; index++) expect((await fetch(`${url}/v2/`)).status).toBe(401);
    } finally {
      nginx.kill('SIGTERM');
      await nginx.exited;
      await registry.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 30_000);
});

function nginxConfig(folder: string, port: number, upstreamPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/tmp;`).join(' ');
  return `
    daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
    events { worker_connections 64; }
    http {
      access_log off; ${temporary}
      client_max_body_size 0;
      upstream registry { server 127.0.0.1:${upstreamPort}; keepalive 4; }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://registry; proxy_http_version 1.1; proxy_set_header Connection "";
          proxy_request_buffering off; proxy_buffering off;
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
        }
      }
    }`;
}
