import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../oci/digest.ts';
import { OciError, type OciErrorCode } from '../oci/errors.ts';
import type { UploadLimits } from './uploads.ts';
import { bodyOf, brokenBody, handBody, openUploadsFixture, otherAdmin, type UploadsFixture } from './uploads-fixture.ts';

const digestOfText = (text: string, algorithm: 'sha256' | 'sha512' = 'sha256') => digestOf(new TextEncoder().encode(text), algorithm);

async function codeOf(promise: Promise<unknown>): Promise<OciErrorCode> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof OciError) return error.code;
  throw new Error(`expected a coded error, got ${String(error)}`);
}

let fixture: UploadsFixture;
const open = async (limits: Partial<UploadLimits>): Promise<void> => {
  await fixture.close();
  fixture = await openUploadsFixture(limits);
};

beforeEach(async () => {
  fixture = await openUploadsFixture();
});
afterEach(() => fixture.close());

/** A session of team/app that holds this text. */
async function begin(text: string, algorithm: 'sha256' | 'sha512' = 'sha256'): Promise<string> {
  const access = fixture.push('team/app');
  const id = await fixture.uploads.start(access, algorithm);
  if (text !== '') await fixture.uploads.append(access, id, bodyOf(text), undefined);
  return id;
}
const status = (id: string): Promise<number> => fixture.uploads.status(fixture.push('team/app'), id);
const append = (id: string, body: AsyncIterable<Uint8Array>, range?: { start: number; end: number }): Promise<number> =>
  fixture.uploads.append(fixture.push('team/app'), id, body, range);
const finish = (id: string, text: string, body = bodyOf(), algorithm: 'sha256' | 'sha512' = 'sha256'): Promise<void> =>
  fixture.uploads.finish(fixture.push('team/app'), id, digestOfText(text, algorithm), body, undefined);

describe('chunks', () => {
  test('are appended in order, and the blob is what came', async () => {
    const id = await begin('ab');
    expect(await append(id, bodyOf('c', 'd'), { start: 2, end: 4 })).toBe(4);
    await finish(id, 'abcdef', bodyOf('ef'));
    expect(fixture.stored()).toHaveLength(1);
    expect(fixture.staged()).toEqual([]);
    expect(await codeOf(status(id))).toBe('BLOB_UPLOAD_UNKNOWN');
  });

  test('one whose start is not the current size changes nothing', async () => {
    const id = await begin('abc');
    for (const start of [0, 2, 4, 1000]) {
      expect(await codeOf(append(id, bodyOf('xyz'), { start, end: start + 3 }))).toBe('BLOB_UPLOAD_RANGE');
      expect(await codeOf(fixture.uploads.finish(fixture.push('team/app'), id, digestOfText('abc'), bodyOf('x'), { start, end: 1 }))).toBe(
        'BLOB_UPLOAD_RANGE',
      );
    }
    expect(await status(id)).toBe(3);
    await finish(id, 'abc');
  });

  test('one that is longer or shorter than its Content-Range changes nothing', async () => {
    const id = await begin('abc');
    for (const text of ['d', 'defgh']) {
      expect(await codeOf(append(id, bodyOf(text), { start: 3, end: 6 }))).toBe('SIZE_INVALID');
      expect(await status(id)).toBe(3);
    }
    expect(await append(id, bodyOf('def'), { start: 3, end: 6 })).toBe(6);
    await finish(id, 'abcdef');
  });

  test('one that makes the blob too large changes nothing', async () => {
    await open({ blobMaxBytes: 5 });
    const id = await begin('abc');
    expect(await codeOf(append(id, bodyOf('d', 'e', 'f')))).toBe('BLOB_TOO_LARGE');
    expect(await status(id)).toBe(3);
    await finish(id, 'abcde', bodyOf('de'));
  });

  test('what a client sent before it left is in the file at once, and the upload goes on there', async () => {
    const id = await begin('abc');
    await expect(append(id, brokenBody('de', 'f'))).rejects.toThrow('The connection was closed.');
    expect(await status(id)).toBe(6);
    // What the next process would find.
    expect(Bun.file(join(fixture.root, 'uploads', id)).size).toBe(6);
    await finish(id, 'abcdefg', bodyOf('g'));
    expect(fixture.logged).toEqual([]);
  });
});

