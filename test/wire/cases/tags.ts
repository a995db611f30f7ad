// Listing tags: order, pages, and the ends of the list; and the catalog of repositories, which is paged alike.
// Implements distribution-spec v1.1 "Listing Tags" (end-8a, end-8b); the catalog is Docker Registry HTTP API V2 "Listing Repositories".

import { nextLink, pushBlob, pushImage, pushManyTags, pushTags, resolveReference, walkPages } from '../actions.ts';
import type { WireResponse } from '../client.ts';
import { randomBlob } from '../content.ts';
import { check, expectError, expectJson, expectSame, expectStatus, expectStrings, requireHeader } from '../expect.ts';
import { type CaseContext, spec, type WireCase } from '../wire-case.ts';

const listing = spec('Listing Tags', 'end-8a');
const paging = spec('Listing Tags (n, last, Link)', 'end-8b');
const catalog = 'Docker Registry HTTP API V2 "Listing Repositories"';
const five = ['a', 'b', 'c', 'd', 'e'];

export const tagCases: readonly WireCase[] = [
  {
    id: 'tags.list-names-repository-and-tags',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      await pushTags(context, ['one', 'two']);
      const response = await list(context);
      expectStatus(response, 200);
      check(/^application\/json\b/.test(response.header('content-type') ?? ''), `${response.title}: not JSON`);
      check(expectJson(response)['name'] === context.repository, `${response.title}: name is ${String(expectJson(response)['name'])}`);
      expectSame(response.title, expectStrings(response, 'tags').toSorted(), ['one', 'two']);
    },
  },
  {
    id: 'tags.are-in-lexical-order',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      const tags = ['b', 'a', '10', '9', '_x', 'B', 'a.1', 'a-1', 'a_1', 'aa'];
      await pushTags(context, tags);
      const listed = expectStrings(await list(context), 'tags');
      const bytewise = tags.toSorted();
      const caseless = tags.toSorted((one, other) => compare(one.toLowerCase(), other.toLowerCase()) || compare(one, other));
      const same = [bytewise, caseless].some((order) => order.join() === listed.join());
      check(same, `[${listed.join(', ')}] is neither in byte order nor in caseless order`);
    },
  },
  {
    id: 'tags.n-limits-the-page',
    level: 'MUST',
    clause: paging,
    run: async (context) => {
      await pushTags(context, five);
      const response = await list(context, '?n=2');
      expectStatus(response, 200);
      expectSame(response.title, expectStrings(response, 'tags'), ['a', 'b']);
    },
  },
  {
    id: 'tags.cut-page-has-a-next-link',
    level: 'PROMISE',
    clause: paging,
    run: async (context) => {
      await pushTags(context, five);
      const response = await list(context, '?n=2');
      requireHeader(response, 'Link');
      const next = nextLink(response);
      check(next !== undefined, `${response.title}: no next link`);
      const page = await context.send({ method: 'GET', path: resolveReference(`/v2/${context.repository}/tags/list`, next) });
      expectSame(page.title, expectStrings(page, 'tags'), ['c', 'd']);
    },
  },
  {
    id: 'tags.pages-hold-each-tag-once',
    level: 'MUST',
    clause: paging,
    run: async (context) => {
      const tags = Array.from({ length: 11 }, (_, index) => `v${index + 10}`);
      await pushTags(context, tags);
      const pages = await walkPages(context, { path: `/v2/${context.repository}/tags/list?n=3`, member: 'tags' });
      expectSame('all pages', pages.flat(), tags);
      check(pages.length >= 4, `${pages.length} pages of at most 3 tags for 11 tags`);
    },
  },
  {
    id: 'tags.long-list-is-whole-at-the-end-of-its-links',
    level: 'MUST',
    clause: paging,
    run: async (context) => {
      const tags = Array.from({ length: 250 }, (_, index) => `t${index + 1000}`);
      await pushManyTags(context, tags);
      const pages = await walkPages(context, { path: `/v2/${context.repository}/tags/list`, member: 'tags' });
      expectSame('all pages', pages.flat(), tags);
    },
  },
  {
    id: 'tags.last-page-has-no-link',
    level: 'SHOULD',
    clause: paging,
    run: async (context) => {
      await pushTags(context, five);
      for (const query of ['', '?n=5', '?n=6', '?n=2&last=c']) {
        const response = await list(context, query);
        expectStatus(response, 200);
        check(response.header('link') === undefined, `${response.title}: a Link although nothing follows`);
      }
    },
  },
  {
    id: 'tags.zero-gives-an-empty-list-without-link',
    level: 'MUST',
    clause: paging,
    run: async (context) => {
      await pushTags(context, ['a']);
      const response = await list(context, '?n=0');
      expectStatus(response, 200);
      expectSame(response.title, expectStrings(response, 'tags'), []);
      check(response.header('link') === undefined, `${response.title}: a Link`);
    },
  },
  {
    id: 'tags.last-starts-after-it',
    level: 'MUST',
    clause: paging,
    run: async (context) => {
      await pushTags(context, five);
      expectSame('?last=b', expectStrings(await list(context, '?last=b'), 'tags'), ['c', 'd', 'e']);
      expectSame('?n=2&last=b', expectStrings(await list(context, '?n=2&last=b'), 'tags'), ['c', 'd']);
      expectSame('?last=e', expectStrings(await list(context, '?last=e'), 'tags'), []);
    },
  },
  {
    id: 'tags.last-need-not-exist-any-more',
    level: 'PROMISE',
    clause: paging,
    run: async (context) => {
      await pushTags(context, five);
      expectSame('?last=bb', expectStrings(await list(context, '?last=bb'), 'tags'), ['c', 'd', 'e']);
    },
  },
  {
    id: 'tags.huge-n-is-clamped',
    level: 'PROMISE',
    clause: paging,
    run: async (context) => {
      await pushTags(context, ['a', 'b']);
      const response = await list(context, '?n=1000000');
      expectStatus(response, 200);
      expectSame(response.title, expectStrings(response, 'tags').toSorted(), ['a', 'b']);
    },
  },
  {
    id: 'tags.n-that-is-no-count-answers-400',
    level: 'PROMISE',
    clause: paging,
    run: async (context) => {
      await pushTags(context, ['a']);
      for (const n of ['-1', 'many', '1.5']) expectError(await list(context, `?n=${n}`), 400);
    },
  },
  {
    id: 'tags.unknown-repository-answers-404',
    level: 'MUST',
    clause: spec('Listing Tags (endpoint table)', 'end-8a'),
    run: async (context) => {
      expectError(await list(context), 404, 'NAME_UNKNOWN');
    },
  },
  {
    id: 'tags.repository-without-tags-has-an-empty-list',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      await pushImage(context);
      const response = await list(context);
      expectStatus(response, 200);
      expectSame(response.title, expectStrings(response, 'tags'), []);
    },
  },
  {
    id: 'tags.digests-are-not-listed',
    level: 'MUST',
    clause: listing,
    run: async (context) => {
      await pushTags(context, ['v1']);
      await pushImage(context);
      expectSame('tags', expectStrings(await list(context), 'tags'), ['v1']);
    },
  },
  {
    id: 'catalog.lists-a-new-repository',
    level: 'PROMISE',
    clause: catalog,
    run: async (context) => {
      await pushImage(context, { reference: 'v1' });
      expectSame('catalog', await catalogUnder(context, context.repository), [context.repository]);
    },
  },
  {
    id: 'catalog.is-in-order-and-holds-each-once',
    level: 'PROMISE',
    clause: catalog,
    run: async (context) => {
      const repositories = ['r1', 'r2', 'r3', 'r4', 'r5'].map((suffix) => context.repositoryNamed(suffix));
      for (const repository of repositories.toReversed()) await pushImage(context, { repository, reference: 'v1' });
      expectSame('catalog', await catalogUnder(context, context.repository), repositories);
    },
  },
  {
    id: 'catalog.n-and-last-cut-the-page',
    level: 'PROMISE',
    clause: catalog,
    run: async (context) => {
      const repositories = ['r1', 'r2', 'r3'].map((suffix) => context.repositoryNamed(suffix));
      for (const repository of repositories) await pushImage(context, { repository, reference: 'v1' });
      const [first = '', second = ''] = repositories;
      const response = await context.send({ method: 'GET', path: `/v2/_catalog?n=1&last=${encodeURIComponent(first)}` });
      expectStatus(response, 200);
      expectSame(response.title, expectStrings(response, 'repositories'), [second]);
      check(nextLink(response) !== undefined, `${response.title}: no next link`);
    },
  },
  {
    id: 'catalog.n-that-is-no-count-answers-400',
    level: 'PROMISE',
    clause: catalog,
    run: async (context) => {
      await pushBlob(context, randomBlob(10));
      for (const n of ['-1', 'many']) expectError(await context.send({ method: 'GET', path: `/v2/_catalog?n=${n}` }), 400);
    },
  },
];

function list(context: CaseContext, query = ''): Promise<WireResponse> {
  return context.send({ method: 'GET', path: `/v2/${context.repository}/tags/list${query}` });
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Repositories whose name begins with `prefix`, by pages of 2 that start right before it, so that a full registry costs nothing. */
async function catalogUnder(context: CaseContext, prefix: string): Promise<string[]> {
  const before = `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) - 1)}`;
  const path = `/v2/_catalog?n=2&last=${encodeURIComponent(before)}`;
  const pages = await walkPages(context, { path, member: 'repositories', until: (name) => name > `${prefix}~` });
  return pages.flat().filter((name) => name.startsWith(prefix));
}
