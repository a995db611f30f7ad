// F17 to F20, F59, F60: tokens and logins; F21 to F23: refusals.

import { expect } from 'bun:test';
import { type Answer, type FakeSource, html, json, on, startFakeSource, status } from '../mirror/fake-source.ts';
import { pull, type SourceSetting, startServer } from '../mirror/harness.ts';
import { imageOf } from '../mirror/images.ts';
import { failuresOf, layerOf, type Row, requireExact } from './row.ts';
import { demandBasic, demandToken, expectNoSecret, startTokenService, type TokenService } from './upstream.ts';

const secret = 'a-secret-that-must-not-leave';
const login = { username: 'robot', password: secret };

interface TokenStage {
  /** Behind the token service, digest-only; it has the login, if any. */
  readonly guarded: FakeSource;
  readonly next: FakeSource;
  readonly tokens: TokenService;
  readonly pullNew: () => Promise<void>;
  readonly failures: () => Promise<Readonly<Record<string, number>>>;
}

/** A server of its own on which each variant has a registry: a guarded source first, an authority behind it. */
async function withTokens<T>(
  how: { readonly credentials?: typeof login; readonly pinned?: boolean; readonly variants: readonly T[] },
  run: (stage: TokenStage, variant: T) => Promise<void>,
): Promise<void> {
  const parts = await Promise.all(
    how.variants.map(async (variant, place) => ({
      variant,
      registry: `tokens${place}.test`,
      tokens: await startTokenService(),
      guarded: await startFakeSource(),
      next: await startFakeSource(),
    })),
  );
  const settingsOf = ({ guarded, next, tokens }: (typeof parts)[number]): readonly SourceSetting[] => [
    {
      source: guarded,
      trust: 'digest-only',
      ...(how.credentials === undefined ? {} : { credentials: how.credentials }),
      ...(how.pinned === true ? { realms: [tokens.listener.url] } : {}),
    },
    { source: next },
  ];
  const server = await startServer({
    registries: Object.fromEntries(parts.map((part) => [part.registry, settingsOf(part)])),
    publicRegistries: parts.map((part) => part.registry),
  });
  try {
    for (const { variant, registry, guarded, next, tokens } of parts) {
      const pullNew = async (): Promise<void> => {
        const image = imageOf([1000]);
        for (const source of [guarded, next]) source.add('library/app', image, 'v1');
        await requireExact(pull(server, `/v2/${registry}/library/app/manifests/${image.manifest.digest}`), image.manifest);
        await requireExact(pull(server, `/v2/${registry}/library/app/blobs/${layerOf(image).digest}`), layerOf(image));
      };
      await run({ guarded, next, tokens, pullNew, failures: () => failuresOf(server, guarded) }, variant);
    }
    expect(server.logs()).not.toContain(secret);
  } finally {
    await server.stop();
    for (const { guarded, next, tokens } of parts) await Promise.all([guarded.stop(), next.stop(), tokens.listener.stop()]);
  }
}

