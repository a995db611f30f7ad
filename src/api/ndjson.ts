// An answer of one JSON value a line, sent as the values come: for what takes long.

/** As a `string`: the router would take the literal for one JSON value. */
export const ndjsonType: string = 'application/x-ndjson';

/** Ends the generator when the client leaves; `stop` is aborted then. A failure cuts the connection off, so that no part passes for the whole. */
export function ndjsonResponse(values: AsyncGenerator<unknown>, stop: AbortController): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const next = await values.next();
        if (next.done === true) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(next.value)}\n`));
      },
      cancel: async () => {
        stop.abort(new DOMException('the client left', 'AbortError'));
        await values.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': ndjsonType } });
}