describe('closing', () => {
  test('after a wrong digest the session stands where it stood, as often as it happens', async () => {
    const id = await begin('abc');
    for (let round = 0; round < 5; round++) {
      expect(await codeOf(finish(id, 'something else', bodyOf('def')))).toBe('DIGEST_INVALID');
      expect(await status(id)).toBe(3);
    }
    expect(fixture.handles()).toBeLessThanOrEqual(1);
    await finish(id, 'abcdef', bodyOf('def'));
    expect(fixture.handles()).toBe(0);
  });

  test('after a client that left during it the session stands where it stood', async () => {
    const id = await begin('abc');
    await expect(finish(id, 'abcdef', brokenBody('def'))).rejects.toThrow('The connection was closed.');
    expect(await status(id)).toBe(3);
    await finish(id, 'abcdef', bodyOf('def'));
  });

  test('of two at once one wins and the other finds no session', async () => {
    const id = await begin('abc');
    const outcomes = await Promise.allSettled([finish(id, 'abc'), finish(id, 'abc')]);
    expect(outcomes.filter(({ status: outcome }) => outcome === 'fulfilled')).toHaveLength(1);
    expect(fixture.stored()).toHaveLength(1);
    expect(fixture.staged()).toEqual([]);
  });

  test('a chunk sent beside it comes before or after it, never into it', async () => {
    for (let round = 0; round < 20; round++) {
      const text = `round ${round}`;
      const id = await begin(text);
      const [closed, chunk] = await Promise.allSettled([finish(id, text), append(id, bodyOf('more'))]);
      // The closing came first: it was asked for first.
      expect([closed.status, chunk.status]).toEqual(['fulfilled', 'rejected']);
    }
    expect(fixture.stored()).toHaveLength(20);
  });

  test('with another algorithm than the session was begun with is right as well', async () => {
    const id = await begin('abc');
    expect(await codeOf(finish(id, 'something else', bodyOf('def'), 'sha512'))).toBe('DIGEST_INVALID');
    expect(await status(id)).toBe(3);
    await finish(id, 'abcdef', bodyOf('def'), 'sha512');
    expect(fixture.stored()).toEqual([expect.stringMatching(/^[0-9a-f]{128}\./)]);
    expect(fixture.handles()).toBe(0);
  });

  test('a session begun for sha512 takes both', async () => {
    await finish(await begin('abc', 'sha512'), 'abc', bodyOf(), 'sha512');
    await finish(await begin('def', 'sha512'), 'def', bodyOf(), 'sha256');
    expect(fixture.stored()).toHaveLength(2);
  });

  test('when the repository went meanwhile nothing is left behind', async () => {
    const id = await begin('abc');
    await fixture.database.run('deleteProject', { name: 'team' });
    expect(await codeOf(finish(id, 'abc'))).toBe('BLOB_UPLOAD_UNKNOWN');
    expect(await codeOf(fixture.uploads.putWhole(fixture.push('team/app'), digestOfText('abc'), bodyOf('abc')))).toBe('NAME_UNKNOWN');
    expect(fixture.stored()).toEqual([]);
  });

  test('the same content again is kept once', async () => {
    await finish(await begin('abc'), 'abc');
    await finish(await begin('abc'), 'abc');
    await fixture.uploads.putWhole(fixture.push('team/app'), digestOfText('abc'), bodyOf('abc'));
    expect(fixture.stored()).toHaveLength(1);
  });
});

describe('a server that starts again', () => {
  test('goes on at the offset, with the digest of all bytes', async () => {
    const id = await begin('abc');
    await fixture.restart();
    expect(await fixture.uploads.removeLeftovers()).toBe(0);
    expect(await status(id)).toBe(3);
    expect(await append(id, bodyOf('def'), { start: 3, end: 6 })).toBe(6);
    await fixture.restart();
    await finish(id, 'abcdef');
  });

  test('keeps nothing open between', async () => {
    for (let index = 0; index < 5; index++) await begin('abc');
    expect(fixture.handles()).toBe(5);
    await fixture.restart();
    expect(fixture.handles()).toBe(0);
  });

  test('removes what belongs to no session and nothing else', async () => {
    const id = await begin('abc');
    for (const name of ['whole-1', 'fill-1', 'a'.repeat(40)]) writeFileSync(join(fixture.root, 'uploads', name), 'left behind');
    await fixture.restart();
    expect(await fixture.uploads.removeLeftovers()).toBe(3);
    expect(fixture.staged()).toEqual([id]);
  });
});

describe('cancelling', () => {
  test('removes the bytes', async () => {
    const id = await begin('abc');
    await fixture.uploads.cancel(fixture.push('team/app'), id);
    expect(fixture.staged()).toEqual([]);
    expect(fixture.handles()).toBe(0);
    expect(await codeOf(append(id, bodyOf('d')))).toBe('BLOB_UPLOAD_UNKNOWN');
    expect(await codeOf(fixture.uploads.cancel(fixture.push('team/app'), id))).toBe('BLOB_UPLOAD_UNKNOWN');
  });

  test('interrupts a chunk whose client is silent', async () => {
    const id = await begin('abc');
    const { body, send, taken } = handBody();
    const chunk = codeOf(append(id, body));
    send('def');
    await taken;
    await fixture.uploads.cancel(fixture.push('team/app'), id);
    expect(await chunk).toBe('BLOB_UPLOAD_UNKNOWN');
    expect(fixture.staged()).toEqual([]);
    expect(fixture.handles()).toBe(0);
  });
});

