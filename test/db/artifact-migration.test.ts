// A store that was filled before lists had rows of their own gets the rows that its commands would have made.

import { expect, test } from 'bun:test';
import { sql } from 'kysely';
import { describeManifests } from '../../src/db/artifact-migration.ts';
import { type CommandArguments, type CommandName, runCommand } from '../../src/db/commands.ts';
import { migrate } from '../../src/db/migrations.ts';
import { kyselyOn } from '../../src/db/sqlite-dialect.ts';
import { openSqlite } from '../../src/db/sqlite-file.ts';
import { createStatements } from '../../src/db/sqlite-statements.ts';
import { digest, storedImage, storedManifest } from './fixture.ts';

const indexType = 'application/vnd.oci.image.index.v1+json';

test('the rows made for old content are those that commands make', async () => {
  const file = openSqlite(':memory:', 'writer');
  const db = kyselyOn(createStatements(file), { withTransactions: true });
  await migrate(db, 'sqlite');
  const run = <N extends CommandName>(name: N, args: CommandArguments<N>) =>
    runCommand({ trx: db, dialect: 'sqlite', nowMs: 1000 }, name, args);
  await run('createProject', { name: 'p', kind: 'local', isPublic: true });
  await run('ensureRepository', { projectId: 1, name: 'p/r' });
  for (const text of ['config', 'layer'])
    await run('recordBlob', { repositoryId: 1, digest: digest(text), storageKey: text, sizeBytes: text.length, origin: 'public' });
  const image = storedImage('config', 'layer');
  const child = { digest: image.digest, kind: 'manifest' as const, sizeBytes: image.bytes.byteLength, required: true };
  const manifests = [{ mediaType: image.mediaType, digest: image.digest, size: image.bytes.byteLength }];
  const index = storedManifest({ schemaVersion: 2, mediaType: indexType, manifests }, [child], indexType);
  const signature = storedManifest({ schemaVersion: 2, note: 'signature' }, [], image.mediaType);
  await run('putManifest', { ...image, repositoryId: 1 });
  await run('putManifest', { ...index, repositoryId: 1, tags: ['1', '2'] });
  await run('putManifest', {
    ...storedImage('config', 'layer', index.digest),
    repositoryId: 1,
    subjectDigest: index.digest,
    tags: ['sbom'],
  });
  await run('putManifest', { ...signature, repositoryId: 1, tags: [`${index.digest.replace(':', '-')}.sig`] });
  const rows = async () => ({
    artifacts: await db.selectFrom('artifact').selectAll().orderBy('manifest_id').execute(),
    repositories: await db.selectFrom('repository').selectAll().execute(),
  });
  const before = await rows();
  expect(before.artifacts.map((row) => [row.kind, row.tag_count, row.is_listed])).toEqual([
    ['IMAGE', 0, 0],
    ['IMAGE', 2, 1],
    ['IMAGE', 1, 0],
    ['UNKNOWN', 1, 0],
  ]);
  await sql`delete from artifact`.execute(db);
  await sql`update repository set artifact_count = 0`.execute(db);
  await describeManifests(db);
  expect(await rows()).toEqual(before);
  file.close();
});
