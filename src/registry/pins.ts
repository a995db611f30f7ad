// Pinned sets: images that stay here and complete whatever else is cleared away, such as those a site needs while it has no network.

import type { Database } from '../db/database.ts';
import { listPins, type StoredPin } from '../db/pins.ts';
import { OciError } from '../oci/errors.ts';
import { formatPlatforms, type PlatformChoice } from '../oci/platform.ts';
import { formatReference, parseRepositoryName } from '../oci/reference.ts';
import { resolveImage } from './image-name.ts';
import type { NameRules } from './names.ts';

export interface Pins {
  /** By set and image; of one set when named. */
  list(set?: string): Promise<StoredPin[]>;
  /** BAD_REQUEST for a set's name that is none, CONFLICT when there would be too many, and what `resolveImage` throws. */
  add(set: string, images: readonly string[], platforms: PlatformChoice): Promise<StoredPin[]>;
  /** Some images or, without any, the whole set; gives how many went. NOT_FOUND when there is no such set. */
  remove(set: string, images: readonly string[]): Promise<number>;
}

export function createPins({ database, names }: { database: Database; names: NameRules }): Pins {
  return {
    list: (set) => listPins(database.read, set),
    add: async (set, images, platforms) => {
      if (set.length > 128 || set.includes('/') || parseRepositoryName(set) === undefined)
        throw new OciError('BAD_REQUEST', 'the name of a set has lower-case letters, digits and single separators (. _ -)');
      const pins = await Promise.all(
        images.map(async (image) => {
          const { target, reference } = await resolveImage(names, image);
          // An overlay's own content wins in a pull, but it may come later: its name is kept, and garbage collection looks at both.
          return { image, platforms: formatPlatforms(platforms), repository: target.name, reference: formatReference(reference) };
        }),
      );
      await database.run('addPins', { set, pins });
      return listPins(database.read, set);
    },
    remove: async (set, images) => {
      const removed = await database.run('removePins', { set, ...(images.length === 0 ? {} : { images }) });
      if (removed === 0) throw new OciError('NOT_FOUND', `nothing of that is pinned in a set named ${set.slice(0, 128)}`);
      return removed;
    },
  };
}
