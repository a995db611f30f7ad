// What is put into the servers: tiny images under many names, and big blobs of random bytes.

import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from './contenders.ts';

export interface BigBlob {
  readonly file: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function makeBigBlob(folder: string, name: string, mebibytes: number): BigBlob {
  const file = join(folder, name);
  const hash = createHash('sha256');
  const sizeBytes = mebibytes * 1024 * 1024;
  writeFileSync(file, '');
  for (let at = 0; at < mebibytes; at += 16) {
    const chunk = randomBytes(16 * 1024 * 1024);
    hash.update(chunk);
    writeFileSync(file, chunk, { flag: 'a' });
  }
  return { file, digest: `sha256:${hash.digest('hex')}`, sizeBytes };
}

export async function pushBlob(server: Contender, repository: string, body: Uint8Array | Bun.BunFile, digest: string): Promise<void> {
  const begun = await fetch(`${server.url}/v2/${repository}/blobs/uploads/`, { method: 'POST', headers: server.login });
  if (begun.status !== 202) throw new Error(`${server.name} answered ${begun.status} to a new upload: ${await begun.text()}`);
  const location = new URL(begun.headers.get('location') ?? '', server.url);
  location.searchParams.set('digest', digest);
  const done = await fetch(location, { method: 'PUT', headers: server.login, body: body as Bun.BunFile });
  if (done.status !== 201) throw new Error(`${server.name} answered ${done.status} to a blob`);
}

/** A manifest of one small config blob; `note` makes it differ from others. */
export function tinyManifest(config: Uint8Array, note: string): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.byteLength },
    layers: [],
    annotations: { note },
  });
}

export async function putManifest(server: Contender, repository: string, reference: string, text: string): Promise<void> {
  const headers = { ...server.login, 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
  const done = await fetch(`${server.url}/v2/${repository}/manifests/${reference}`, { method: 'PUT', headers, body: text });
  await done.arrayBuffer();
  if (done.status !== 201) throw new Error(`${server.name} answered ${done.status} to a manifest`);
}

/** `repositories` times `tags` different manifests; gives their paths. */
export async function populate(server: Contender, repositories: number, tags: number): Promise<string[]> {
  const config = Buffer.from('{}');
  const paths: string[] = [];
  await inParallel(repositories, 16, async (index) => {
    const repository = `library/bench-${index}`;
    await pushBlob(server, repository, config, sha256(config));
    for (let tag = 0; tag < tags; tag++) {
      await putManifest(server, repository, `t${tag}`, tinyManifest(config, `${index} ${tag}`));
      paths.push(`/v2/${repository}/manifests/t${tag}`);
    }
  });
  return paths;
}

export async function inParallel(count: number, width: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let index = next++; index < count; index = next++) await task(index);
    }),
  );
}

/** Reads a body and throws it away: milliseconds to its first byte, and bytes of the body. */
export async function drain(url: string): Promise<{ firstByteMs: number; bytes: number }> {
  const startMs = performance.now();
  const response = await fetch(url);
  if (response.status !== 200 || response.body === null) throw new Error(`${url} answered ${response.status}`);
  let bytes = 0;
  let firstByteMs = 0;
  for await (const chunk of response.body) {
    if (bytes === 0) firstByteMs = performance.now() - startMs;
    bytes += chunk.byteLength;
  }
  return { firstByteMs, bytes };
}

/**
 * Reads an answer with curl, a process of its own; throws unless all of `sizeBytes` came. Gives the seconds it took.
 * On loopback the kernel books part of the reader's work on the sender, so who reads, and how, changes the server's CPU: one reader for both.
 */
export async function sink(url: string, sizeBytes: number): Promise<number> {
  const startMs = performance.now();
  const child = Bun.spawn(['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code} %{size_download}', url], { stdout: 'pipe' });
  const said = await new Response(child.stdout).text();
  if (said !== `200 ${sizeBytes}`) throw new Error(`${url}: ${said}, expected ${sizeBytes} bytes`);
  return (performance.now() - startMs) / 1000;
}
