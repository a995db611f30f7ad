// A hostile source against the whole server: whatever a client asks for, it gets no byte of another's login or token, leads to no connection
// to an address that is forbidden to it, and spoils no pull. The client room alone: test/upstream/hostile.test.ts.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { networkInterfaces } from 'node:os';
import { type Answer, type FakeSource, json, type SourceRequest, startFakeSource } from '../mirror/fake-source.ts';
import { basic, explain, pull, type SourceSetting, startServer } from '../mirror/harness.ts';
import { type Image, imageOf } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';
import { layerOf, requireExact } from './row.ts';
import { caFile, expectNoSecret, loopbackPem } from './upstream.ts';

const secret = 'a-secret-that-must-not-leave';
const otherSecret = 'the-secret-of-the-honest-source';
/** An address of this machine that is not loopback: a source there has no business with loopback. */
const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((one) => one !== undefined && one.family === 'IPv4' && !one.internal)?.address;

interface Places {
  /** On another port of the hostile source's own address: another origin, which may be asked without a login. */
  readonly stranger: FakeSource;
  /** On loopback: forbidden to sources elsewhere. */
  readonly inner: FakeSource;
}
interface Trick {
  readonly name: string;
  readonly isTls?: boolean;
  /** What the hostile source answers instead. */
  readonly turn: (places: Places, request: SourceRequest, honest: Answer) => Answer;
}

const bearer = (realm: string): Answer => ({
  ...json(401, { errors: [] }),
  headers: { 'www-authenticate': `Bearer realm="${realm}",service="registry",scope="repository:library/app:pull,push"` },
});
const redirect = (location: string): Answer => ({
  status: 307,
  headers: { location, 'set-cookie': 'session=1' },
  body: Buffer.alloc(0),
});
/** The login is taken first, so that there is something to leak. */
const afterLogin = (request: SourceRequest, answer: Answer): Answer =>
  request.headers['authorization'] === undefined
    ? { ...json(401, { errors: [] }), headers: { 'www-authenticate': 'Basic realm="here"' } }
    : answer;

const tricks: readonly Trick[] = [
  { name: 'a realm at a stranger', turn: ({ stranger }) => bearer(`${stranger.url}/token`) },
  { name: 'a realm on loopback', turn: ({ inner }) => bearer(`${inner.url}/token`) },
  { name: 'a realm at the metadata service', turn: () => bearer('http://169.254.169.254/latest/api/token') },
  { name: 'a redirect to a stranger', turn: ({ stranger }, request) => afterLogin(request, redirect(`${stranger.url}${request.path}`)) },
  {
    name: 'a redirect to a stranger who asks for a login',
    turn: ({ stranger }, request) => afterLogin(request, redirect(`${stranger.url}/login${request.path}`)),
  },
  { name: 'a redirect to loopback', turn: ({ inner }, request) => afterLogin(request, redirect(`${inner.url}${request.path}`)) },
  {
    name: 'a redirect to loopback in another spelling',
    turn: ({ inner }, request) => afterLogin(request, redirect(`http://2130706433:${inner.port}${request.path}`)),
  },
  { name: 'a redirect to localhost', turn: ({ inner }, request) => afterLogin(request, redirect(`http://localhost:${inner.port}/x`)) },
  { name: 'a redirect to an odd scheme', turn: (_, request) => afterLogin(request, redirect('file:///etc/passwd')) },
  {
    name: 'a page link to a stranger',
    turn: ({ stranger }, request, honest) =>
      afterLogin(request, { ...honest, headers: { ...honest.headers, link: `<${stranger.url}/v2/library/app/tags/list>; rel="next"` } }),
  },
  { name: 'a downgrade to http', isTls: true, turn: ({ inner }, request) => afterLogin(request, redirect(`${inner.url}${request.path}`)) },
];

let server: RunningBreakwater;
let places: Places;
const parts: { readonly registry: string; readonly hostile: FakeSource; readonly honest: FakeSource; readonly image: Image }[] = [];

