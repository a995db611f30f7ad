// `warm`: what is fetched on a schedule. The words of the reference page, the parsed form, and the form that is printed.

import { resolve } from 'node:path';
import { Cron } from 'croner';
import { z } from 'zod';
import { formatPlatforms, type PlatformChoice, parsePlatforms } from '../oci/platform.ts';
import { countSetting, plainSetting, sizeSetting, textSetting } from './setting.ts';
import { formatSize } from './units.ts';

export interface WarmScheduleConfig {
  readonly name: string;
  /** Five fields, in the time zone of the server. */
  readonly schedule: string;
  readonly from:
    | { readonly kind: 'images'; readonly images: readonly string[] }
    | { readonly kind: 'file'; readonly file: string }
    | { readonly kind: 'pins'; readonly set: string };
  /** Undefined with pins: each image's own. */
  readonly platforms?: PlatformChoice;
  /** Bytes per second. */
  readonly bandwidthBytes?: number;
  readonly concurrency: number;
}

const sources = ['images', 'file', 'pins'] as const;
const platformsDefault = 'linux/amd64';

const entry = z
  .strictObject({
    name: textSetting(
      { about: 'Name of the schedule; one run of a name is active at a time.', expected: 'letters, digits, dots and dashes' },
      (text) => (/^[\w.-]{1,100}$/.test(text) ? text : undefined),
    ),
    schedule: textSetting(
      {
        about:
          'When to fetch, as five cron fields in the time zone of the server: minute, hour, day of the month, month, day of the week. What falls into a run that is still active, or into a time when the server was down, is left out.',
        expected: 'five cron fields such as "30 2 * * *"',
      },
      parseSchedule,
    ),
    images: z
      .array(
        plainSetting({
          about: 'Images, as one would pull them. Exactly one of `images`, `file` and `pins` is given.',
          expected: 'an image name',
        }),
      )
      .min(1)
      .max(5000)
      .optional(),
    file: plainSetting({
      about: 'A list, a compose file or Kubernetes manifests, read anew for every run.',
      expected: 'the path of a file',
      absent: 'one of the other two',
    }).optional(),
    pins: plainSetting({ about: 'A pinned set.', expected: 'the name of a pinned set', absent: 'one of the other two' }).optional(),
    platforms: textSetting(
      {
        about: 'Platforms of an index, or `all`.',
        expected: 'linux/amd64,linux/arm64 or all',
        absent: 'linux/amd64; with `pins` those of each pinned image',
      },
      parsePlatforms,
    ).optional(),
    bandwidth: sizeSetting('Bytes per second, over the whole run.', { min: '1KiB', max: '1TiB' }).optional(),
    concurrency: countSetting('Images, and blobs, at a time.', { min: 1, max: 32 }).prefault(4),
  })
  .superRefine((value, context) => {
    const given = sources.filter((key) => value[key] !== undefined);
    if (given.length === 1) return;
    const wrong = given.length === 0 ? 'names no images' : `has ${given.join(' and ')}`;
    context.addIssue({ code: 'custom', message: `${wrong}; expected exactly one of ${sources.join(', ')}` });
  });

export const warmSettings = z
  .array(entry)
  .max(100)
  .superRefine((entries, context) => {
    for (const [index, { name }] of entries.entries()) {
      if (entries.findIndex((other) => other.name === name) === index) continue;
      context.addIssue({ code: 'custom', path: [index, 'name'], message: 'is used twice; expected a name of its own for each schedule' });
    }
  });

export function buildWarm(entries: z.output<typeof warmSettings>): WarmScheduleConfig[] {
  return entries.map(({ name, schedule, images, file, pins, platforms, bandwidth, concurrency }) => {
    const chosen = platforms ?? (pins === undefined ? parsePlatforms(platformsDefault) : undefined);
    return {
      name,
      schedule,
      from:
        file !== undefined
          ? { kind: 'file', file: resolve(file) }
          : pins !== undefined
            ? { kind: 'pins', set: pins }
            : { kind: 'images', images: images ?? [] },
      ...(chosen === undefined ? {} : { platforms: chosen }),
      ...(bandwidth === undefined ? {} : { bandwidthBytes: bandwidth }),
      concurrency,
    };
  });
}

/** As in the config file. */
export function printWarm(entries: readonly WarmScheduleConfig[]): object[] {
  return entries.map(({ name, schedule, from, platforms, bandwidthBytes, concurrency }) => ({
    name,
    schedule,
    ...(from.kind === 'images' ? { images: from.images } : from.kind === 'file' ? { file: from.file } : { pins: from.set }),
    ...(platforms === undefined ? {} : { platforms: formatPlatforms(platforms) }),
    ...(bandwidthBytes === undefined ? {} : { bandwidth: formatSize(bandwidthBytes) }),
    concurrency,
  }));
}

/** Five fields that mean a time that comes; anything else is not understood. */
function parseSchedule(text: string): string | undefined {
  try {
    return new Cron(text, { mode: '5-part' }).nextRun() === null ? undefined : text;
  } catch {
    return undefined;
  }
}
