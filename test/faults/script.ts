// Random fault scripts: what each of several sources does to each of its requests, as data that fast-check can shrink and print.

import fc from 'fast-check';
import { type Answer, type FakeSource, html, json, type Rule } from '../mirror/fake-source.ts';
import { imageOf, imageType } from '../mirror/images.ts';
import type { Trust } from './row.ts';
import { asGzip } from './upstream.ts';

/** `at` is a share of the body, from 0 to 1. */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'status'; readonly code: number }
  | { readonly kind: 'page' | 'error-200' | 'stall' | 'reset' | 'close' | 'loop' | 'other-manifest' | 'no-body' }
  | { readonly kind: 'cut'; readonly at: number; readonly by: 'end' | 'reset' | 'stall'; readonly isChunked: boolean }
  | { readonly kind: 'flip' | 'short'; readonly at: number }
  | { readonly kind: 'long' | 'shifted-range' | 'zeros' }
  /** No faults at all, only odd: an honest source may do these. */
  | { readonly kind: 'chunked' | 'ignores-range' | 'gzip' };

export interface SourceScript {
  readonly trust: Trust;
  /** For one request after the other, over and over. */
  readonly plan: readonly Fault[];
}

export interface Script {
  readonly sources: readonly SourceScript[];
  readonly isLarge: boolean;
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const oddity = fc.constantFrom<Fault>({ kind: 'none' }, { kind: 'none' }, { kind: 'chunked' }, { kind: 'ignores-range' }, { kind: 'gzip' });
const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 2, arbitrary: oddity },
  {
    weight: 2,
    arbitrary: fc.constantFrom(400, 401, 403, 404, 412, 416, 429, 500, 503).map((code): Fault => ({ kind: 'status', code })),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(
        'page' as const,
        'error-200' as const,
        'reset' as const,
        'close' as const,
        'loop' as const,
        'other-manifest' as const,
        'no-body' as const,
      )
      .map((kind): Fault => ({ kind })),
  },
  { weight: 1, arbitrary: fc.constant<Fault>({ kind: 'stall' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('cut' as const),
      at: share,
      by: fc.constantFrom('end', 'end', 'reset', 'reset', 'stall'),
      isChunked: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('flip', 'short'), at: share }) },
  { weight: 2, arbitrary: fc.constantFrom('long' as const, 'shifted-range' as const, 'zeros' as const).map((kind): Fault => ({ kind })) },
);

const faultySource: fc.Arbitrary<SourceScript> = fc.record({
  trust: fc.constantFrom<Trust>('authority', 'digest-only'),
  plan: fc.array(fault, { minLength: 1, maxLength: 4 }),
});
const honestSource: fc.Arbitrary<SourceScript> = fc.record({
  trust: fc.constantFrom<Trust>('authority', 'digest-only'),
  plan: fc.array(oddity, { minLength: 1, maxLength: 2 }),
});
const liar: fc.Arbitrary<SourceScript> = fc.record({
  trust: fc.constantFrom<Trust>('authority', 'digest-only'),
  plan: fc.array(fc.record({ kind: fc.constant('flip' as const), at: share }), { minLength: 1, maxLength: 2 }),
});

/** One to five sources: any, with an honest one somewhere, or with a liar ranked first and an honest one behind it. */
export const scripts: fc.Arbitrary<Script> = fc.record({
  isLarge: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  sources: fc.oneof(
    fc.array(faultySource, { minLength: 1, maxLength: 5 }),
    fc
      .tuple(fc.array(faultySource, { maxLength: 4 }), honestSource, fc.nat(4))
      .map(([others, honest, place]) => [...others.slice(0, place), honest, ...others.slice(place)]),
    fc.tuple(liar, fc.array(faultySource, { maxLength: 3 }), honestSource).map(([first, others, honest]) => [first, ...others, honest]),
  ),
});

