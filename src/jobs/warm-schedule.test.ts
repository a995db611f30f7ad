import { afterEach, describe, expect, test } from 'bun:test';
import type { WarmScheduleConfig } from '../config/warm-schema.ts';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { WarmupSpec } from '../registry/warmups.ts';
import { startWarmSchedules, type WarmSchedules } from './warm-schedule.ts';

const minuteMs = 60_000;
const everyTenMinutes: WarmScheduleConfig = {
  name: 'often',
  schedule: '*/10 * * * *',
  from: { kind: 'images', images: ['a:1'] },
  concurrency: 2,
};

let schedules: WarmSchedules | undefined;
afterEach(async () => {
  await schedules?.close();
  schedules = undefined;
});

function start(config: WarmScheduleConfig = everyTenMinutes): {
  clock: FakeClock;
  started: WarmupSpec[];
  lines: string[];
  end: () => void;
  refuse: (error: Error) => void;
} {
  const clock = createFakeClock(Date.UTC(2026, 0, 1, 0, 5));
  const started: WarmupSpec[] = [];
  const lines: string[] = [];
  let ends: (() => void)[] = [];
  let refusal: Error | undefined;
  schedules = startWarmSchedules({
    schedules: [config],
    clock,
    log: createLog({ write: (line) => void lines.push(line) }),
    pins: { list: async () => [{ set: 's', image: 'p:1', platforms: 'all', repository: 'p', reference: '1', createdAtMs: 0 }] },
    warmups: {
      start: async (spec) => {
        started.push(spec);
        if (refusal !== undefined) throw refusal;
        return { id: 'x', state: 'running', spec, createdAtMs: 0, images: [] };
      },
      settled: () => new Promise((resolve) => ends.push(resolve)),
    },
  });
  return {
    clock,
    started,
    lines,
    end: () => {
      for (const finish of ends) finish();
      ends = [];
    },
    refuse: (error) => {
      refusal = error;
    },
  };
}

/** In minutes, as the sleeper goes. */
async function pass(clock: FakeClock, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    clock.advance(minuteMs);
    await Bun.sleep(0);
    await Bun.sleep(0);
  }
}

describe('a schedule', () => {
  test('begins a run at its time, not before', async () => {
    const { clock, started } = start();
    await pass(clock, 4);
    expect(started).toHaveLength(0);
    await pass(clock, 1);
    expect(started).toEqual([
      { name: 'often', images: [{ image: 'a:1', platforms: [{ os: 'linux', architecture: 'amd64' }] }], concurrency: 2 },
    ]);
  });

  test('what falls into a run is left out, and the next time counts again', async () => {
    const { clock, started, end } = start();
    await pass(clock, 42);
    expect(started).toHaveLength(1);
    end();
    await pass(clock, 2);
    expect(started).toHaveLength(1);
    await pass(clock, 2);
    expect(started).toHaveLength(2);
  });

  test('times that a jump of the clock skipped are not made up for', async () => {
    const { clock, started, end } = start();
    clock.advance(24 * 60 * minuteMs);
    await pass(clock, 1);
    expect(started).toHaveLength(1);
    end();
    await pass(clock, 11);
    expect(started).toHaveLength(2);
  });

  test('a run that is still active, and one that cannot begin, leave the schedule standing', async () => {
    const { clock, started, lines, refuse } = start();
    refuse(new OciError('CONFLICT', 'active already'));
    await pass(clock, 5);
    refuse(new Error('broken'));
    await pass(clock, 10);
    expect(started).toHaveLength(2);
    expect(lines.join('')).toContain('warmup.skipped');
    expect(lines.join('')).toContain('warmup.schedule-failed');
  });

  test('a pinned set is read anew, each image for its own platforms', async () => {
    const { clock, started } = start({ ...everyTenMinutes, from: { kind: 'pins', set: 's' } });
    await pass(clock, 5);
    expect(started[0]?.images).toEqual([{ image: 'p:1', platforms: 'all' }]);
  });

  test('closing ends the wait for a time and for a run', async () => {
    const { clock, started } = start();
    await pass(clock, 5);
    expect(started).toHaveLength(1);
    await schedules?.close();
    await pass(clock, 30);
    expect(started).toHaveLength(1);
  });
});
