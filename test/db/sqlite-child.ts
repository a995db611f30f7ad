// A program of its own, to be run under a system-call tracer: sends commands to a SQLite database, some at a time, and says on stdout what
// came of each. It goes on after a failure, so that a later success would be seen.
//
//   bun sqlite-child.ts FILE COUNT AT_ONCE

import { openSqliteDatabase } from '../../src/db/sqlite.ts';
import { OciError } from '../../src/oci/errors.ts';

const [path, count, atOnce] = process.argv.slice(2);
if (path === undefined || count === undefined || atOnce === undefined) throw new Error('usage: sqlite-child.ts FILE COUNT AT_ONCE');
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
let isBroken = false;
const onFatal = (): void => {
  isBroken = true;
  say('fatal');
};
const database = await openSqliteDatabase({ path, onFatal });
say('open');
for (let sent = 0; sent < Number(count); ) {
  const wave: Promise<void>[] = [];
  for (; wave.length < Number(atOnce) && sent < Number(count); sent++) {
    const index = sent;
    wave.push(
      database.run('setMeta', { key: `key ${index}`, value: 'x'.repeat(100) }).then(
        () => say(`done ${index}`),
        (error) => say(error instanceof OciError ? `refused ${error.code}` : 'failed'),
      ),
    );
  }
  await Promise.all(wave);
}
// As the server does: what cannot be written is not closed tidily either.
if (isBroken) process.exit(70);
await database.close();
say('closed');
