// Bytes are freed where nobody else can look at their buffer.

import { expect, test } from 'bun:test';
import { freeBytes } from './spent.ts';

test('bytes that fill their buffer are gone', () => {
  const bytes = new Uint8Array(1000);
  freeBytes(bytes);
  expect(bytes.byteLength).toBe(0);
  expect(bytes.buffer.byteLength).toBe(0);
  freeBytes(bytes);
});

test('a part of a buffer stays, and so do bytes shared with another thread', () => {
  const whole = new Uint8Array(1000);
  const shared = new Uint8Array(new SharedArrayBuffer(10));
  freeBytes(whole.subarray(1));
  freeBytes(whole.subarray(0, 999));
  freeBytes(shared);
  expect(whole.byteLength).toBe(1000);
  expect(shared.byteLength).toBe(10);
});
