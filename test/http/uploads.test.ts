// Pushing when clients leave, come back, do two things at once, or the server goes and comes again. distribution-spec v1.1 "Pushing blobs";
// rows SEC-F03, SEC-F04 and SEC-E10 of the attack list.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConnection } from './raw-socket.ts';
import { basicOf, bytesOf, codeOf, failuresIn, imageOf, imageType, type Registry, sha256, sha512, startRegistry } from './registry.ts';

let dataDir: string;
let registry: Registry;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'breakwater-uploads-'));
  registry = await startRegistry({ dataDir });
});
afterAll(async () => {
  expect(failuresIn(registry)).toEqual([]);
  expect(await registry.stop()).toBe(0);
  rmSync(dataDir, { recursive: true, force: true });
});

const text = (length: number): string =>
  createHash('sha256')
    .update(`${Math.random()}`)
    .digest('hex')
    .repeat(Math.ceil(length / 64))
    .slice(0, length);
const patch = (location: string, body: string | Uint8Array, range?: string): Promise<Response> =>
  registry.call(location, { method: 'PATCH', body, headers: range === undefined ? {} : { 'content-range': range } });
const put = (location: string, digest: string, body?: string): Promise<Response> =>
  registry.call(`${location}?digest=${digest}`, { method: 'PUT', ...(body === undefined ? {} : { body }) });
const rangeOf = async (location: string): Promise<string | null> => (await registry.call(location)).headers.get('range');
const files = (folder: string): string[] =>
  readdirSync(join(dataDir, 'blobs', folder), { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [entry.name] : [],
  );
const filesOf = (digest: string): string[] => files(digest.slice(0, 6)).filter((name) => name.startsWith(digest.slice(7)));
/** Handles the server has open in its store. */
const handles = (): number =>
  readdirSync(`/proc/${registry.pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${registry.pid}/fd/${fd}`).startsWith(join(dataDir, 'blobs'));
    } catch {
      return false;
    }
  }).length;

/** A request whose body stops in the middle; gives a way to end it. */
async function stalled(method: string, location: string, sent: string, announced: number) {
  const connection = await openConnection(registry.port);
  connection.write(
    `${method} ${location} HTTP/1.1\r\nHost: a\r\nAuthorization: ${basicOf(registry.admin)}\r\nContent-Length: ${announced}\r\n\r\n${sent}`,
  );
  const file = join(dataDir, 'blobs/uploads', location.split('/').at(-1)?.split('?')[0] ?? '');
  for (let turn = 0; turn < 500 && !(existsSync(file) && Bun.file(file).size >= sent.length); turn++) await Bun.sleep(5);
  return connection;
}

describe('a client that leaves in the middle', () => {
  for (const how of ['closes', 'resets'] as const) {
    test(`and ${how} the connection goes on where it stood`, async () => {
      const [first, second] = [text(5000), text(7000)];
      const location = await registry.beginUpload('library/app');
      const connection = await stalled('PATCH', location, first, 12_000);
      if (how === 'closes') connection.socket.end();
      else connection.socket.resetAndDestroy();
      expect(await rangeOf(location)).toBe('0-4999');
      expect((await patch(location, second, '5000-11999')).status).toBe(202);
      const digest = sha256(bytesOf(first + second));
      expect((await put(location, digest)).status).toBe(201);
      expect(await (await registry.call(`/v2/library/app/blobs/${digest}`)).text()).toBe(first + second);
    });
  }

  test('and leaves in the closing PUT finds the session as it was', async () => {
    const [first, second] = [text(3000), text(2000)];
    const location = await registry.beginUpload('library/app');
    await patch(location, first);
    const digest = sha256(bytesOf(first + second));
    const connection = await stalled('PUT', `${location}?digest=${digest}`, second.slice(0, 1000), 2000);
    connection.socket.destroy();
    expect(await rangeOf(location)).toBe('0-2999');
    expect((await put(location, digest, second)).status).toBe(201);
  });

  test('and leaves in a push of one request leaves nothing behind', async () => {
    const before = files('uploads').length;
    const connection = await openConnection(registry.port);
    const head = `POST /v2/library/app/blobs/uploads/?digest=${sha256(bytesOf('x'))} HTTP/1.1\r\nHost: a\r\n`;
    connection.write(`${head}Authorization: ${basicOf(registry.admin)}\r\nContent-Length: 1000\r\n\r\nsome bytes`);
    for (let turn = 0; turn < 500 && files('uploads').length === before; turn++) await Bun.sleep(5);
    expect(files('uploads')).toHaveLength(before + 1);
    connection.socket.resetAndDestroy();
    for (let turn = 0; turn < 500 && files('uploads').length > before; turn++) await Bun.sleep(5);
    expect(files('uploads')).toHaveLength(before);
  });

  test('a hundred times makes no noise and keeps no handle', async () => {
    const before = handles();
    for (let round = 0; round < 100; round++) {
      const connection = await openConnection(registry.port);
      const location =
        round % 2 === 0 ? await registry.beginUpload('library/app') : `/v2/library/app/blobs/uploads/?digest=${sha256(bytesOf('x'))}`;
      const method = round % 2 === 0 ? 'PATCH' : 'POST';
      connection.write(
        `${method} ${location} HTTP/1.1\r\nHost: a\r\nAuthorization: ${basicOf(registry.admin)}\r\nContent-Length: 1000\r\n\r\nsome bytes`,
      );
      await Bun.sleep(round % 5);
      connection.socket.resetAndDestroy();
      if (round % 2 === 0) await registry.call(location, { method: 'DELETE' });
    }
    for (let turn = 0; turn < 500 && handles() > before; turn++) await Bun.sleep(5);
    expect(handles()).toBe(before);
    expect(failuresIn(registry)).toEqual([]);
  });
});

