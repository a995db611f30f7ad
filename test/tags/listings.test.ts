// Lists of a mirror whose registry is away: what is cached, with a warning, and never a 404 nobody said. distribution-spec v1.1 end-8, end-12.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { status } from '../mirror/fake-source.ts';
import { pull, startServer, startSources } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

let server: RunningBreakwater;
let sources: Awaited<ReturnType<typeof startSources>>;
beforeAll(async () => {
  sources = await startSources({
    'cached.test': ['authority'],
    'refused.test': ['authority'],
    'mirrors.test': ['digest-only'],
    'signed.test': ['authority'],
  });
  server = await startServer({ registries: sources.registries, mirror: { tag_ttl: '0s' } });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await sources?.stop();
});
const get = (registry: string, path: string) => pull(server, `/v2/${registry}/library/app/${path}`);
const tagsOf = (bytes: Buffer): string[] => (JSON.parse(bytes.toString()) as { tags: string[] }).tags;

test('while the registry is away the cached tags are listed with a warning, and without any the answer is 503 with the reason', async () => {
  const [hub] = sources.of('cached.test');
  hub.add('library/app', imageOf([100]), 'v1', 'v2');
  await hub.down();
  const nothing = await get('cached.test', 'tags/list');
  expect([nothing.status, nothing.code]).toEqual([503, 'UNAVAILABLE']);
  expect(nothing.message).toContain(`${hub.host}: connection refused`);
  expect((await get('cached.test', `referrers/sha256:${'1'.repeat(64)}`)).status).toBe(503);
  await hub.up();
});

test('a cached tag is listed while the registry is away', async () => {
  const [hub] = sources.of('refused.test');
  hub.add('library/app', imageOf([100]), 'v1', 'v2');
  expect((await get('refused.test', 'manifests/v1')).status).toBe(200);
  // Forbidding the list forbids no pull.
  hub.rule((request) => (request.path.endsWith('/tags/list') ? status(403)() : undefined));
  const listed = await get('refused.test', 'tags/list');
  expect([listed.status, tagsOf(listed.bytes)]).toEqual([200, ['v1']]);
  expect(listed.headers.get('warning')).toStartWith('299 - "tags as last known');
  const pulled = await get('refused.test', 'manifests/v2');
  expect([pulled.status, pulled.headers.get('warning')]).toEqual([200, null]);
  hub.clearRules();
});

test('a list of sources that prove nothing is not asked for', async () => {
  const [mirror] = sources.of('mirrors.test');
  mirror.add('library/app', imageOf([100]), 'v1');
  const answer = await get('mirrors.test', 'tags/list');
  expect([answer.status, answer.message]).toEqual([503, expect.stringContaining('no authority is configured')]);
  expect(mirror.requests).toHaveLength(0);
});

test('referrers, by the API and by tag, and cosign tags are there without the registry, once they were listed and pulled', async () => {
  const [hub] = sources.of('signed.test');
  const image = imageOf([100]);
  const signature = imageOf([10], { subject: image.manifest, artifactType: 'application/vnd.example.signature' });
  const cosign = `${image.manifest.digest.replace(':', '-')}.sig`;
  hub.add('library/app', image, 'v1');
  hub.add('library/app', signature);
  hub.add('library/app', imageOf([20]), cosign);
  const referrersOf = async (digest: string): Promise<readonly [number, string[], string | undefined]> => {
    const answer = await get('signed.test', `referrers/${digest}`);
    const { manifests = [] } = JSON.parse(answer.bytes.toString()) as { manifests?: { digest: string }[] };
    return [answer.status, manifests.map((one) => one.digest), answer.headers.get('warning')?.slice(0, 30)];
  };
  expect((await get('signed.test', 'manifests/v1')).status).toBe(200);
  expect((await get('signed.test', `manifests/${cosign}`)).status).toBe(200);
  expect(await referrersOf(image.manifest.digest)).toEqual([200, [signature.manifest.digest], undefined]);
  // Nothing refers to the signature: that, too, was heard.
  expect(await referrersOf(signature.manifest.digest)).toEqual([200, [], undefined]);
  await hub.down();
  const warning = '299 - "referrers as last known';
  expect(await referrersOf(image.manifest.digest)).toEqual([200, [signature.manifest.digest], warning]);
  expect(await referrersOf(signature.manifest.digest)).toEqual([200, [], warning]);
  expect((await referrersOf(`sha256:${'2'.repeat(64)}`))[0]).toBe(503);
  expect((await get('signed.test', `manifests/${cosign}`)).status).toBe(200);
});

test('nothing failed unforeseen', () => {
  expect(server.logs()).not.toContain('"level":"error"');
});
