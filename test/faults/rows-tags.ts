// F24 to F26, F43 to F47, F51: what a tag means while sources lack it, disagree or lie, and images that are here in part.

import { expect } from 'bun:test';
import { type FakeSource, type SourceRequest, status } from '../mirror/fake-source.ts';
import { until } from '../mirror/harness.ts';
import { type Image, imageOf, indexOf } from '../mirror/images.ts';
import { layerOf, type Row, requireExact } from './row.ts';

const isTag = (request: SourceRequest): boolean => request.path.endsWith('/manifests/v1');

function tag(source: FakeSource, image: Image): void {
  source.add('library/app', image, 'v1');
}

export const tagRows: readonly Row[] = [
  {
    id: 'F24',
    name: 'mirror-404',
    fact: "a mirror's 404 is not the client's: the authority serves, and while it is down the answer is 503, not 404",
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, get }) => {
      const image = imageOf([1000]);
      tag(second, image);
      await requireExact(get('manifests/v1'), image.manifest);
      await requireExact(get(`blobs/${layerOf(image).digest}`), layerOf(image));
      await second.down();
      const absent = imageOf([10]).manifest.digest;
      expect((await get(`manifests/${absent}`)).status).toBe(503);
      expect(first.count(absent)).toBe(1);
    },
  },
  {
    id: 'F25',
    name: 'all-404',
    fact: "the authority's 404 is MANIFEST_UNKNOWN, and what is published afterwards is found",
    sources: ['authority'],
    run: async ({ first, get }) => {
      const image = imageOf([1000]);
      first.add('library/app', imageOf([10]), 'other');
      for (const reference of ['v1', image.manifest.digest]) {
        const answer = await get(`manifests/${reference}`);
        expect([answer.status, answer.code]).toEqual([404, 'MANIFEST_UNKNOWN']);
      }
      // An absence is remembered for two seconds here.
      const asked = first.requests.length;
      expect((await get('manifests/v1')).status).toBe(404);
      expect(first.requests.length).toBe(asked);
      tag(first, image);
      await until(async () => (await get('manifests/v1')).status === 200, 20_000);
      await until(async () => (await get(`manifests/${image.manifest.digest}`)).status === 200, 20_000);
    },
  },
  {
    id: 'F26',
    name: 'deleted-upstream',
    fact: 'a tag the authority has deleted ends as MANIFEST_UNKNOWN, and its digest stays to be had',
    sources: ['authority', 'digest-only'],
    run: async ({ first, serve, get, pullImage }) => {
      const image = serve([1000]);
      await requireExact(get('manifests/v1'), image.manifest);
      await pullImage(image);
      first.rule((request) =>
        request.path.includes('/manifests/') ? status(404, {}, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')() : undefined,
      );
      await until(async () => (await get('manifests/v1')).status === 404, 20_000);
      await pullImage(image);
    },
  },
  {
    id: 'F43',
    name: 'stale-tag',
    fact: 'the best ranked mirror has an old digest, and the fresh one is served',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, get }) => {
      const [old, fresh] = [imageOf([100]), imageOf([200])];
      tag(second, old);
      tag(first, old);
      await requireExact(get('manifests/v1'), old.manifest);
      tag(second, fresh);
      await requireExact(get('manifests/v1'), fresh.manifest);
    },
  },
  {
    id: 'F45',
    name: 'split-brain-origin-down',
    fact: 'mirrors that disagree move no tag while the origin is away: the last verified digest stands, with a warning; two that agree do',
    sources: ['authority', 'digest-only', 'digest-only', 'digest-only'],
    run: async ({ first, second, third, sources, serve, get }) => {
      const known = serve([100]);
      await requireExact(get('manifests/v1'), known.manifest);
      await first.down();
      const [one, other] = [imageOf([201]), imageOf([202])];
      tag(second, one);
      tag(third, other);
      await sources[3]?.down();
      const standing = await get('manifests/v1');
      expect([standing.status, standing.digest]).toEqual([200, known.manifest.digest]);
      expect(standing.headers.get('warning')).toContain('299');
      for (const source of sources.slice(1, 3)) source.add('library/app', other, 'v2');
      const agreed = await get('manifests/v2');
      expect([agreed.digest, agreed.headers.get('warning')]).toEqual([other.manifest.digest, null]);
    },
  },
  {
    id: 'F46',
    name: 'child-missing',
    fact: 'an index whose child this mirror lacks stays as it is, and the child comes from the next source',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, get }) => {
      const [amd, arm] = [imageOf([100]), imageOf([200])];
      const index = indexOf([amd.manifest, arm.manifest]);
      for (const source of [first, second]) source.add('library/app', index, 'v1');
      first.add('library/app', amd);
      second.add('library/app', amd);
      second.add('library/app', arm);
      await requireExact(get(`manifests/${index.digest}`), index);
      await requireExact(get(`manifests/${amd.manifest.digest}`), amd.manifest);
      await requireExact(get(`manifests/${arm.manifest.digest}`), arm.manifest);
      expect([first.count(arm.manifest.digest), second.count(arm.manifest.digest)]).toEqual([1, 1]);
    },
  },
  {
    id: 'F47',
    name: 'head-405 / head-403',
    fact: 'a source that takes no HEAD is asked by GET, and its tags move',
    sources: ['authority'],
    run: async ({ first, serve, get }) => {
      for (const code of [405, 403]) {
        first.clearRules();
        first.rule((request) => (request.method === 'HEAD' && isTag(request) ? status(code)() : undefined));
        for (const image of [serve([100]), serve([200])]) {
          tag(first, image);
          const answer = await get('manifests/v1');
          await requireExact(Promise.resolve(answer), image.manifest);
          expect(answer.headers.get('warning')).toBeNull();
        }
      }
    },
  },
  {
    id: 'F51',
    name: 'offline-partial',
    fact: 'with every source down, what is here is served and a layer that is not is a 503 that says so, never an empty 200',
    sources: ['digest-only', 'authority'],
    run: async ({ first, second, serve, get }) => {
      const image = serve([1000, 2000]);
      const [here, absent] = [layerOf(image, 0), layerOf(image, 1)];
      await requireExact(get('manifests/v1'), image.manifest);
      await requireExact(get(`blobs/${here.digest}`), here);
      await first.down();
      await second.down();
      const stale = await get('manifests/v1');
      expect([stale.digest, stale.headers.get('warning') !== null]).toEqual([image.manifest.digest, true]);
      await requireExact(get(`blobs/${here.digest}`), here);
      const answer = await get(`blobs/${absent.digest}`);
      expect([answer.status, answer.code]).toEqual([503, 'UNAVAILABLE']);
      for (const source of [first, second]) expect(answer.message).toContain(source.host);
    },
  },
  {
    id: 'F44',
    name: 'poisoned-tag',
    fact: 'a lone novel digest loses against those who agree, it is reported, and its source is not believed alone',
    sources: ['digest-only', 'digest-only', 'digest-only', 'authority'],
    run: async ({ first, second, third, sources, server, get }) => {
      const [honest, poison] = [imageOf([100]), imageOf([666])];
      for (const source of [second, third]) tag(source, honest);
      tag(first, poison);
      await sources[3]?.down();
      await requireExact(get('manifests/v1'), honest.manifest);
      await until(() => server.logs().includes('mirror.tag-poisoned'));
      for (const source of [second, third]) await source.down();
      const alone = await get('manifests/v1');
      expect([alone.status, alone.digest]).toEqual([200, honest.manifest.digest]);
    },
  },
];
