// F27 to F32: limits, quotas and sources that come and go.

import { expect } from 'bun:test';
import { type Answer, type FakeSource, on, type Rule, startFakeSource, status } from '../mirror/fake-source.ts';
import { imageOf } from '../mirror/images.ts';
import { createSkippingClock, pullWhole, withEngine } from './engine-row.ts';
import { layerOf, type Row } from './row.ts';

const upstreamRetryAfter = '77';

/** 200 on good terms until `isDown` says otherwise. */
function whenever(isDown: () => boolean, turn: (answer: Answer) => Answer): Rule {
  return (_, answer) => (isDown() ? turn(answer) : undefined);
}

export const limitRows: readonly Row[] = [
  {
    id: 'F27',
    name: '429-retry-after-sec / http-date',
    fact: 'nothing is asked before the time a source named, the next one serves, and that time never reaches a client',
    sources: ['digest-only', 'digest-only', 'authority'],
    run: async ({ first, second, third, serve, get, pullImage }) => {
      const body = '{"errors":[{"code":"TOOMANYREQUESTS"}]}';
      first.rule(on('*', status(429, { 'retry-after': upstreamRetryAfter }, body)));
      second.rule(on('*', status(429, { 'retry-after': new Date(Date.now() + 77_000).toUTCString() }, body)));
      const cached = serve([1000]);
      await pullImage(cached);
      expect([first.requests.length, second.requests.length]).toEqual([1, 1]);
      await pullImage(serve([1000]));
      expect([first.requests.length, second.requests.length]).toEqual([1, 1]);
      third.rule(on('*', status(429, { 'retry-after': upstreamRetryAfter }, body)));
      const refused = await get(`manifests/${imageOf([10]).manifest.digest}`);
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).not.toBe(upstreamRetryAfter);
      await pullImage(cached);
    },
  },
  {
    id: 'F28',
    name: '429-plain abuse',
    fact: 'a bare 429 is a limit of the host: it gets no further request for now, and the next source serves',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, serve, pullImage, state }) => {
      first.rule(on('*', status(429, { 'content-type': 'text/plain' }, 'You have reached your rate limit, slow down')));
      const [image, other] = [serve([1000]), serve([1000], 'library/other')];
      await pullImage(image);
      await pullImage(other, 'library/other');
      expect(first.requests.length).toBe(1);
      expect(second.count(layerOf(other).digest)).toBe(1);
      expect(await state(first)).toBe('limited');
    },
  },
  {
    id: 'F30',
    name: '429-as-404',
    fact: 'a limit dressed up as 404 is no absence: the next source serves, and without one the answer is no 404',
    sources: ['digest-only', 'digest-only'],
    run: async ({ first, second, serve, get, pullImage }) => {
      first.rule(on('*', status(404, {}, '{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}')));
      await pullImage(serve([1000]));
      expect(first.requests.length).toBe(1);
      second.rule(on('*', status(404)));
      expect((await get(`manifests/${imageOf([10]).manifest.digest}`)).status).toBe(503);
    },
  },
  {
    id: 'F31',
    name: 'flap-503',
    fact: 'a source that answers every other request neither fails a client nor swaps ranks all the time',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, serve, pullImage }) => {
      let turn = 0;
      first.rule((_, answer) => (turn++ % 2 === 0 ? { ...status(503)(), body: answer.body.subarray(0, 10) } : undefined));
      const servers: FakeSource[] = [];
      for (let round = 0; round < 40; round++) {
        const image = serve([500]);
        await pullImage(image);
        servers.push(first.bytes(layerOf(image).digest) === 500 ? first : second);
      }
      const swaps = servers.filter((server, place) => place > 0 && server !== servers[place - 1]).length;
      expect(swaps).toBeLessThanOrEqual(10);
      // Once it is known for it, it is let be.
      expect(servers.slice(-10)).toEqual(Array.from({ length: 10 }, () => second));
    },
  },
  {
    id: 'F32',
    name: 'recover',
    fact: 'after ten minutes down a source is tried again by one request, and used again from then on',
    run: async () => {
      const clock = createSkippingClock();
      const primary = await startFakeSource();
      await withEngine({ sources: [{ trust: 'authority', source: primary }, { trust: 'authority' }], clock }, async (engine, sources) => {
        const pullNew = async (): Promise<string> => {
          const image = imageOf([1000]);
          for (const source of sources) source.add('library/app', image);
          await pullWhole(engine, image);
          return primary.bytes(layerOf(image).digest) > 0 ? 'primary' : 'other';
        };
        expect(await pullNew()).toBe('primary');
        let isDown = true;
        primary.rule(
          whenever(
            () => isDown,
            (answer) => ({ ...answer, silence: 'reset' }),
          ),
        );
        for (let minute = 0; minute < 10; minute++) {
          expect(await pullNew()).toBe('other');
          clock.skip(60_000);
        }
        isDown = false;
        clock.skip(300_000);
        await pullNew();
        expect(await pullNew()).toBe('primary');
        expect(engine.health.snapshot(engine.idOf(primary)).state).toBe('up');
      });
    },
  },
  {
    id: 'F29',
    name: 'quota-header-zero',
    fact: 'a source whose quota is down to nothing gets no counted request, before it ever answers 429',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, serve, get }) => {
      first.rule((request, answer) =>
        request.path.includes('/manifests/')
          ? { ...answer, headers: { ...answer.headers, 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600' } }
          : undefined,
      );
      const [image, later] = [serve([1000]), serve([1000])];
      expect((await get(`manifests/${image.manifest.digest}`)).digest).toBe(image.manifest.digest);
      expect(first.count(image.manifest.digest, 'GET')).toBe(1);
      expect((await get(`manifests/${later.manifest.digest}`)).digest).toBe(later.manifest.digest);
      expect(first.count(later.manifest.digest, 'GET')).toBe(0);
      expect(second.count(later.manifest.digest, 'GET')).toBe(1);
    },
  },
];