beforeAll(async () => {
  const address = ownAddress ?? '127.0.0.1';
  places = { stranger: await startFakeSource({ address }), inner: await startFakeSource() };
  places.stranger.rule((request) =>
    request.path.startsWith('/login') ? { ...json(401, {}), headers: { 'www-authenticate': 'Basic realm="please"' } } : undefined,
  );
  const registries: Record<string, readonly SourceSetting[]> = {};
  for (const [place, trick] of tricks.entries()) {
    const hostile = await startFakeSource(trick.isTls === true ? { tls: loopbackPem } : { address });
    const honest = await startFakeSource();
    const image = imageOf([1000]);
    for (const source of [hostile, honest, places.stranger, places.inner]) source.add('library/app', image, `v${place}`);
    hostile.rule((request, answer) => trick.turn(places, request, answer));
    const registry = `trick${place}.test`;
    registries[registry] = [
      {
        source: hostile,
        credentials: { username: 'robot', password: secret },
        ...(trick.isTls === true ? { caFile } : {}),
      },
      { source: honest, credentials: { username: 'robot', password: otherSecret } },
    ];
    parts.push({ registry, hostile, honest, image });
  }
  server = await startServer({ registries, publicRegistries: Object.keys(registries) });
}, 60_000);
afterAll(async () => {
  await server?.stop();
  for (const { hostile, honest } of parts) await Promise.all([hostile.stop(), honest.stop()]);
  await Promise.all([places.stranger.stop(), places.inner.stop()]);
});

for (const [place, trick] of tricks.entries()) {
  test(`${trick.name}: no secret and no forbidden connection, and the pull is exact`, async () => {
    const part = parts[place];
    if (part === undefined) throw new Error('no such trick');
    const { registry, hostile, honest, image } = part;
    const path = (rest: string): string => `/v2/${registry}/library/app/${rest}`;
    const before = places.inner.connections();
    await requireExact(pull(server, path(`manifests/v${place}`)), image.manifest);
    await requireExact(pull(server, path(`manifests/${image.manifest.digest}`)), image.manifest);
    await requireExact(pull(server, path(`blobs/${layerOf(image).digest}`)), layerOf(image));
    for (const rest of ['tags/list', `referrers/${image.manifest.digest}`, 'manifests/none', `blobs/${imageOf([5]).layers[0]?.digest}`]) {
      await pull(server, path(rest));
      await fetch(`${server.url}${path(rest)}`, { method: 'HEAD' });
    }
    // The trick was played: it was asked and, where it asked for the login itself, got it.
    expect(hostile.requests.length).toBeGreaterThan(0);
    const hasLogin = hostile.requests.some((request) => request.headers['authorization'] !== undefined);
    expect(hasLogin).toBe(!trick.name.startsWith('a realm'));
    if (ownAddress !== undefined || trick.isTls === true) expect(places.inner.connections()).toBe(before);
    expectNoSecret(secret, [places.stranger, places.inner, honest]);
    expectNoSecret(otherSecret, [places.stranger, places.inner, hostile]);
    for (const request of places.stranger.requests)
      expect(Object.keys(request.headers).filter((name) => /auth|cookie/.test(name))).toEqual([]);
    // What the operator sees holds no secret either.
    const told = JSON.stringify(await explain(server, `${registry}/library/app:v${place}`));
    const listed = await (await fetch(`${server.url}/api/v2.0/sources`, { headers: basic(server) })).text();
    for (const text of [told, listed, server.logs()]) for (const word of [secret, otherSecret]) expect(text).not.toContain(word);
  });
}

test('a client that names hosts in `ns`, in the path or in Host gets them dialled nowhere', async () => {
  const { stranger, inner } = places;
  const before = [stranger.connections(), inner.connections()];
  for (const host of [stranger.host, inner.host, 'localhost', '169.254.169.254', 'evil.test']) {
    for (const [path, headers] of [
      [`/v2/library/app/manifests/v1?ns=${host}`, {}],
      [`/v2/library/app/blobs/${layerOf(imageOf([7])).digest}?ns=${host}`, {}],
      [`/v2/${host}/library/app/manifests/v1`, {}],
      [`/${host}/v2/library/app/manifests/v1`, {}],
      ['/v2/library/app/manifests/v1', { 'x-forwarded-host': host }],
      [`/service/token?service=${host}&scope=repository:${host}/library/app:pull`, {}],
    ] as const)
      await (await fetch(`${server.url}${path}`, { headers })).arrayBuffer();
  }
  expect([stranger.connections(), inner.connections()]).toEqual(before);
});
