import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createLog, fieldMaxLength, type LogFields, structureMaxLength } from './log.ts';
import { Secret } from './secret.ts';

function createRecorder() {
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line), now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) });
  return { log, lines };
}

/** The one line written, read as JSON. */
function written(fields: LogFields): Record<string, unknown> {
  const { log, lines } = createRecorder();
  log.info('event', fields);
  expect(lines.length).toBe(1);
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
}

test('writes one JSON object per line: time, level, event, then the fields', () => {
  const { log, lines } = createRecorder();
  log.info('started', { port: 5000 });
  log.warn('slow', { ms: 1.5, ok: false, nothing: null, list: [1, 'a'] });
  log.error('failed');
  expect(lines).toEqual([
    '{"time":"2026-01-02T03:04:05.006Z","level":"info","event":"started","port":5000}\n',
    '{"time":"2026-01-02T03:04:05.006Z","level":"warn","event":"slow","ms":1.5,"ok":false,"nothing":null,"list":[1,"a"]}\n',
    '{"time":"2026-01-02T03:04:05.006Z","level":"error","event":"failed"}\n',
  ]);
});

test('with() adds its fields to every line, a line may replace them, and the first log is left as it was', () => {
  const { log, lines } = createRecorder();
  const inner = log.with({ room: 'http', id: 1 }).with({ id: 2 });
  inner.info('a', { x: 1 });
  inner.info('b', { room: 'jobs' });
  log.info('c');
  expect(lines.map((line) => Object.entries(JSON.parse(line)).slice(2))).toEqual([
    [
      ['event', 'a'],
      ['room', 'http'],
      ['id', 2],
      ['x', 1],
    ],
    [
      ['event', 'b'],
      ['room', 'jobs'],
      ['id', 2],
    ],
    [['event', 'c']],
  ]);
});

test('no field replaces time, level or event', () => {
  const { log, lines } = createRecorder();
  log.with({ level: 'info', time: 'x' }).error('real', { event: 'forged', time: 'y', level: 'debug' });
  expect(lines[0]).toBe('{"time":"2026-01-02T03:04:05.006Z","level":"error","event":"real"}\n');
});

describe('cutting', () => {
  test('a text keeps its first 1024 characters', () => {
    const cut = `${'x'.repeat(fieldMaxLength)}…`;
    expect(written({ short: 'x'.repeat(fieldMaxLength), long: 'x'.repeat(1_000_000) })).toMatchObject({
      short: 'x'.repeat(fieldMaxLength),
      long: cut,
    });
    expect(written({ in: { list: ['x'.repeat(5000)] } })).toMatchObject({ in: { list: [cut] } });
    expect(written({ error: new Error('x'.repeat(5000)) })).toMatchObject({ error: { message: cut } });
  });

  test('an object or a list of more than 4096 characters keeps the beginning of its JSON', () => {
    const list = Array.from({ length: 10_000 }, (_, at) => at);
    expect(written({ list })['list']).toBe(`${JSON.stringify(list).slice(0, fieldMaxLength)}…`);
    const small = Array.from({ length: 100 }, (_, at) => at);
    expect(JSON.stringify(small).length).toBeLessThan(structureMaxLength);
    expect(written({ list: small })['list']).toEqual(small);
  });

  test('the event and the names of fields are cut too', () => {
    const { log, lines } = createRecorder();
    log.info('e'.repeat(100_000), { ['n'.repeat(100_000)]: 1 });
    expect((lines[0] ?? '').length).toBeLessThan(3 * fieldMaxLength);
  });
});

describe('hiding', () => {
  test('a Secret is written as stars wherever it stands', () => {
    const secret = new Secret('hunter2');
    const line = JSON.stringify(written({ secret, deep: { list: [secret] }, error: new Error(`with ${secret}`, { cause: secret }) }));
    expect(line).not.toContain('hunter2');
    expect(line.match(/\*\*\*/g)?.length).toBe(4);
  });

  test('SEC-E13, SEC-E08: line breaks, terminal escapes and C1 controls never reach the line raw', () => {
    const { log, lines } = createRecorder();
    const hostile = 'a\nb\r\u001b[31m\u0000\u007f\u009b31m\u2028\u2029"}\n{"level":"error"';
    log.info(hostile, { [hostile]: hostile });
    const line = lines[0] ?? '';
    expect(line.endsWith('\n')).toBe(true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    expect(JSON.parse(line)).toMatchObject({ event: hostile, [hostile]: hostile });
  });
});

describe('values', () => {
  test('an error gives its name, code, message and the beginning of its cause, and no stack', () => {
    const cause = new TypeError('c'.repeat(1000));
    const error = Object.assign(new RangeError('broken', { cause }), { code: 'ENOSPC', extra: 'x' });
    expect(written({ error })['error']).toEqual({
      name: 'RangeError',
      code: 'ENOSPC',
      message: 'broken',
      cause: `TypeError: ${'c'.repeat(189)}`,
    });
    expect(written({ error: new Error('plain') })['error']).toEqual({ name: 'Error', message: 'plain' });
  });

  test('what JSON leaves out is left out, and large numbers are written as text', () => {
    expect(Object.keys(written({ a: undefined, b: () => 1, c: Symbol('x') }))).toEqual(['time', 'level', 'event']);
    expect(written({ big: 2n ** 70n, in: [1n], nan: Number.NaN })).toMatchObject({ big: '1180591620717411303424', in: ['1'], nan: null });
  });

  test('a value that cannot be written costs itself alone', () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const thrower = {
      toJSON: () => {
        throw new Error('no');
      },
    };
    const fields = written({ circle, thrower, error: new Error('x', { cause: Object.create(null) }), fine: 1 });
    const notice = '(cannot be written as JSON)';
    expect(fields).toMatchObject({ circle: notice, thrower: notice, error: notice, fine: 1 });
  });

  test('any fields give one line of JSON that can be read', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ unit: 'binary' }),
          fc.anything({ withBigInt: true, withMap: true, withDate: true, withNullPrototype: true }),
        ),
        (fields) => {
          const { log, lines } = createRecorder();
          log.info('event', fields);
          expect(lines.length).toBe(1);
          expect((lines[0] ?? '').indexOf('\n')).toBe((lines[0] ?? '').length - 1);
          expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'info', event: 'event' });
        },
      ),
      { numRuns: 300 },
    );
  });
});
