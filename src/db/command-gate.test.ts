import { expect, test } from 'bun:test';
import { OciError } from '../oci/errors.ts';
import { createCommandGate } from './command-gate.ts';

const mebibyte = 1024 * 1024;

async function codeOf(task: Promise<unknown>): Promise<string> {
  return task.then(
    () => 'done',
    (error) => (error instanceof OciError ? error.code : String(error)),
  );
}

test('a command gives its result or its error', async () => {
  const gate = createCommandGate();
  expect(await gate.run({}, async () => 7)).toBe(7);
  expect(await codeOf(gate.run({}, () => Promise.reject(new OciError('CONFLICT', 'taken'))))).toBe('CONFLICT');
});

test('commands beyond the limit are refused without being run, until others have ended', async () => {
  const gate = createCommandGate();
  const end = Promise.withResolvers<void>();
  const waiting = Array.from({ length: 10_000 }, () => gate.run({}, () => end.promise));
  let hasRun = false;
  const late = gate.run({}, async () => {
    hasRun = true;
  });
  expect(await codeOf(late)).toBe('UNAVAILABLE');
  expect(hasRun).toBe(false);
  end.resolve();
  await Promise.all(waiting);
  expect(await codeOf(gate.run({}, async () => undefined))).toBe('done');
});

test('the bytes of waiting manifests are limited; a single one always passes', async () => {
  const gate = createCommandGate();
  const end = Promise.withResolvers<void>();
  const large = { bytes: new Uint8Array(60 * mebibyte) };
  const waiting = [gate.run(large, () => end.promise), gate.run(large, () => end.promise)];
  expect(await codeOf(gate.run(large, () => end.promise))).toBe('UNAVAILABLE');
  expect(await codeOf(gate.run({ bytes: new Uint8Array(mebibyte) }, async () => undefined))).toBe('done');
  end.resolve();
  await Promise.all(waiting);
  expect(await codeOf(gate.run({ bytes: new Uint8Array(200 * mebibyte) }, async () => undefined))).toBe('done');
});

test('closing waits for what is under way, failed or not, and refuses the rest', async () => {
  const gate = createCommandGate();
  const end = Promise.withResolvers<void>();
  const underWay = [gate.run({}, () => end.promise), codeOf(gate.run({}, () => end.promise.then(() => Promise.reject(new Error('late')))))];
  let isClosed = false;
  const closed = gate.close().then(() => {
    isClosed = true;
  });
  expect(await codeOf(gate.run({}, async () => undefined))).toBe('UNAVAILABLE');
  expect(isClosed).toBe(false);
  end.resolve();
  await Promise.all([...underWay, closed]);
  await createCommandGate().close();
});
