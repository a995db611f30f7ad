// What a mirror has cached already and can therefore compare a source with: for probes only, off every pull path.

import type { Kysely } from 'kysely';
import { type Digest, parseDigest } from '../oci/digest.ts';
import type { Schema } from './schema.ts';

export interface CachedSample {
  /** The full name, project included. */
  readonly repositoryName: string;
  readonly projectName: string;
  readonly blob: { readonly digest: Digest; readonly sizeBytes: number };
  readonly tag?: string;
}

/** Looked at per registry, so that a large store costs no more than a small one. */
const repositoriesMax = 50;

/** A small config blob that a mirror of this registry holds, and a tag beside it; undefined when there is none among its first repositories. */
export async function findCachedSample(read: Kysely<Schema>, registry: string, sizeMaxBytes: number): Promise<CachedSample | undefined> {
  const project = await read
    .selectFrom('project')
    .select(['id', 'name'])
    .where('registry', '=', registry)
    .where('kind', '=', 'mirror')
    .orderBy('id')
    .executeTakeFirst();
  if (project === undefined) return undefined;
  const repositories = await read
    .selectFrom('repository')
    .select(['id', 'name'])
    .where('project_id', '=', project.id)
    .orderBy('name')
    .limit(repositoriesMax)
    .execute();
  for (const { id, name } of repositories) {
    const row = await read
      .selectFrom('manifest')
      .innerJoin('manifest_ref', 'manifest_ref.manifest_id', 'manifest.id')
      .select(['manifest_ref.digest as digest', 'manifest_ref.size_bytes as sizeBytes'])
      .where('manifest.repository_id', '=', id)
      .where('manifest_ref.kind', '=', 'config')
      .where('manifest_ref.is_present', '=', 1)
      .where('manifest_ref.size_bytes', '>', 1)
      .where('manifest_ref.size_bytes', '<=', sizeMaxBytes)
      .limit(1)
      .executeTakeFirst();
    const digest = row === undefined ? undefined : parseDigest(row.digest);
    if (row === undefined || digest === undefined) continue;
    const tag = await read.selectFrom('tag').select('name').where('repository_id', '=', id).limit(1).executeTakeFirst();
    return {
      repositoryName: name,
      projectName: project.name,
      blob: { digest, sizeBytes: Number(row.sizeBytes) },
      ...(tag === undefined ? {} : { tag: tag.name }),
    };
  }
  return undefined;
}
