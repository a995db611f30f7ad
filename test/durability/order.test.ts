// The order of system calls behind a 201, as strace sees it: fdatasync of the file, rename into the shard, fsync of the shard folder, sync of
// the database's WAL, and only then the answer (docs/decisions/0003-write-protocol.md).

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBreakwater } from '../support/breakwater.ts';
import { requireTools } from '../support/requirements.ts';
import { contentOf, sha256 } from './ledger.ts';

type Event =
  | { readonly kind: 'sync-file'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'sync-folder'; readonly path: string }
  | { readonly kind: 'sync-wal' }
  | { readonly kind: 'answer-201' };

const isReady = requireTools('strace');

describe.skipIf(!isReady)('the order behind a 201', () => {
  const folder = mkdtempSync(join(tmpdir(), 'breakwater-order-'));
  let events: readonly Event[] = [];

  beforeAll(async () => {
    const output = join(folder, 'trace');
    const calls = 'trace=fdatasync,fsync,rename,renameat,renameat2,write,writev,sendto,sendmsg';
    const server = await startBreakwater({
      config: 'presets: false\nmirror: { root: false }\n',
      wrap: ['strace', '-D', '-f', '-y', '-qq', '-s', '300', '-e', calls, '-e', 'signal=none', '-o', output],
      readyTimeoutMs: 60_000,
    });
    try {
      const headers = { authorization: `Basic ${Buffer.from(`admin:${server.adminPassword}`).toString('base64')}` };
      const blob = contentOf(1, 300_000);
      const digest = sha256(blob);
      const begun = await fetch(`${server.url}/v2/library/order/blobs/uploads/`, { method: 'POST', headers });
      const location = begun.headers.get('location') ?? '';
      const pushed = await fetch(`${server.url}${location}?digest=${digest}`, {
        method: 'PUT',
        headers,
        body: blob as Uint8Array<ArrayBuffer>,
      });
      expect(pushed.status).toBe(201);
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: blob.byteLength },
        layers: [],
      });
      const put = await fetch(`${server.url}/v2/library/order/manifests/1`, {
        method: 'PUT',
        headers: { ...headers, 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
        body: manifest,
      });
      expect(put.status).toBe(201);
    } finally {
      await server.stop();
    }
    // strace outlives the server by a moment.
    for (let attempt = 0; attempt < 50; attempt++) {
      events = parseTrace(readFileSync(output, 'utf8'));
      if (events.filter((event) => event.kind === 'answer-201').length >= 2) break;
      await Bun.sleep(100);
    }
  }, 120_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('a blob is synced, renamed, its folder synced and its row committed before the 201', () => {
    expect(brokenBlobOrder(events)).toBeUndefined();
  });

  test("a manifest's commit is synced between the blob's 201 and its own", () => {
    expect(brokenManifestOrder(events)).toBeUndefined();
  });

  test('the checker sees each step that is missing or late', () => {
    for (const kind of ['sync-file', 'rename', 'sync-folder', 'sync-wal'] as const) {
      expect(brokenBlobOrder(events.filter((event) => event.kind !== kind))).toBeDefined();
    }
    expect(brokenManifestOrder(events.filter((event) => event.kind !== 'sync-wal'))).toBeDefined();
    const answer = events.findIndex((event) => event.kind === 'answer-201');
    const early = [...events.slice(answer, answer + 1), ...events.slice(0, answer), ...events.slice(answer + 1)];
    expect(brokenBlobOrder(early)).toBeDefined();
    const renamedFirst = [...events.filter((event) => event.kind === 'rename'), ...events.filter((event) => event.kind !== 'rename')];
    expect(brokenBlobOrder(renamedFirst)).toBeDefined();
  });
});

/** What is out of order before the first 201, or undefined. */
function brokenBlobOrder(events: readonly Event[]): string | undefined {
  const answer = events.findIndex((event) => event.kind === 'answer-201');
  if (answer === -1) return 'no 201 in the trace';
  const before = events.slice(0, answer);
  const renamed = before.findLastIndex((event) => event.kind === 'rename' && /\/sha256\/[0-9a-f]{2}\//.test(event.to));
  const rename = before[renamed];
  if (rename?.kind !== 'rename') return 'no rename into a shard before the 201';
  if (!before.slice(0, renamed).some((event) => event.kind === 'sync-file' && event.path === rename.from))
    return 'the file was not synced before its rename';
  const shard = rename.to.slice(0, rename.to.lastIndexOf('/'));
  const synced = before.findIndex((event, index) => index > renamed && event.kind === 'sync-folder' && event.path === shard);
  if (synced === -1) return 'the shard folder was not synced after the rename';
  return before.slice(synced).some((event) => event.kind === 'sync-wal') ? undefined : 'the WAL was not synced after the folder';
}

function brokenManifestOrder(events: readonly Event[]): string | undefined {
  const [first, second] = events.flatMap((event, index) => (event.kind === 'answer-201' ? [index] : []));
  if (first === undefined || second === undefined) return 'fewer than two 201 in the trace';
  return events.slice(first, second).some((event) => event.kind === 'sync-wal')
    ? undefined
    : 'the WAL was not synced before the 201 of the manifest';
}

/** Events in the order of their completion; an answer counts when its system call begins. */
function parseTrace(text: string): Event[] {
  const events: Event[] = [];
  const unfinished = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^(\d+)\s+(.*)$/.exec(line);
    if (match === null) continue;
    const [, thread = '', rest = ''] = match;
    if (/^(?:write|writev|sendto|sendmsg)\(/.test(rest) && rest.includes('HTTP/1.1 201')) events.push({ kind: 'answer-201' });
    if (rest.endsWith('<unfinished ...>')) {
      unfinished.set(thread, rest.replace(/\s*<unfinished \.\.\.>$/, ''));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const call = resumed === null ? rest : `${unfinished.get(thread) ?? ''}${resumed[1] ?? ''}`;
    const event = toEvent(call);
    if (event !== undefined) events.push(event);
  }
  return events;
}

function toEvent(call: string): Event | undefined {
  if (!/=\s+0$/.test(call.trim())) return undefined;
  const synced = /^(fdatasync|fsync)\(\d+<([^>]+)>/.exec(call);
  if (synced !== null) {
    const [, name = '', path = ''] = synced;
    if (path.endsWith('breakwater.sqlite-wal')) return { kind: 'sync-wal' };
    return name === 'fdatasync' ? { kind: 'sync-file', path } : { kind: 'sync-folder', path };
  }
  const renamed = /^rename(?:at2?)?\((?:AT_FDCWD(?:<[^>]*>)?, )?"([^"]+)"(?:\.\.\.)?, (?:AT_FDCWD(?:<[^>]*>)?, )?"([^"]+)"/.exec(call);
  return renamed?.[1] === undefined || renamed[2] === undefined ? undefined : { kind: 'rename', from: renamed[1], to: renamed[2] };
}
