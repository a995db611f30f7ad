// Bodies of the admin API: what is taken, what is refused, and with which code.

import { expect, test } from 'bun:test';
import { OciError } from '../oci/errors.ts';
import { bodyMaxBytes, readJsonText } from './json-body.ts';

const url = 'http://server/api/v2.0/projects';

function post(body: RequestInit['body'], contentType = 'application/json'): Request {
  return new Request(url, { method: 'POST', headers: { 'content-type': contentType }, body: body ?? null });
}

async function codeOf(request: Request): Promise<string> {
  const error = await readJsonText(request).catch((thrown: unknown) => thrown);
  return error instanceof OciError ? error.code : 'none';
}

test('gives the text of a JSON body, whatever its parameters', async () => {
  for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset=UTF-8', 'application/json ; x=y']) {
    expect(await readJsonText(post('{"name":"ä"}', type))).toBe('{"name":"ä"}');
  }
});

test('refuses every other content type, and what a plain HTML form can send', async () => {
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/json-patch',
    'text/plain; application/json',
    '',
  ]) {
    expect(await codeOf(post('{}', type))).toBe('BAD_REQUEST');
  }
});

test('refuses an empty body, broken JSON and broken UTF-8', async () => {
  expect(await codeOf(post(null))).toBe('BAD_REQUEST');
  expect(await codeOf(post(''))).toBe('BAD_REQUEST');
  expect(await codeOf(post('{"name":'))).toBe('BAD_REQUEST');
  expect(await codeOf(post(new Uint8Array([0x22, 0xff, 0x22])))).toBe('BAD_REQUEST');
});

test('takes a body of the largest size and refuses one byte more, announced or not', async () => {
  const full = JSON.stringify('x'.repeat(bodyMaxBytes - 2));
  expect(await readJsonText(post(full))).toHaveLength(bodyMaxBytes);
  expect(await codeOf(post(`${full} `))).toBe('BODY_TOO_LARGE');
  expect(await codeOf(post(endless()))).toBe('BODY_TOO_LARGE');
  const announced = new Request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': String(bodyMaxBytes + 1) },
  });
  expect(await codeOf(announced)).toBe('BODY_TOO_LARGE');
});

/** Never ends: a reader that wants all of it before it counts would hang. */
function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(4096).fill(0x20)) });
}
