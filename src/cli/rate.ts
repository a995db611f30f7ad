// Rates as people write them on the command line.

import { parseSize } from '../config/units.ts';
import { CommandFailure } from './failure.ts';
import { plain } from './text.ts';

/** Bytes per second of `20MiB/s` or `20MiB`; exit code 2 for anything else. */
export function parseRate(text: string): number {
  const bytes = parseSize(text.replace(/\/s$/, ''));
  if (bytes === undefined || bytes < 1024)
    throw new CommandFailure(`--bandwidth: "${plain(text)}" is not understood`, { hint: 'expected 20MiB/s, at least 1KiB/s', exitCode: 2 });
  return bytes;
}
