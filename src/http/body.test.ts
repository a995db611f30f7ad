import { describe, expect, test } from 'bun:test';
import { OciError } from '../oci/errors.ts';
import { type BodyPace, bodyChunks, readBody } from './body.ts';

const pace: BodyPace = { windowMs: 20, minBytesPerS: 50_000 };

interface Feed {
  readonly request: Request;
  send(text: string): void;
  end(): void;
  break(error: unknown): void;
  readonly cancelled: () => boolean;
}

function feed(headers: Record<string, string> = {}): Feed {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel: () => {
      isCancelled = true;
    },
  });
  return {
    request: new Request('http://localhost/', { method: 'PUT', body, headers }),
    send: (text) => {
      if (!isCancelled) controller?.enqueue(new TextEncoder().encode(text));
    },
    end: () => controller?.close(),
    break: (error) => controller?.error(error),
    cancelled: () => isCancelled,
  };
}

const tooLarge = (): OciError => new OciError('MANIFEST_TOO_LARGE', 'too large');
const read = async (request: Request, limits: BodyPace = pace): Promise<string> => {
  let text = '';
  for await (const chunk of bodyChunks(request, limits)) text += new TextDecoder().decode(chunk);
  return text;
};

describe('the chunks of a body', () => {
  test('are all of it', async () => {
    const { request, send, end } = feed();
    send('ab');
    send('c');
    end();
    expect(await read(request)).toBe('abc');
    expect(await read(new Request('http://localhost/'))).toBe('');
  });

  test('that stop coming are given up', async () => {
    const { request, send, cancelled } = feed();
    send('abc');
    await expect(read(request)).rejects.toMatchObject({ code: 'BODY_TOO_SLOW' });
    expect(cancelled()).toBe(true);
  });

  test('that trickle are given up, although each comes in time', async () => {
    const { request, send } = feed();
    const timer = setInterval(() => send('x'), 2);
    await expect(read(request)).rejects.toMatchObject({ code: 'BODY_TOO_SLOW' });
    clearInterval(timer);
  });

  test('that move are read for as long as it takes', async () => {
    const { request, send, end } = feed();
    const sinceMs = performance.now();
    const timer = setInterval(() => {
      send('x'.repeat(5000));
      if (performance.now() - sinceMs < pace.windowMs * 6) return;
      clearInterval(timer);
      end();
    }, 2);
    expect((await read(request)).length).toBeGreaterThan(100_000);
  });

  test('are not held against the client while it waits for us', async () => {
    const { request, send, end } = feed();
    send('abc');
    let isFirst = true;
    for await (const chunk of bodyChunks(request, pace)) {
      expect(chunk.byteLength).toBe(3);
      if (!isFirst) continue;
      isFirst = false;
      // Our disk is busy for several windows.
      await new Promise((resolve) => setTimeout(resolve, pace.windowMs * 4));
      send('def');
      end();
    }
  });

  test('end with the error of a client that left', async () => {
    const { request, send, break: fail } = feed();
    send('abc');
    setTimeout(() => fail(new DOMException('The connection was closed.', 'AbortError')), 1);
    await expect(read(request)).rejects.toThrow('The connection was closed.');
  });

  test('leave the body free when the reader stops in the middle', async () => {
    const { request, send } = feed();
    send('abc');
    for await (const _chunk of bodyChunks(request, pace)) break;
    expect(request.body?.locked).toBe(false);
  });
});

describe('a small body', () => {
  test('is read whole, up to its limit', async () => {
    const { request, send, end } = feed();
    send('ab');
    send('cde');
    end();
    expect(new TextDecoder().decode(await readBody(request, 5, tooLarge))).toBe('abcde');
    expect(await readBody(new Request('http://localhost/'), 5, tooLarge)).toHaveLength(0);
  });

  test('is refused as soon as it is too large, announced or not', async () => {
    const announced = feed({ 'content-length': '6' });
    await expect(readBody(announced.request, 5, tooLarge)).rejects.toMatchObject({ code: 'MANIFEST_TOO_LARGE' });
    // This one never ends.
    const endless = feed();
    const timer = setInterval(() => endless.send('xx'), 1);
    await expect(readBody(endless.request, 5, tooLarge)).rejects.toMatchObject({ code: 'MANIFEST_TOO_LARGE' });
    clearInterval(timer);
  });

  test('with a length that is no number is counted', async () => {
    const { request, send, end } = feed({ 'content-length': 'many' });
    send('abc');
    end();
    expect(await readBody(request, 5, tooLarge)).toHaveLength(3);
  });
});