describe('a session is of one principal and one repository', () => {
  test('to others it is unknown', async () => {
    const id = await begin('abc');
    for (const access of [fixture.push('team/app', otherAdmin), fixture.push('team/other')]) {
      const { uploads } = fixture;
      expect(await codeOf(uploads.status(access, id))).toBe('BLOB_UPLOAD_UNKNOWN');
      expect(await codeOf(uploads.append(access, id, bodyOf('x'), undefined))).toBe('BLOB_UPLOAD_UNKNOWN');
      expect(await codeOf(uploads.finish(access, id, digestOfText('abc'), bodyOf(), undefined))).toBe('BLOB_UPLOAD_UNKNOWN');
      expect(await codeOf(uploads.cancel(access, id))).toBe('BLOB_UPLOAD_UNKNOWN');
    }
    expect(await status(id)).toBe(3);
  });
});

describe('expiry', () => {
  test('an idle session ends, its bytes go with the next sweep', async () => {
    const id = await begin('abc');
    fixture.clock.advance(60_001);
    expect(await codeOf(status(id))).toBe('BLOB_UPLOAD_UNKNOWN');
    // The database has a clock of its own.
    await fixture.database.run('extendUpload', { id, expiresAtMs: Date.now() - 1 });
    await fixture.uploads.sweep();
    expect(fixture.staged()).toEqual([]);
    expect(fixture.handles()).toBe(0);
  });

  test('each chunk puts it off, up to the absolute end', async () => {
    const id = await begin('abc');
    let minutes = 0;
    while ((await status(id).catch(() => -1)) !== -1) {
      fixture.clock.advance(40_000);
      minutes += 40 / 60;
      await append(id, bodyOf('d')).catch(() => undefined);
    }
    expect(minutes).toBeGreaterThanOrEqual(10);
    expect(minutes).toBeLessThan(11);
  });

  test('a sweep spares the session that a request holds', async () => {
    const id = await begin('abc');
    const { body, send, end, taken } = handBody();
    const chunk = append(id, body);
    send('def');
    await taken;
    await fixture.database.run('extendUpload', { id, expiresAtMs: Date.now() - 1 });
    await fixture.uploads.sweep();
    end();
    expect(await chunk).toBe(6);
  });

  test('a sweep removes bytes that lost their session long ago, none that are new or another kind', async () => {
    const path = (name: string): string => join(fixture.root, 'uploads', name);
    for (const name of ['a'.repeat(40), 'b'.repeat(40), 'fill-1', 'whole-1']) writeFileSync(path(name), 'x');
    const longAgo = Date.now() / 1000 - 2 * 60 * 60;
    for (const name of ['a'.repeat(40), 'fill-1', 'whole-1']) utimesSync(path(name), longAgo, longAgo);
    await fixture.uploads.sweep();
    expect(fixture.staged().sort()).toEqual(['b'.repeat(40), 'fill-1', 'whole-1']);
  });
});

describe('limits', () => {
  test('open sessions of a principal, of a repository and in all', async () => {
    await open({ uploadsPerPrincipal: 2 });
    await begin('');
    const kept = await begin('');
    expect(await codeOf(begin(''))).toBe('TOOMANYREQUESTS');
    await fixture.uploads.start(fixture.push('team/app', otherAdmin), 'sha256');
    await fixture.uploads.cancel(fixture.push('team/app'), kept);
    await begin('');

    await open({ uploadsPerRepository: 1 });
    await begin('');
    expect(await codeOf(fixture.uploads.start(fixture.push('team/app', otherAdmin), 'sha256'))).toBe('TOOMANYREQUESTS');
    await fixture.uploads.start(fixture.push('team/other'), 'sha256');

    await open({ uploadsTotal: 1 });
    await begin('');
    expect(await codeOf(fixture.uploads.start(fixture.push('team/other', otherAdmin), 'sha256'))).toBe('TOOMANYREQUESTS');
  });

  test('idle sessions share a bounded number of handles', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 230; index++) ids.push(await begin(`text ${index}`));
    // The handle that was one too many is being closed.
    for (let turn = 0; turn < 1000 && fixture.handles() > 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(fixture.handles()).toBe(200);
    for (const [index, id] of ids.entries()) await finish(id, `text ${index}`);
    expect(fixture.handles()).toBe(0);
    expect(fixture.stored()).toHaveLength(230);
  });
});