/** For one source after the other, good and bad in turns, without silence: it would be the soak that sleeps. */
export function soakSources(places: number): fc.Arbitrary<readonly SourceScript[]> {
  const quick = fault.filter((one) => one.kind !== 'stall' && !(one.kind === 'cut' && one.by === 'stall'));
  const plan = fc.array(fc.oneof(quick, oddity, oddity), { minLength: 1, maxLength: 5 });
  return fc.array(
    plan.map((faults): SourceScript => ({ trust: 'digest-only', plan: faults })),
    { minLength: places, maxLength: places },
  );
}

export function isHonest(source: SourceScript): boolean {
  return source.plan.every(({ kind }) => kind === 'none' || kind === 'chunked' || kind === 'ignores-range' || kind === 'gzip');
}

const otherManifest = imageOf([10]).manifest;

/** The script as a rule; `isOn` says whether it holds already. `wholeOf` gives the blob a path ends with. */
export function follow(
  script: SourceScript,
  how: { readonly isOn: () => boolean; readonly wholeOf: (path: string) => Buffer | undefined },
): Rule {
  let turn = 0;
  return (request, answer) => {
    const fault = how.isOn() ? script.plan[turn++ % script.plan.length] : undefined;
    return fault === undefined
      ? undefined
      : play(fault, { answer, isBlob: request.path.includes('/blobs/'), whole: how.wholeOf(request.path) });
  };
}

export function obey(source: FakeSource, script: SourceScript, how: Parameters<typeof follow>[1]): void {
  source.rule(follow(script, how));
}

function play(
  fault: Fault,
  on: { readonly answer: Answer; readonly isBlob: boolean; readonly whole: Buffer | undefined },
): Answer | undefined {
  const { answer, isBlob } = on;
  const { length } = answer.body;
  switch (fault.kind) {
    case 'none':
      return undefined;
    case 'status':
      return { ...json(fault.code, { errors: [{ code: 'UNKNOWN' }] }) };
    case 'page':
      return html();
    case 'error-200':
      return json(200, { errors: [{ code: 'UNKNOWN' }] });
    case 'stall':
      return { ...answer, silence: 'stall' };
    case 'reset':
      return { ...answer, silence: 'reset' };
    case 'close':
      return { ...answer, silence: 'end' };
    case 'loop':
      return { status: 307, headers: { location: 'again' }, body: Buffer.alloc(0) };
    case 'other-manifest':
      return isBlob ? undefined : { status: 200, headers: { 'content-type': imageType }, body: otherManifest.bytes };
    case 'no-body':
      return { ...answer, body: Buffer.alloc(0) };
    case 'cut':
      return { ...answer, isChunked: fault.isChunked, breakAt: { bytes: Math.floor(length * fault.at), by: fault.by } };
    case 'flip': {
      const body = Buffer.from(answer.body);
      const place = Math.min(length - 1, Math.floor(length * fault.at));
      if (place >= 0) body[place] = (body[place] ?? 0) ^ 1;
      return { ...answer, body };
    }
    case 'short':
      return { ...answer, body: answer.body.subarray(0, Math.floor(length * fault.at)) };
    case 'long':
      return { ...answer, body: Buffer.concat([answer.body, Buffer.alloc(1000)]) };
    case 'zeros':
      return { ...answer, body: Buffer.alloc(length) };
    case 'shifted-range': {
      const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers['content-range'] ?? '');
      if (range === null) return undefined;
      const from = Math.max(0, Number(range[1]) - 1);
      return { ...answer, headers: { ...answer.headers, 'content-range': `bytes ${from}-${range[2]}/${range[3]}` } };
    }
    case 'chunked':
      return { ...answer, isChunked: true };
    case 'ignores-range':
      return on.whole === undefined || answer.status !== 206 ? undefined : { status: 200, headers: {}, body: on.whole };
    case 'gzip':
      return isBlob ? undefined : asGzip(answer);
  }
}
