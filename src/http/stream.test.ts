import { describe, expect, test } from 'bun:test';
import { streamOf } from './stream.ts';

const neverAborted = new AbortController().signal;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A source that notes what became of it. */
function source(chunks: readonly string[], failure?: Error) {
  const seen = { asked: 0, ended: false, aborted: false };
  const start = async function* (signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      for (const chunk of chunks) {
        seen.asked++;
        yield text(chunk);
      }
      if (failure !== undefined) throw failure;
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          seen.aborted = true;
          reject(signal.reason);
        };
        if (signal.aborted) onAbort();
        else signal.addEventListener('abort', onAbort);
        if (chunks.at(-1) === 'last') resolve();
      });
    } finally {
      seen.ended = true;
    }
  };
  return { start, seen };
}

describe('a generator as a body', () => {
  test('gives all its bytes', async () => {
    const { start, seen } = source(['a', 'b', 'last']);
    expect(await new Response(streamOf(start, neverAborted)).text()).toBe('ablast');
    expect(seen.ended).toBe(true);
  });

  test('is asked for no more than the client takes', async () => {
    const { start, seen } = source(['a', 'b', 'c', 'last']);
    const reader = streamOf(start, neverAborted).getReader();
    await reader.read();
    await Promise.resolve();
    expect(seen.asked).toBe(1);
    await reader.cancel();
    expect(seen.ended).toBe(true);
  });

  test('that fails breaks off: no client takes the part for the whole', async () => {
    const { start } = source(['a'], new Error('the source broke off'));
    await expect(new Response(streamOf(start, neverAborted)).text()).rejects.toThrow('the source broke off');
  });

  test('ends when the client leaves while it waits', async () => {
    const { start, seen } = source(['a']);
    const client = new AbortController();
    const reader = streamOf(start, client.signal).getReader();
    await reader.read();
    const next = reader.read();
    client.abort();
    await expect(next).rejects.toThrow('the client left');
    expect(seen).toMatchObject({ aborted: true, ended: true });
  });

  test('of a client that has left already gives nothing', async () => {
    const { start } = source([]);
    await expect(streamOf(start, AbortSignal.abort()).getReader().read()).rejects.toThrow('the client left');
  });

  test('that is cancelled while it waits ends at once', async () => {
    const { start, seen } = source(['a']);
    const reader = streamOf(start, neverAborted).getReader();
    await reader.read();
    const waiting = reader.read();
    await new Promise((resolve) => setImmediate(resolve));
    await reader.cancel();
    await waiting;
    expect(seen).toMatchObject({ aborted: true, ended: true });
  });
});
