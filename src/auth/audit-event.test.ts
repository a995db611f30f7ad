import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { Secret } from '../lib/secret.ts';
import { type AuditEvent, rowMaxBytes, rowOf } from './audit-event.ts';

const event: AuditEvent = {
  atMs: 1,
  actor: { kind: 'user', id: '1', name: 'admin', method: 'password' },
  operation: 'update',
  resourceType: 'robot',
  resource: 'robot$ci',
  outcome: 'success',
};
const detailOf = (more: Partial<AuditEvent>) => JSON.parse(rowOf({ ...event, ...more }).detail ?? 'null');

test('an event without values has no detail, one with them keeps them', () => {
  expect(rowOf(event)).toMatchObject({ detail: null, count: 1, sinceMs: null, address: null, projectId: null });
  expect(detailOf({ before: { name: 'a', disabled: false }, after: { name: 'b', labels: [1, 'x', null] } })).toEqual({
    before: { name: 'a', disabled: false },
    after: { name: 'b', labels: [1, 'x', null] },
  });
});

test('secrets print *** by their type and by their name, at any depth; yes and no stay', () => {
  const after = {
    note: new Secret('canary-1'),
    client_secret: 'canary-2',
    settings: { bindPassword: 'canary-3', verify_cert: true, apiKey: 'canary-4', credentials: [{ password: 'canary-5' }] },
    hasPassword: true,
    password: null,
    list: [new Secret('canary-6')],
    map: new Map([['x', new Secret('canary-7')]]),
    authorization: { basic: 'canary-8' },
  };
  const text = JSON.stringify(detailOf({ before: after, after }));
  expect(text).not.toContain('canary');
  expect(detailOf({ after }).after).toMatchObject({ note: '***', hasPassword: true, password: null, settings: { verify_cert: true } });
});

test('whatever is given, a row has at most 8 KiB, no control characters and is valid JSON', () => {
  const big = fc.string({ unit: 'binary', maxLength: 3000 });
  fc.assert(
    fc.property(fc.anything({ maxDepth: 8, withBigInt: true, withDate: true, withMap: true, withSet: true }), big, (value, text) => {
      const row = rowOf({
        ...event,
        actor: { kind: 'user', id: text, name: text, method: text },
        address: text,
        userAgent: text,
        requestId: text,
        operation: text,
        resourceType: text,
        resource: text,
        before: value,
        after: { value, text },
        reason: text,
      });
      expect(Buffer.byteLength(JSON.stringify(Object.values(row)))).toBeLessThanOrEqual(rowMaxBytes * 2);
      const bytes = Object.values(row).reduce<number>((sum, item) => sum + Buffer.byteLength(String(item ?? '')), 0);
      expect(bytes).toBeLessThanOrEqual(rowMaxBytes);
      expect(Object.values(row).join('')).not.toMatch(/\p{Cc}/u);
      expect(() => JSON.parse(row.detail ?? 'null')).not.toThrow();
    }),
    { numRuns: 200 },
  );
});

test('what was cut is marked, and the reason survives', () => {
  expect(detailOf({ after: { text: 'x'.repeat(2000) } }).truncated).toBe(true);
  const many = Object.fromEntries(Array.from({ length: 49 }, (_, index) => [`field${index}`, 'y'.repeat(1000)]));
  expect(detailOf({ after: many })).toMatchObject({ truncated: true, after: { field0: expect.stringContaining('yyy') } });
  const wide = Array.from({ length: 50 }, () => Array.from({ length: 50 }, () => 'z'.repeat(60)));
  expect(detailOf({ after: wide, reason: 'DENIED: no' })).toEqual({ reason: 'DENIED: no', truncated: true });
  expect(rowOf({ ...event, resource: 'r'.repeat(2000) }).resource).toEndWith('…');
});
