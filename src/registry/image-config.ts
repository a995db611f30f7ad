// What an image's config says, for showing: platform, author, build history. It is read from the blob only when somebody looks, up to a size,
// and the small ones are kept in memory by their digest. image-spec v1.1 "config.md".

import { readFile } from 'node:fs/promises';
import type { BlobStore } from '../blobs/store.ts';
import type { ContentQueries } from '../db/content.ts';
import { createLru } from '../lib/lru.ts';
import type { Digest } from '../oci/digest.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface ImageConfigs {
  /** The config's JSON object; undefined when it is not here, is larger than 1 MiB, or is no JSON object. */
  read(repository: string, digest: Digest): Promise<JsonObject | undefined>;
}

const readMaxBytes = 1024 * 1024;
const keptMaxBytes = 16 * 1024;
const keptEntries = 500;

export function createImageConfigs({ content, store }: { content: ContentQueries; store: Pick<BlobStore, 'open'> }): ImageConfigs {
  const kept = createLru<Digest, JsonObject>({ maxEntries: keptEntries });
  return {
    read: async (repository, digest) => {
      // Asked each time: a repository may show only what is its member.
      const blob = await content.blob(repository, digest);
      if (blob === undefined || blob.sizeBytes > readMaxBytes) return undefined;
      const known = kept.get(digest);
      if (known !== undefined) return known;
      const text = await readFile(store.open(blob.storageKey).path, 'utf8').catch(() => undefined);
      const parsed = text === undefined ? undefined : parseObject(text);
      if (parsed !== undefined && blob.sizeBytes <= keptMaxBytes) kept.set(digest, parsed);
      return parsed;
    },
  };
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}
