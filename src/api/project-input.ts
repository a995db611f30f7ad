// What clients say about a project, checked and put into our words. It must never keep a word that would promise what the server does not do.

import type { z } from 'zod';
import { OciError } from '../oci/errors.ts';
import { checkMetadata } from '../registry/project-metadata.ts';
import type { MetadataWord } from '../registry/projects.ts';
import type { projectChangeSchema } from './schemas.ts';

type SentWords = Pick<z.infer<typeof projectChangeSchema>, 'public' | 'metadata' | 'cve_allowlist' | 'storage_limit'>;

export interface ProjectWords {
  readonly isPublic?: boolean;
  readonly metadata: readonly MetadataWord[];
  /** JSON. */
  readonly cveAllowlist?: string;
}

/** BAD_REQUEST for an unknown key, a value that makes no sense, a limit that cannot be kept, or a visibility said in two ways. */
export function readProjectWords(sent: SentWords): ProjectWords {
  if (typeof sent.storage_limit === 'number' && sent.storage_limit !== -1)
    throw new OciError('BAD_REQUEST', 'body: storage_limit: this server has no limits of projects yet; send -1 or leave it out');
  const metadata: MetadataWord[] = [];
  let isPublic = sent.public ?? undefined;
  for (const [name, value] of Object.entries(sent.metadata ?? {})) {
    if (value === null) continue;
    checkMetadata(name, value);
    if (name !== 'public') metadata.push({ name, value });
    else if (isPublic === undefined || String(isPublic) === value) isPublic = value === 'true';
    else throw new OciError('BAD_REQUEST', 'body: public and metadata.public say different things; send one of them');
  }
  const { cve_allowlist: allowlist } = sent;
  return {
    metadata,
    ...(isPublic === undefined ? {} : { isPublic }),
    ...(allowlist === undefined || allowlist === null
      ? {}
      : {
          cveAllowlist: JSON.stringify({
            items: (allowlist.items ?? []).map(({ cve_id }) => ({ cve_id })),
            ...(typeof allowlist.expires_at === 'number' ? { expires_at: allowlist.expires_at } : {}),
          }),
        }),
  };
}