describe('two requests on one session', () => {
  test('chunks for the same place: one is taken', async () => {
    for (let round = 0; round < 10; round++) {
      const location = await registry.beginUpload('library/app');
      const bodies = [text(1000), text(1000)];
      const answers = await Promise.all(bodies.map((body) => patch(location, body, '0-999')));
      expect(answers.map((answer) => answer.status).sort()).toEqual([202, 416]);
      const taken = bodies[answers[0]?.status === 202 ? 0 : 1] ?? '';
      expect((await put(location, sha256(bytesOf(taken)))).status).toBe(201);
    }
  });

  test('two closings: one wins, and what is stored is right', async () => {
    for (let round = 0; round < 10; round++) {
      const location = await registry.beginUpload('library/app');
      const body = text(2000);
      const digest = sha256(bytesOf(body));
      await patch(location, body);
      const statuses = (await Promise.all([put(location, digest), put(location, digest)])).map((answer) => answer.status);
      expect(statuses.sort()).toEqual([201, 404]);
      expect(filesOf(digest)).toHaveLength(1);
    }
  });

  test('a chunk beside the closing: the blob is what its digest says', async () => {
    for (let round = 0; round < 10; round++) {
      const location = await registry.beginUpload('library/app');
      const body = text(2000);
      const digest = sha256(bytesOf(body));
      await patch(location, body);
      const [closed, chunk] = await Promise.all([put(location, digest), patch(location, text(1000))]);
      // Either the chunk came first and the digest was wrong then, or it came too late.
      expect([
        [201, 404],
        [400, 202],
      ]).toContainEqual([closed.status, chunk.status]);
      if (closed.status === 201) expect(await (await registry.call(`/v2/library/app/blobs/${digest}`)).text()).toBe(body);
    }
  });

  test('cancelling ends a chunk that is under way, at once', async () => {
    const location = await registry.beginUpload('library/app');
    const connection = await stalled('PATCH', location, text(500), 100_000);
    const sinceMs = performance.now();
    expect((await registry.call(location, { method: 'DELETE' })).status).toBe(204);
    expect(await connection.received('HTTP/1.1 404')).toContain('BLOB_UPLOAD_UNKNOWN');
    expect(performance.now() - sinceMs).toBeLessThan(2000);
    connection.socket.destroy();
    expect(files('uploads')).not.toContain(location.split('/').at(-1) ?? '');
  });
});

describe('a wrong digest', () => {
  test('in the closing PUT, with bytes, leaves the session at its old offset, again and again', async () => {
    const [first, second] = [text(1500), text(500)];
    const location = await registry.beginUpload('library/app');
    await patch(location, first);
    for (let round = 0; round < 3; round++) {
      const refused = await put(location, sha256(bytesOf('else')), second);
      expect([refused.status, await codeOf(refused)]).toEqual([400, 'DIGEST_INVALID']);
      expect(await rangeOf(location)).toBe('0-1499');
    }
    expect((await put(location, sha512(bytesOf(first + second)), second)).status).toBe(201);
  });

  test('stores nothing that could be read', async () => {
    const wrong = sha256(bytesOf('wrong'));
    const right = sha256(bytesOf('right, but never named'));
    const call = { method: 'POST', body: 'right, but never named' };
    expect((await registry.call(`/v2/library/app/blobs/uploads/?digest=${wrong}`, call)).status).toBe(400);
    for (const digest of [wrong, right]) {
      expect((await registry.call(`/v2/library/app/blobs/${digest}`)).status).toBe(404);
      expect(filesOf(digest)).toEqual([]);
    }
  });
});

