// Upload sessions against a model that is nothing but a text: whatever clients do in whatever order, a session holds exactly the bytes that
// count, and the blob at the end is those bytes.

import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { digestOf } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { bodyOf, brokenBody, openUploadsFixture } from './uploads-fixture.ts';

const runs = process.env['BREAKWATER_FULL'] === '1' ? 500 : 40;
const blobMaxBytes = 40;

const text = fc.string({ minLength: 0, maxLength: 12, unit: fc.constantFrom('a', 'b', 'c') });
const step = fc.oneof(
  fc.record({ kind: fc.constant('chunk' as const), text, at: fc.integer({ min: -2, max: 2 }), miscount: fc.integer({ min: -1, max: 1 }) }),
  fc.record({ kind: fc.constant('stream' as const), text }),
  fc.record({ kind: fc.constant('leaving' as const), text }),
  fc.record({ kind: fc.constant('wrong finish' as const), text, algorithm: fc.constantFrom('sha256' as const, 'sha512' as const) }),
  fc.record({ kind: fc.constant('full disk' as const), text }),
  fc.record({ kind: fc.constant('restart' as const) }),
  fc.record({ kind: fc.constant('status' as const) }),
);

test('a session holds exactly the bytes that count, after any sequence of requests', async () => {
  const fixture = await openUploadsFixture({
    blobMaxBytes,
    uploadsTotal: 1_000_000,
    uploadsPerPrincipal: 1_000_000,
    uploadsPerRepository: 1e6,
  });
  const access = fixture.push('team/app');
  const refused = async (outcome: Promise<unknown>): Promise<boolean> =>
    outcome.then(
      () => false,
      (error: unknown) => {
        if (error instanceof OciError || (error instanceof DOMException && error.name === 'AbortError')) return true;
        throw error;
      },
    );
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 12 }),
        text,
        fc.constantFrom('sha256' as const, 'sha512' as const),
        async (steps, rest, algorithm) => {
          const id = await fixture.uploads.start(access, 'sha256');
          let held = '';
          for (const next of steps) {
            const fits = 'text' in next && held.length + next.text.length <= blobMaxBytes;
            switch (next.kind) {
              case 'chunk': {
                const start = held.length + next.at;
                const end = start + next.text.length + next.miscount;
                if (start < 0 || end <= start) break;
                const isRight = next.at === 0 && next.miscount === 0 && fits;
                expect(await refused(fixture.uploads.append(access, id, bodyOf(next.text), { start, end }))).toBe(!isRight);
                if (isRight) held += next.text;
                break;
              }
              case 'stream':
                expect(await refused(fixture.uploads.append(access, id, bodyOf(next.text), undefined))).toBe(!fits);
                if (fits) held += next.text;
                break;
              case 'leaving':
                expect(await refused(fixture.uploads.append(access, id, brokenBody(next.text), undefined))).toBe(true);
                if (fits) held += next.text;
                break;
              case 'wrong finish': {
                const digest = digestOf(new TextEncoder().encode('other'), next.algorithm);
                expect(await refused(fixture.uploads.finish(access, id, digest, bodyOf(next.text), undefined))).toBe(true);
                break;
              }
              case 'full disk':
                fixture.faults.append = 'full';
                expect(await refused(fixture.uploads.append(access, id, bodyOf('x', next.text), undefined))).toBe(true);
                delete fixture.faults.append;
                break;
              case 'restart':
                await fixture.restart();
                break;
              case 'status':
                expect(await fixture.uploads.status(access, id)).toBe(held.length);
                break;
            }
          }
          expect(await fixture.uploads.status(access, id)).toBe(held.length);
          const whole = (held + rest).slice(0, blobMaxBytes);
          const digest = digestOf(new TextEncoder().encode(whole), algorithm);
          await fixture.uploads.finish(access, id, digest, bodyOf(whole.slice(held.length)), undefined);
          expect(await refused(fixture.uploads.status(access, id))).toBe(true);
          expect(fixture.staged()).toEqual([]);
          expect(fixture.handles()).toBe(0);
        },
      ),
      { numRuns: runs },
    );
  } finally {
    await fixture.close();
  }
}, 120_000);
