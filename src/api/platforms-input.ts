// Platforms as the admin API is sent them.

import { OciError } from '../oci/errors.ts';
import { type PlatformChoice, parsePlatforms } from '../oci/platform.ts';

export const platformsDefault = 'linux/amd64';

/** BAD_REQUEST for what is no list of platforms. */
export function requirePlatforms(text: string): PlatformChoice {
  const choice = parsePlatforms(text);
  if (choice === undefined)
    throw new OciError('BAD_REQUEST', `"${text.slice(0, 100)}" is no list of platforms: expected linux/amd64,linux/arm64/v8 or all`);
  return choice;
}
