// Which source a person means: by its id, or by its URL where it is that of one registry alone.

import { z } from 'zod';
import { registrySourcesSchema, type SourceBody } from '../api/source-schemas.ts';
import type { ApiClient } from './client.ts';
import { CommandFailure } from './failure.ts';
import { plain } from './text.ts';

export interface PickedSource extends SourceBody {
  readonly registry: string;
}

/** All sources of the server, of one registry when given. */
export async function readSources(client: ApiClient, registry?: string): Promise<readonly PickedSource[]> {
  const { value } = await client.read(z.array(registrySourcesSchema), { method: 'GET', path: '/sources' });
  const all = value.flatMap((one) => one.sources.map((source) => ({ ...source, registry: one.registry })));
  return registry === undefined ? all : all.filter((source) => source.registry === registry);
}

/** The sources that `words` name, in their order. Throws a CommandFailure for one that names none, or several. */
export function pickSources(words: readonly string[], sources: readonly PickedSource[]): readonly PickedSource[] {
  return words.map((word) => {
    const found = sources.filter((source) => (/^\d+$/.test(word) ? source.id === Number(word) : source.url === word.replace(/\/+$/, '')));
    const [only] = found;
    if (only === undefined) {
      throw new CommandFailure(`there is no source ${plain(word)}`, { hint: '`breakwater sources --json` lists them with their ids' });
    }
    if (found.length > 1) {
      const ids = found.map((source) => `${source.id} (${source.registry})`).join(', ');
      throw new CommandFailure(`${plain(word)} is a source of several registries`, { hint: `name it by its id: ${ids}` });
    }
    return only;
  });
}
