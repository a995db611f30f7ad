// The checker after a crash (recovery invariants INV-1, INV-2, INV-5): all that was acknowledged is there, byte for byte; a tag is the last
// acknowledged value or a later one whose answer was lost; no committed file holds other bytes than its name says.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentOf, createRandom, type Ledger, type OpenSession, sha256 } from './ledger.ts';

export interface VerifyOptions {
  readonly url: string;
  readonly password: string;
  readonly dataDir: string;
  readonly ledger: Ledger;
  /** Counts of each list that were there before this cycle; of those only a sample is looked at. */
  readonly before: { readonly blobs: number; readonly manifests: number };
  readonly sample: number;
  readonly seed: number;
  /** Whether open sessions must have survived (a killed server; not a power cut). */
  readonly sessions: boolean;
}

/** Gives what is wrong, one line each; empty when all holds. */
export async function verify(options: VerifyOptions): Promise<string[]> {
  const wrong: string[] = [];
  const random = createRandom(options.seed);
  const { ledger, before } = options;
  const pick = <T>(items: readonly T[], old: number): T[] => [
    ...items.slice(old),
    ...Array.from({ length: Math.min(options.sample, old) }, () => items[Math.floor(random() * old)]).filter(
      (item): item is T => item !== undefined,
    ),
  ];
  for (const blob of pick(ledger.blobs, before.blobs)) {
    const { status, bytes } = await get(options, `/v2/${blob.repository}/blobs/${blob.digest}`);
    if (status !== 200) wrong.push(`acknowledged blob ${blob.digest} in ${blob.repository}: ${status}`);
    else if (sha256(bytes) !== blob.digest || bytes.byteLength !== blob.sizeBytes)
      wrong.push(`acknowledged blob ${blob.digest}: other bytes (${bytes.byteLength})`);
  }
  for (const manifest of pick(ledger.manifests, before.manifests)) {
    const { status, bytes } = await get(options, `/v2/${manifest.repository}/manifests/${manifest.digest}`);
    if (status !== 200 || Buffer.from(bytes).toString() !== manifest.text)
      wrong.push(`acknowledged manifest ${manifest.digest}: ${status}`);
  }
  for (const { repository, tag, values } of ledger.tags.values()) {
    const lastAcked = values.findLastIndex((value) => value.isAcked);
    const allowed = values.slice(Math.max(0, lastAcked)).map((value) => value.digest);
    const { status, bytes } = await get(options, `/v2/${repository}/manifests/${tag}`);
    if (status === 404 && lastAcked === -1) continue;
    if (status !== 200 || !allowed.includes(sha256(bytes)))
      wrong.push(`tag ${repository}:${tag}: ${status}, not the last acknowledged value`);
  }
  if (options.sessions) for (const session of ledger.sessions) wrong.push(...(await finishSession(options, session)));
  ledger.sessions.length = 0;
  wrong.push(...wrongFiles(join(options.dataDir, 'blobs', 'sha256')));
  return wrong;
}

/** An interrupted upload goes on at its offset and can be closed. */
async function finishSession(options: VerifyOptions, session: OpenSession): Promise<string[]> {
  const status = await send(options, 'GET', session.location);
  if (status.status !== 204) return [`session ${session.location}: ${status.status} after the restart`];
  const range = /^0-(\d+)$/.exec(status.headers.get('range') ?? '');
  const held = session.ackedBytes === 0 ? Number(range?.[1]) : Number(range?.[1]) + 1;
  if (!(held >= session.ackedBytes && held <= session.sizeBytes))
    return [`session ${session.location}: ${held} bytes held, ${session.ackedBytes} were confirmed`];
  if (session.ackedBytes === 0) return [];
  const bytes = contentOf(session.seed, session.sizeBytes);
  const digest = sha256(bytes);
  const closed = await send(options, 'PUT', `${session.location}?digest=${digest}`, bytes.subarray(held));
  if (closed.status !== 201) return [`session ${session.location}: closing answered ${closed.status}`];
  const { bytes: back } = await get(options, `/v2/${session.repository}/blobs/${digest}`);
  return sha256(back) === digest ? [] : [`session ${session.location}: the finished blob has other bytes`];
}

/** Every file below the shards must hash to its name. Seen files are remembered by path and size: they never change. */
const checkedFiles = new Set<string>();
function wrongFiles(root: string): string[] {
  const wrong: string[] = [];
  for (const shard of readdirSync(root)) {
    for (const name of readdirSync(join(root, shard))) {
      const path = join(root, shard, name);
      const bytes = checkedFiles.has(path) ? undefined : readFileSync(path);
      if (bytes === undefined) continue;
      if (sha256(bytes) !== `sha256:${name.split('.')[0]}`)
        wrong.push(`file ${path} (${bytes.byteLength} bytes) is not what its name says`);
      else checkedFiles.add(path);
    }
  }
  return wrong;
}

async function get(options: VerifyOptions, path: string): Promise<{ status: number; bytes: Uint8Array }> {
  const response = await send(options, 'GET', path);
  return { status: response.status, bytes: response.body };
}

async function send(
  options: VerifyOptions,
  method: string,
  path: string,
  body?: Uint8Array,
): Promise<{ status: number; headers: Headers; body: Uint8Array }> {
  const response = await fetch(path.startsWith('http') ? path : `${options.url}${path}`, {
    method,
    headers: { authorization: `Basic ${Buffer.from(`admin:${options.password}`).toString('base64')}` },
    ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: response.status, headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) };
}
