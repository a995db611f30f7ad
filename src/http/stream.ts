// A generator of bytes as a response body: pulled by the client's pace; ended by an error, it resets the connection, so that no client
// takes a part for the whole; left by the client, it ends the generator.

export function streamOf(
  start: (signal: AbortSignal) => AsyncGenerator<Uint8Array>,
  clientSignal: AbortSignal,
): ReadableStream<Uint8Array> {
  const stopped = new AbortController();
  const stop = (): void => stopped.abort(new DOMException('the client left', 'AbortError'));
  if (clientSignal.aborted) stop();
  else clientSignal.addEventListener('abort', stop, { once: true });
  const chunks = start(stopped.signal);
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await chunks.next();
        if (next.done === true) {
          clientSignal.removeEventListener('abort', stop);
          controller.close();
        } else {
          controller.enqueue(next.value);
        }
      },
      cancel: async () => {
        stop();
        await chunks.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
