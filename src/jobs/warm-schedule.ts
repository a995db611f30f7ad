// Warm-ups on a schedule. Each schedule waits for its next time, begins one run, waits for its end, then looks for the next time: so runs
// of one name never overlap, and what was missed is not made up for. It keeps nothing: a run that is active belongs to `registry/warmups.ts`,
// which goes on with it after a restart.

import { readFileSync } from 'node:fs';
import { Cron } from 'croner';
import type { WarmScheduleConfig } from '../config/warm-schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import { type PlatformChoice, parsePlatforms } from '../oci/platform.ts';
import { findImages } from '../registry/image-list.ts';
import type { Pins } from '../registry/pins.ts';
import type { WantedImage, Warmups } from '../registry/warmups.ts';

export interface WarmSchedules {
  /** Begins no more runs. */
  close(): Promise<void>;
}

interface WarmScheduleParts {
  readonly schedules: readonly WarmScheduleConfig[];
  readonly warmups: Pick<Warmups, 'start' | 'settled'>;
  readonly pins: Pick<Pins, 'list'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The clock may be set meanwhile, so a long wait is taken in steps. */
const stepMs = 60_000;
const amd64: PlatformChoice = [{ os: 'linux', architecture: 'amd64' }];

export function startWarmSchedules(parts: WarmScheduleParts): WarmSchedules {
  const stop = new AbortController();
  const running = parts.schedules.map((schedule) => follow(parts, schedule, stop.signal));
  return {
    close: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}

async function follow(parts: WarmScheduleParts, schedule: WarmScheduleConfig, signal: AbortSignal): Promise<void> {
  const { clock, log } = parts;
  const times = new Cron(schedule.schedule, { mode: '5-part' });
  try {
    for (;;) {
      const next = times.nextRun(new Date(clock.nowMs()));
      if (next === null) return;
      for (let waitMs = next.getTime() - clock.nowMs(); waitMs > 0; waitMs = next.getTime() - clock.nowMs())
        await clock.sleep(Math.min(stepMs, waitMs), signal);
      await runOnce(parts, schedule, signal).catch((error) => {
        if (!signal.aborted) log.error('warmup.schedule-failed', { name: schedule.name, error });
      });
      signal.throwIfAborted();
    }
  } catch (error) {
    if (!signal.aborted) log.error('warmup.schedule-ended', { name: schedule.name, error });
  }
}

async function runOnce({ warmups, pins, log }: WarmScheduleParts, schedule: WarmScheduleConfig, signal: AbortSignal): Promise<void> {
  const { name, concurrency, bandwidthBytes } = schedule;
  try {
    const images = await imagesOf(schedule, pins);
    const run = await warmups.start({ name, images, concurrency, ...(bandwidthBytes === undefined ? {} : { bandwidthBytes }) });
    log.info('warmup.began', { id: run.id, name, images: images.length });
    await untilStopped(warmups.settled(run.id), signal);
  } catch (error) {
    // The run before, which a restart interrupted, may still be active.
    if (!(error instanceof OciError && error.code === 'CONFLICT')) throw error;
    log.info('warmup.skipped', { name, reason: error.message });
  }
}

async function imagesOf({ from, platforms }: WarmScheduleConfig, pins: Pick<Pins, 'list'>): Promise<readonly WantedImage[]> {
  switch (from.kind) {
    case 'images':
      return from.images.map((image) => ({ image, platforms: platforms ?? amd64 }));
    case 'file':
      return findImages(readFileSync(from.file, 'utf8'), {}).images.map((image) => ({ image, platforms: platforms ?? amd64 }));
    case 'pins':
      return (await pins.list(from.set)).map((pin) => ({
        image: pin.image,
        platforms: platforms ?? parsePlatforms(pin.platforms) ?? amd64,
      }));
  }
}

/** The run's end, or the stop: whichever comes first. */
function untilStopped(ended: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve();
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    ended.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
