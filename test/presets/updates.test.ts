// Newer presets for a running server, signed with a throwaway key by ssh-keygen: taken up without a restart, kept for the next start; refused when
// the signature, the content or the serial is bad, and then what held before goes on holding.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type PresetStatus, presetStatusSchema } from '../../src/api/preset-schemas.ts';
import { registrySourcesSchema } from '../../src/api/source-schemas.ts';
import { shippedPresets } from '../../src/config/presets.ts';
import { makeFolder, runCli } from '../cli/run.ts';
import { runToSuccess } from '../clients/command.ts';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';

interface Change {
  readonly serial: number;
  readonly registries?: readonly object[];
  readonly dead?: readonly object[];
}

describe.skipIf(!requireTools('ssh-keygen'))('newer presets', () => {
  const folder = makeFolder();
  const key = join(folder.path, 'key');
  const strange = join(folder.path, 'strange');
  const served = join(folder.path, 'served');
  const files = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => serve(new URL(request.url).pathname) });
  const serve = (path: string): Response => {
    const file = join(served, path);
    return existsSync(file) ? new Response(readFileSync(file)) : new Response('no', { status: 404 });
  };
  let publicKey = '';
  beforeAll(async () => {
    mkdirSync(served);
    for (const file of [key, strange]) await runToSuccess(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'throwaway', '-f', file]);
    publicKey = readFileSync(`${key}.pub`, 'utf8').trim();
  });
  afterAll(async () => {
    await files.stop(true);
    folder.remove();
  });

  /** The shipped presets with these changes, signed, at this name below the server of files. */
  const publish = async (name: string, change: Change, options: { key?: string; namespace?: string } = {}): Promise<string> => {
    const file = join(served, name);
    const { registries = [], dead = [], serial } = change;
    const data = {
      ...shippedPresets,
      serial,
      registries: [...shippedPresets.registries, ...registries],
      dead: [...shippedPresets.dead, ...dead],
    };
    writeFileSync(file, JSON.stringify(data));
    rmSync(`${file}.sig`, { force: true });
    await runToSuccess(['ssh-keygen', '-q', '-Y', 'sign', '-f', options.key ?? key, '-n', options.namespace ?? 'breakwater-presets', file]);
    return file;
  };
  const extra = { name: 'new.example', url: 'https://registry.new.example', login: 'none' };
  const start = (presets: object, dataDir?: string): Promise<RunningBreakwater> =>
    startBreakwater({
      config: JSON.stringify({ presets: { ...presets, public_key: publicKey } }),
      ...(dataDir === undefined ? {} : { dataDir }),
    });
  const api = async (server: RunningBreakwater, method: 'GET' | 'POST', path: string): Promise<Response> =>
    fetch(`${server.url}/api/v2.0${path}`, {
      method,
      headers: {
        authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}`,
        'content-type': 'application/json',
        'x-is-resource-name': 'true',
      },
      ...(method === 'POST' ? { body: '{}' } : {}),
    });
  const update = async (server: RunningBreakwater): Promise<PresetStatus> => {
    const response = await api(server, 'POST', '/presets/update');
    expect(response.status).toBe(200);
    return presetStatusSchema.parse(await response.json());
  };
  const registriesOf = async (server: RunningBreakwater): Promise<readonly string[]> =>
    z
      .array(registrySourcesSchema)
      .parse(await (await api(server, 'GET', '/sources')).json())
      .map((one) => one.registry);

  /** The log comes through a pipe, a little later than the answer. */
  const logged = async (server: RunningBreakwater, text: string): Promise<void> => {
    const deadlineMs = performance.now() + 20_000;
    while (!server.logs().includes(text) && performance.now() < deadlineMs) await Bun.sleep(20);
    expect(server.logs()).toContain(text);
  };

  test('are taken up from a URL while the server runs, and hold after a restart without it', async () => {
    const url = `http://127.0.0.1:${files.port}/a.json`;
    const data = join(folder.path, 'data-a');
    mkdirSync(data);
    let server = await start({ url }, data);
    try {
      expect(await update(server)).toMatchObject({ serial: 1, origin: 'shipped', lastCheck: { outcome: 'unreachable' } });
      expect(await registriesOf(server)).not.toContain('new.example');
      await publish('a.json', { serial: 7, registries: [extra], dead: [{ host: 'gone.example', since: '2026', reason: 'closed' }] });
      expect(await update(server)).toMatchObject({ serial: 7, origin: 'update', from: url, lastCheck: { outcome: 'updated' } });
      expect(await registriesOf(server)).toContain('new.example');
      expect(await update(server)).toMatchObject({ serial: 7, lastCheck: { outcome: 'unchanged' } });
      await server.stop();
      rmSync(join(served, 'a.json'));
      server = await start({ url }, data);
      expect(await update(server)).toMatchObject({ serial: 7, origin: 'update', lastCheck: { outcome: 'unreachable' } });
      expect(await registriesOf(server)).toContain('new.example');
      const config = join(data, 'test-config.yaml');
      const shown = await runCli(['presets', 'show', 'https://gone.example/v2', '--config', config, '--data', data]);
      expect(shown).toMatchObject({ code: 0, stdout: 'gone.example: dead since 2026: closed\n' });
      // Edited by hand, what is kept no longer verifies: the shipped ones hold, and the log says why.
      const kept = join(data, 'presets.signed.json');
      writeFileSync(kept, readFileSync(kept, 'utf8').replace('new.example', 'bad.example'));
      await server.stop();
      server = await start({ url }, data);
      expect(await update(server)).toMatchObject({ serial: 1, origin: 'shipped' });
      await logged(server, 'the signature does not fit the file');
    } finally {
      await server.stop();
    }
  }, 120_000);

  test('that are older, unsigned, signed with another key or for something else, or broken are refused, and the old ones hold', async () => {
    await publish('b.json', { serial: 5 });
    const server = await start({ url: `http://127.0.0.1:${files.port}/b.json` });
    try {
      expect(await update(server)).toMatchObject({ serial: 5 });
      const refusals: readonly (readonly [() => Promise<unknown>, string, string])[] = [
        [() => publish('b.json', { serial: 4 }), 'older', 'serial 4 is older than 5, which holds'],
        [() => publish('b.json', { serial: 9, registries: [extra] }, { key: strange }), 'refused', 'it is signed with another key'],
        [
          () => publish('b.json', { serial: 9, registries: [extra] }, { namespace: 'file' }),
          'refused',
          'it is signed for "file", not for breakwater-presets',
        ],
        [() => publish('b.json', { serial: 9, registries: [{ ...extra, url: 'http://plain.example' }] }), 'refused', 'registries.21.url'],
        [
          async () => {
            const file = await publish('b.json', { serial: 9, registries: [extra] });
            writeFileSync(file, readFileSync(file, 'utf8').replace('new.example', 'bad.example'));
          },
          'refused',
          'the signature does not fit the file',
        ],
        [async () => rmSync(join(served, 'b.json.sig')), 'unreachable', 'status 404'],
        [async () => writeFileSync(join(served, 'b.json'), ' '.repeat(1_100_000)), 'unreachable', 'too-large'],
      ];
      for (const [spoil, outcome, detail] of refusals) {
        await spoil();
        const { lastCheck, serial } = await update(server);
        expect([outcome, serial, lastCheck?.outcome]).toEqual([outcome, 5, outcome as 'older']);
        expect(lastCheck?.detail).toContain(detail);
        await logged(server, JSON.stringify(detail).slice(1, -1));
      }
      expect(await registriesOf(server)).not.toContain('new.example');
    } finally {
      await server.stop();
    }
  }, 120_000);

  test('from a file are taken up at the start, and what a person set stays', async () => {
    const file = await publish('c.json', { serial: 3 });
    const server = await start({ file });
    try {
      expect(await update(server)).toMatchObject({ serial: 3, from: file, lastCheck: { outcome: 'unchanged' } });
      const list = z.array(registrySourcesSchema).parse(await (await api(server, 'GET', '/sources')).json());
      const mirror = list.find((one) => one.registry === 'docker.io')?.sources.find((one) => one.url === 'https://docker.1ms.run');
      const changed = await fetch(`${server.url}/api/v2.0/sources/${mirror?.id}`, {
        method: 'PATCH',
        headers: { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}`, 'content-type': 'application/json' },
        body: JSON.stringify({ enabled: true, priority: 5 }),
      });
      expect(changed.status).toBe(200);
      const text = readFileSync(file, 'utf8').replace('"id":"1ms"', '"id":"one-ms"');
      expect(text).toContain('one-ms');
      writeFileSync(file, text.replace('"serial":3', '"serial":4'));
      rmSync(`${file}.sig`);
      await runToSuccess(['ssh-keygen', '-q', '-Y', 'sign', '-f', key, '-n', 'breakwater-presets', file]);
      expect(await update(server)).toMatchObject({ serial: 4, lastCheck: { outcome: 'updated' } });
      const after = z.array(registrySourcesSchema).parse(await (await api(server, 'GET', '/sources')).json());
      const same = after.find((one) => one.registry === 'docker.io')?.sources.find((one) => one.url === 'https://docker.1ms.run');
      expect(same).toMatchObject({ enabled: true, priority: 5, operator: 'one-ms', trust: 'digest-only' });
    } finally {
      await server.stop();
    }
  }, 120_000);

  test('are fetched within the egress policy', async () => {
    const server = await startBreakwater({
      config: JSON.stringify({
        presets: { url: `http://127.0.0.1:${files.port}/d.json`, public_key: publicKey },
        egress: { registries: { allow: ['ghcr.io'] }, hosts: { deny: ['127.0.0.1'] } },
      }),
    });
    try {
      await publish('d.json', { serial: 2 });
      const { lastCheck } = await update(server);
      expect(lastCheck).toMatchObject({ outcome: 'unreachable' });
      expect(lastCheck?.detail).toContain('egress.hosts.deny: 127.0.0.1');
    } finally {
      await server.stop();
    }
  }, 60_000);

  test('are asked for in vain where the configuration names no place', async () => {
    const server = await startBreakwater({ config: '{}' });
    try {
      expect((await api(server, 'POST', '/presets/update')).status).toBe(409);
      expect(presetStatusSchema.parse(await (await api(server, 'GET', '/presets')).json())).toMatchObject({
        serial: 1,
        origin: 'shipped',
        registries: 21,
      });
      expect((await fetch(`${server.url}/api/v2.0/presets`)).status).toBe(401);
    } finally {
      await server.stop();
    }
  }, 60_000);

  test('can be checked before they are published', async () => {
    const file = await publish('e.json', { serial: 2 });
    expect(await runCli(['presets', 'check', file])).toMatchObject({ code: 0, stdout: expect.stringContaining('serial 2') });
    const good = await runCli(['presets', 'check', file, '--public-key', `${key}.pub`, '--json']);
    expect(JSON.parse(good.stdout)).toMatchObject({ valid: true, signed: true, registries: 21 });
    const bad = await runCli(['presets', 'check', file, '--public-key', `${strange}.pub`]);
    expect(bad).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('it is signed with another key') });
  }, 60_000);
});
