// What the audit suites do on a server: pushes without a client program, and reading the log.

import { z } from 'zod';
import { type AuditEntryExt, auditEntryExtSchema } from '../../src/api/audit-schemas.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { send } from '../api/client.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

export function basicOf(server: RunningBreakwater, password = server.adminPassword): Record<string, string> {
  return { authorization: `Basic ${btoa(`admin:${password}`)}` };
}

/** An image of one small blob under a tag; gives the manifest's digest. */
export async function pushImage(server: RunningBreakwater, repository: string, tag: string, content: string): Promise<string> {
  const config = Buffer.from(JSON.stringify({ content }));
  const digest = digestOf(config);
  const headers = basicOf(server);
  const upload = await fetch(`${server.url}/v2/${repository}/blobs/uploads/?digest=${digest}`, { method: 'POST', headers, body: config });
  if (upload.status !== 201) throw new Error(`the blob was answered with ${upload.status}: ${await upload.text()}`);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: config.byteLength },
    layers: [],
  });
  const pushed = await fetch(`${server.url}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { ...headers, 'content-type': 'application/vnd.oci.image.manifest.v1+json', 'user-agent': 'test-pusher/1' },
    body: manifest,
  });
  if (pushed.status !== 201) throw new Error(`the manifest was answered with ${pushed.status}: ${await pushed.text()}`);
  return digestOf(Buffer.from(manifest));
}

/** Entries, the latest first; what is written off the request is there a second later, so a condition is waited for. */
export async function entries(
  server: RunningBreakwater,
  q = '',
  isThere: (found: readonly AuditEntryExt[]) => boolean = () => true,
): Promise<readonly AuditEntryExt[]> {
  const path = `/auditlog-exts?page_size=100${q === '' ? '' : `&q=${encodeURIComponent(q)}`}`;
  for (let turn = 0; ; turn++) {
    const answer = await send(server, path);
    if (answer.status !== 200) throw new Error(`the log was answered with ${answer.status}: ${answer.text}`);
    const found = z.array(auditEntryExtSchema).parse(answer.json());
    if (isThere(found) || turn === 200) return found;
    await Bun.sleep(50);
  }
}