export const accessRows: readonly Row[] = [
  {
    id: 'F17',
    name: 'auth-loop',
    fact: 'a source that refuses every token it sent us for is asked three times at most, then the next one',
    run: () =>
      withTokens({ pinned: true, variants: ['one'] }, async ({ guarded, tokens, pullNew }) => {
        demandToken(guarded, { realm: `${tokens.listener.url}/token` });
        await pullNew();
        // The manifest: without a token, with one, with a fresh one. Then the refusal is remembered.
        expect(guarded.requests.length).toBeLessThanOrEqual(3);
        expect(tokens.issued.length).toBeLessThanOrEqual(2);
        await pullNew();
        expect(guarded.requests.length).toBeLessThanOrEqual(3);
      }),
  },
  {
    id: 'F18',
    name: 'token-403',
    fact: 'a token service that fails costs one request, the next source serves, and the registry behind it is not marked down',
    run: () => {
      const variants: readonly ((good: Answer) => Answer)[] = [
        () => json(403, {}),
        () => json(500, {}),
        html,
        () => json(200, { expires_in: 1 }),
        (good) => ({ ...good, silence: 'reset' }),
      ];
      return withTokens({ pinned: true, variants }, async ({ guarded, tokens, pullNew, failures }, turn) => {
        tokens.turn = turn;
        demandToken(guarded, { realm: `${tokens.listener.url}/token`, accepted: () => tokens.issued });
        await pullNew();
        await pullNew();
        expect(tokens.listener.requests.length).toBeLessThanOrEqual(2);
        expect(Object.keys(await failures())).toEqual(['token-error']);
      });
    },
  },
  {
    id: 'F19',
    name: 'foreign-realm',
    fact: 'a realm on a host nobody configured gets no connection and no secret, and the next source serves',
    run: () =>
      withTokens({ credentials: login, variants: ['one'] }, async ({ guarded, next, tokens, pullNew, failures }) => {
        demandToken(guarded, { realm: `${tokens.listener.url}/token`, accepted: () => tokens.issued });
        await pullNew();
        expect(tokens.listener.connections()).toBe(0);
        expect(await failures()).toEqual({ 'foreign-realm': 1 });
        expectNoSecret(secret, [guarded, next, tokens.listener]);
      }),
  },
  {
    id: 'F20',
    name: 'basic-challenge',
    fact: 'a Basic challenge is answered by the login of that source alone; without one the next source serves',
    run: async () => {
      await withTokens({ credentials: login, variants: ['one'] }, async ({ guarded, next, pullNew, failures }) => {
        demandBasic(guarded, login);
        await pullNew();
        expect(next.requests).toEqual([]);
        expect(await failures()).toEqual({});
      });
      await withTokens({ variants: ['one'] }, async ({ guarded, next, pullNew }) => {
        demandBasic(guarded, login);
        await pullNew();
        expect(next.requests.length).toBeGreaterThan(0);
        expectNoSecret(secret, [guarded, next]);
      });
    },
  },
  {
    id: 'F21',
    name: 'whitelist-manifest',
    fact: 'a refusal concerns its repository alone, and is remembered for it',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, serve, pullImage }) => {
      first.rule((request) =>
        request.path.startsWith('/v2/library/app/') ? status(403, {}, '{"errors":[{"code":"DENIED"}]}')() : undefined,
      );
      await pullImage(serve([1000]));
      const refused = first.count('', undefined);
      expect(refused).toBe(1);
      await pullImage(serve([1000]));
      expect(first.requests.length).toBe(refused);
      const allowed = serve([1000], 'library/listed');
      await pullImage(allowed, 'library/listed');
      expect(first.count(layerOf(allowed).digest)).toBe(1);
      expect(second.count(layerOf(allowed).digest)).toBe(0);
    },
  },
  {
    id: 'F22',
    name: 'whitelist-blob',
    fact: "a manifest's blobs come from the next source when this one gives the manifest only",
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, serve, pullImage }) => {
      const image = serve([1000]);
      first.rule((request) => (request.path.includes('/blobs/') ? status(403)() : undefined));
      await pullImage(image);
      expect(first.count(image.manifest.digest)).toBe(1);
      expect(second.count(layerOf(image).digest)).toBe(1);
    },
  },
  {
    id: 'F59',
    name: 'gcr-412',
    fact: 'a project that was shut down is MANIFEST_UNKNOWN for its clients, and is not asked about each time',
    sources: ['authority'],
    run: async ({ first, serve, get }) => {
      const image = serve([100]);
      first.rule(on('*', status(412, {}, '{"errors":[{"code":"UNKNOWN","message":"project has been shut down"}]}')));
      for (let round = 0; round < 3; round++) {
        const answer = await get(`manifests/${image.manifest.digest}`);
        expect([answer.status, answer.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
      }
      expect(first.requests.length).toBe(1);
    },
  },
  {
    id: 'F60',
    name: 'clock-skew',
    fact: 'odd dates and lifetimes of tokens cost one refresh at most, and every pull works',
    run: async () => {
      const years = 3_153_600_000;
      const variants: readonly Readonly<Record<string, unknown>>[] = [
        { expires_in: 0 },
        { expires_in: -years },
        { expires_in: 1e300 },
        { expires_in: 300, issued_at: '1999-01-01T00:00:00Z' },
        { expires_in: 300, issued_at: '2999-01-01T00:00:00Z' },
        { expires_in: 'soon', issued_at: 'yesterday' },
      ];
      await withTokens({ pinned: true, variants }, async ({ guarded, next, tokens, pullNew, failures }, odd) => {
        tokens.turn = (good) => ({
          ...json(200, { ...JSON.parse(good.body.toString()), ...odd }),
          headers: { 'content-type': 'application/json', date: 'Thu, 01 Jan 1998 00:00:00 GMT' },
        });
        demandToken(guarded, { realm: `${tokens.listener.url}/token`, accepted: () => tokens.issued });
        await pullNew();
        await pullNew();
        expect(next.requests).toEqual([]);
        expect(tokens.issued.length).toBeLessThanOrEqual(2);
        expect(await failures()).toEqual({});
      });
      // A token that has expired before it arrives: one refresh, then the next source.
      await withTokens({ pinned: true, variants: ['one'] }, async ({ guarded, tokens, pullNew }) => {
        demandToken(guarded, { realm: `${tokens.listener.url}/token`, accepted: () => tokens.issued.slice(1) });
        await pullNew();
        expect(tokens.issued.length).toBe(2);
        expect(guarded.requests.filter((request) => request.path.includes('/blobs/')).length).toBe(1);
      });
    },
  },
  {
    id: 'F23',
    name: 'geo-403',
    fact: 'a 403 page for everything takes the source out for all repositories',
    sources: ['digest-only', 'authority'],
    run: async ({ first, serve, pullImage, state }) => {
      first.rule(on('*', () => ({ ...html(), status: 403 })));
      await pullImage(serve([1000]));
      expect(['open', 'failing']).toContain(await state(first));
      for (let place = 0; place < 6; place++) await pullImage(serve([1000], `library/app${place}`), `library/app${place}`);
      expect(first.requests.length).toBeLessThanOrEqual(3);
    },
  },
];