describe('fifty clients at once', () => {
  test('that push one blob all succeed, and one copy is stored', async () => {
    const body = text(300_000);
    const digest = sha256(bytesOf(body));
    const pushed = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const repository = `library/app${index % 5}`;
        if (index % 2 === 0) return registry.call(`/v2/${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', body });
        const location = await registry.beginUpload(repository);
        await patch(location, body.slice(0, 100_000));
        return put(location, digest, body.slice(100_000));
      }),
    );
    expect(pushed.map((answer) => answer.status)).toEqual(Array(50).fill(201));
    expect(filesOf(digest)).toHaveLength(1);
    for (let index = 0; index < 5; index++) {
      expect(sha256(await (await registry.call(`/v2/library/app${index}/blobs/${digest}`)).bytes())).toBe(digest);
    }
  }, 30_000);

  test('that push different manifests to one tag all succeed, and the tag is one of them, whole', async () => {
    const config = bytesOf('{}');
    await registry.pushBlob('library/tagged', config);
    const images = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const layer = bytesOf(`layer ${index}`);
        await registry.pushBlob('library/tagged', layer);
        return imageOf(config, layer);
      }),
    );
    const pushed = await Promise.all(
      images.map(({ bytes }) =>
        registry.call('/v2/library/tagged/manifests/latest', { method: 'PUT', headers: { 'content-type': imageType }, body: bytes }),
      ),
    );
    expect(pushed.map((answer) => answer.status)).toEqual(Array(50).fill(201));
    const latest = await registry.call('/v2/library/tagged/manifests/latest');
    const digest = latest.headers.get('docker-content-digest');
    expect(images.map((image) => image.digest)).toContain(digest ?? '');
    expect(sha256(await latest.bytes())).toBe(digest ?? '');
    for (const image of images) expect((await registry.call(`/v2/library/tagged/manifests/${image.digest}`)).status).toBe(200);
    expect(await (await registry.call('/v2/library/tagged/tags/list')).json()).toEqual({ name: 'library/tagged', tags: ['latest'] });
  }, 30_000);
});

describe('sha512', () => {
  test('names a blob and a manifest as well as sha256 does, in every way to push', async () => {
    const body = text(4000);
    const digest = sha512(bytesOf(body));
    const whole = await registry.call(`/v2/library/long/blobs/uploads/?digest=${digest}`, { method: 'POST', body });
    expect([whole.status, whole.headers.get('docker-content-digest')]).toEqual([201, digest]);
    const announced = await registry.call('/v2/library/long/blobs/uploads/?digest-algorithm=sha512', { method: 'POST' });
    expect((await put(announced.headers.get('location') ?? '', digest, body)).status).toBe(201);
    expect((await put(await registry.beginUpload('library/long'), digest, body)).status).toBe(201);
    expect(filesOf(digest)).toHaveLength(1);
    expect(await (await registry.call(`/v2/library/long/blobs/${digest}`)).text()).toBe(body);
    // The same bytes under the other name are another thing, and not there.
    expect((await registry.call(`/v2/library/long/blobs/${sha256(bytesOf(body))}`)).status).toBe(404);

    const { bytes } = await registry.pushImage('library/long', 'v1');
    const name = sha512(bytes);
    const path = `/v2/library/long/manifests/${name}`;
    const pushed = await registry.call(`${path}?tag=v2`, { method: 'PUT', headers: { 'content-type': imageType }, body: bytes });
    expect([pushed.status, pushed.headers.get('docker-content-digest')]).toEqual([201, name]);
    expect((await registry.call('/v2/library/long/manifests/v2', { method: 'HEAD' })).headers.get('docker-content-digest')).toBe(name);
    expect(await (await registry.call(path)).bytes()).toEqual(bytes);
  });

  test('of a manifest with other bytes is refused', async () => {
    const { bytes } = await registry.pushImage('library/long', 'v3');
    const path = `/v2/library/long/manifests/${sha512(bytesOf('other'))}`;
    const refused = await registry.call(path, { method: 'PUT', headers: { 'content-type': imageType }, body: bytes });
    expect([refused.status, await codeOf(refused)]).toEqual([400, 'DIGEST_INVALID']);
  });
});

describe('a server that goes and comes again', () => {
  test('keeps the sessions, without the leftovers, and stores what its clients finish', async () => {
    const [first, second, third] = [text(4000), text(300), text(20)];
    const locations = [await registry.beginUpload('library/app'), await registry.beginUpload('library/app')] as const;
    await patch(locations[0], first);
    const connection = await stalled('PATCH', locations[1], second, 10_000);
    await registry.kill();
    connection.socket.destroy();
    await Bun.write(join(dataDir, 'blobs/uploads/whole-left'), 'a push of one request that was cut off');
    registry = await startRegistry({ dataDir });
    expect(files('uploads')).not.toContain('whole-left');
    expect(await rangeOf(locations[0])).toBe('0-3999');
    // This one was never acknowledged: what is here of it counts.
    expect(await rangeOf(locations[1])).toBe('0-299');
    expect((await put(locations[0], sha256(bytesOf(first + third)), third)).status).toBe(201);
    expect((await put(locations[1], sha256(bytesOf(second + third)), third)).status).toBe(201);
  }, 30_000);
});