describe('a disk', () => {
  test('below its reserve takes no new bytes and loses none', async () => {
    const id = await begin('abc');
    fixture.faults.freeBytes = 999;
    expect(await codeOf(begin(''))).toBe('INSUFFICIENT_STORAGE');
    expect(await codeOf(append(id, bodyOf('def')))).toBe('INSUFFICIENT_STORAGE');
    expect(await codeOf(finish(id, 'abc'))).toBe('INSUFFICIENT_STORAGE');
    expect(await codeOf(fixture.uploads.putWhole(fixture.push('team/app'), digestOfText('abc'), bodyOf('abc')))).toBe(
      'INSUFFICIENT_STORAGE',
    );
    fixture.faults.freeBytes = 1e9;
    await finish(id, 'abc');
    expect(fixture.staged()).toEqual([]);
  });

  test('that is full refuses the chunk whole, and the session goes on where it stood', async () => {
    const id = await begin('abc');
    fixture.faults.append = 'full';
    expect(await codeOf(append(id, bodyOf('def')))).toBe('INSUFFICIENT_STORAGE');
    expect(await codeOf(finish(id, 'abcdef', bodyOf('def')))).toBe('INSUFFICIENT_STORAGE');
    expect(await codeOf(fixture.uploads.putWhole(fixture.push('team/app'), digestOfText('abc'), bodyOf('abc')))).toBe(
      'INSUFFICIENT_STORAGE',
    );
    delete fixture.faults.append;
    expect(await status(id)).toBe(3);
    await finish(id, 'abcdef', bodyOf('def'));
    expect(fixture.staged()).toEqual([]);
    expect(fixture.handles()).toBe(0);
  });

  test('with no room even for the end of a session gives up its bytes first', async () => {
    const cancelled = await begin('abc');
    fixture.faults.fullDatabase = 1;
    await fixture.uploads.cancel(fixture.push('team/app'), cancelled);
    expect(fixture.staged()).toEqual([]);
    const expired = await begin('abc');
    await fixture.database.run('extendUpload', { id: expired, expiresAtMs: fixture.clock.nowMs() - 1 });
    fixture.faults.fullDatabase = 1;
    await fixture.uploads.sweep();
    expect(fixture.staged()).toEqual([]);
    expect(await codeOf(status(expired))).toBe('BLOB_UPLOAD_UNKNOWN');
  });

  test('with no room for the row of a blob loses the session, not the truth', async () => {
    const id = await begin('abc');
    fixture.faults.fullDatabase = 1;
    expect(await codeOf(finish(id, 'abc'))).toBe('INSUFFICIENT_STORAGE');
    expect(await codeOf(status(id))).toBe('BLOB_UPLOAD_UNKNOWN');
    expect(fixture.stored()).toEqual([]);
  });

  test('that fails ends the session: its bytes are not to be trusted', async () => {
    const id = await begin('abc');
    fixture.faults.append = 'io';
    await expect(append(id, bodyOf('def'))).rejects.toThrow('cannot write');
    delete fixture.faults.append;
    expect(await codeOf(status(id))).toBe('BLOB_UPLOAD_UNKNOWN');
    expect(fixture.staged()).toEqual([]);
  });

  for (const code of ['io', 'full'] as const) {
    test(`that cannot make bytes durable (${code}) ends the session: a later sync may pass without them`, async () => {
      const id = await begin('abc');
      fixture.faults.commit = code;
      await expect(finish(id, 'abc')).rejects.toThrow(code === 'full' ? 'the disk is full' : 'cannot sync');
      await expect(fixture.uploads.putWhole(fixture.push('team/app'), digestOfText('abc'), bodyOf('abc'))).rejects.toThrow();
      delete fixture.faults.commit;
      expect(await codeOf(finish(id, 'abc'))).toBe('BLOB_UPLOAD_UNKNOWN');
      expect(fixture.staged()).toEqual([]);
      expect(fixture.stored()).toEqual([]);
      expect(fixture.handles()).toBe(0);
    });
  }
});

describe('mounting', () => {
  test('takes a blob from a repository that holds it, and from no other', async () => {
    const digest = digestOfText('abc');
    await finish(await begin('abc'), 'abc');
    const { uploads } = fixture;
    expect(await uploads.mount(fixture.push('team/to'), digest, undefined)).toBe(false);
    expect(await uploads.mount(fixture.push('team/to'), digest, fixture.pull('team/empty'))).toBe(false);
    expect(await uploads.mount(fixture.push('team/to'), digestOfText('absent'), fixture.pull('team/app'))).toBe(false);
    expect(await uploads.mount(fixture.push('team/to'), digest, fixture.pull('team/app'))).toBe(true);
    expect(await uploads.mount(fixture.push('team/third'), digest, fixture.pull('team/to'))).toBe(true);
  });
});
