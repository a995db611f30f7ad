// Forwarding from a real server: a webhook whose signature its receiver checks, syslog over TCP, UDP and TLS, and an address set over the API.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { send } from '../api/client.ts';
import { until } from '../mirror/harness.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';

const secret = 'webhook-secret-canary-1';
interface Delivery {
  readonly headers: Headers;
  readonly body: string;
}
let folder: string;
const deliveries: Delivery[] = [];
let refuse = false;
const hook = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch: async (request) => {
    const body = await request.text();
    if (refuse) return new Response('no', { status: 500 });
    deliveries.push({ headers: request.headers, body });
    return new Response(null, { status: 204 });
  },
});
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'breakwater-forwarded-'));
});
afterAll(async () => {
  await hook.stop(true);
  rmSync(folder, { recursive: true, force: true });
});

async function withServer(audit: object, run: (server: RunningBreakwater) => Promise<void>): Promise<string> {
  const server = await startBreakwater({ config: JSON.stringify({ presets: false, probes: { enabled: false }, audit }) });
  try {
    await run(server);
  } finally {
    await server.stop();
  }
  return server.logs();
}
const metricsOf = async (server: RunningBreakwater): Promise<string> =>
  (await fetch(`${server.url}/metrics`, { headers: { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` } })).text();
/** A new target begins with what comes after its first look. */
const looked = (server: RunningBreakwater, target: string): Promise<void> =>
  until(async () => (await metricsOf(server)).includes(`breakwater_audit_forward_lag_entries{target="${target}"}`), 20_000);
const makeProject = (server: RunningBreakwater, name: string) =>
  send(server, '/projects', { method: 'POST', body: JSON.stringify({ name }), headers: { 'content-type': 'application/json' } });

/** Octet-counted messages out of what a TCP receiver got. */
function framesOf(bytes: Buffer): string[] {
  const frames: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(' ', at);
    const length = Number(bytes.subarray(at, space).toString());
    if (space === -1 || !Number.isSafeInteger(length) || space + 1 + length > bytes.length) break;
    frames.push(bytes.subarray(space + 1, space + 1 + length).toString());
    at = space + 1 + length;
  }
  return frames;
}

test('SEC-D08: a webhook gets every entry once it answers, signed over time, id and body; the secret is in no log and no answer', async () => {
  const audit = { webhook: { url: `http://127.0.0.1:${hook.port}/audit`, secret } };
  const logs = await withServer(audit, async (server) => {
    await looked(server, 'webhook');
    refuse = true;
    await makeProject(server, 'while-away');
    await until(() => server.logs().includes('audit.not-forwarded'), 20_000);
    refuse = false;
    await makeProject(server, 'team-a');
    await until(() => deliveries.some(({ body }) => body.includes('team-a')), 20_000);
    expect((await send(server, '/auditlog-exts?page_size=100')).text).not.toContain(secret);
    expect(await metricsOf(server)).toMatch(/breakwater_audit_forwarded_entries_total\{target="webhook",outcome="sent"\} [1-9]/);
  });
  expect(logs).not.toContain(secret);
  expect(logs).toContain('audit.not-forwarded');
  const events = deliveries.flatMap(({ body }) => (JSON.parse(body) as { events: { id: number; resource_type: string }[] }).events);
  expect(events.map((event) => event.id)).toEqual(events.map((_, index) => (events[0]?.id ?? 0) + index));
  expect(events.filter((event) => event.resource_type === 'project').length).toBe(2);
  for (const { headers, body } of deliveries) {
    const [timestamp, delivery] = [headers.get('x-breakwater-timestamp'), headers.get('x-breakwater-delivery')];
    expect(Math.abs(Number(timestamp) * 1000 - Date.now())).toBeLessThan(120_000);
    expect(delivery).toMatch(/^audit-\d+-\d+$/);
    const signature = createHmac('sha256', secret).update(`${timestamp}.${delivery}.${body}`).digest('hex');
    expect(headers.get('x-breakwater-signature')).toBe(`v1=${signature}`);
  }
}, 60_000);

test('syslog over TCP, and another server set over the API: each message is an entry', async () => {
  let [first, second] = [Buffer.alloc(0), Buffer.alloc(0)];
  const one = createServer((socket) => socket.on('data', (chunk: Buffer) => (first = Buffer.concat([first, chunk])))).listen(
    0,
    '127.0.0.1',
  );
  const two = createServer((socket) => socket.on('data', (chunk: Buffer) => (second = Buffer.concat([second, chunk])))).listen(
    0,
    '127.0.0.1',
  );
  const portOf = (server: typeof one): number => (server.address() as { port: number }).port;
  await until(() => one.listening && two.listening);
  try {
    await withServer({ syslog: { url: `tcp://127.0.0.1:${portOf(one)}` }, private_endpoint: true }, async (server) => {
      await looked(server, 'syslog');
      const setting = JSON.stringify({ audit_log_forward_endpoint: `127.0.0.1:${portOf(two)}` });
      const set = await send(server, '/configurations', { method: 'PUT', body: setting, headers: { 'content-type': 'application/json' } });
      expect(set.status).toBe(200);
      await looked(server, 'endpoint');
      await makeProject(server, 'team-b');
      const isThere = (bytes: Buffer) => framesOf(bytes).some((frame) => frame.includes('"resource_type":"project"'));
      await until(() => isThere(first) && isThere(second), 20_000);
    });
    for (const frame of framesOf(first)) {
      expect(frame).toMatch(/^<1(10|08)>1 \S+ \S+ breakwater - \S+ - \{/);
      expect(JSON.parse(frame.slice(frame.indexOf('{')))).toMatchObject({ id: expect.any(Number), hash: expect.any(String) });
    }
  } finally {
    one.close();
    two.close();
  }
}, 60_000);

test('an address set over the API in a private network is not contacted unless the config file allows it', async () => {
  let connections = 0;
  const inside = createServer((socket) => {
    connections++;
    socket.end();
  }).listen(0, '127.0.0.1');
  await until(() => inside.listening);
  try {
    const logs = await withServer({}, async (server) => {
      const setting = JSON.stringify({ audit_log_forward_endpoint: `127.0.0.1:${(inside.address() as { port: number }).port}` });
      await send(server, '/configurations', { method: 'PUT', body: setting, headers: { 'content-type': 'application/json' } });
      await looked(server, 'endpoint');
      await makeProject(server, 'team-c');
      await until(() => server.logs().includes('audit.not-forwarded'), 20_000);
    });
    expect(connections).toBe(0);
    expect(logs).toContain('audit.not-forwarded');
  } finally {
    inside.close();
  }
}, 60_000);

test('syslog over UDP', async () => {
  const got: string[] = [];
  const socket = createSocket('udp4').on('message', (message) => got.push(message.toString()));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  try {
    await withServer({ syslog: { url: `udp://127.0.0.1:${socket.address().port}` } }, async (server) => {
      await looked(server, 'syslog');
      await makeProject(server, 'team-d');
      await until(() => got.some((message) => message.includes('"resource_type":"project"')), 20_000);
    });
  } finally {
    socket.close();
  }
}, 60_000);

test.skipIf(!requireTools('openssl'))(
  'syslog over TLS, only to a server whose certificate holds',
  async () => {
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const made = Bun.spawnSync(
      `openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout ${key} -out ${certificate}`.split(
        ' ',
      ),
    );
    expect(made.exitCode).toBe(0);
    let bytes = Buffer.alloc(0);
    const pem = { key: await Bun.file(key).text(), cert: await Bun.file(certificate).text() };
    const server = createTlsServer(pem, (socket) => socket.on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])))).listen(
      0,
      '127.0.0.1',
    );
    server.on('tlsClientError', () => undefined);
    await until(() => server.listening);
    const url = `tls://127.0.0.1:${(server.address() as { port: number }).port}`;
    try {
      await withServer({ syslog: { url, ca_file: certificate } }, async (running) => {
        await looked(running, 'syslog');
        await makeProject(running, 'team-e');
        await until(() => framesOf(bytes).some((frame) => frame.includes('"resource_type":"project"')), 20_000);
      });
      bytes = Buffer.alloc(0);
      const logs = await withServer({ syslog: { url } }, async (running) => {
        await looked(running, 'syslog');
        await makeProject(running, 'team-f');
        await until(() => running.logs().includes('audit.not-forwarded'), 20_000);
      });
      expect(bytes.length).toBe(0);
      expect(logs).toContain('audit.not-forwarded');
    } finally {
      server.close();
    }
  },
  60_000,
);
