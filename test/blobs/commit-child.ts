// A program of its own, to be run under a system-call tracer: commits one object to a store and says on stdout what came of it.
//
//   bun commit-child.ts ROOT

import { openFilesystemStore } from '../../src/blobs/filesystem.ts';
import { BlobStoreError } from '../../src/blobs/store.ts';
import { digestOf } from '../../src/oci/digest.ts';

const [root] = process.argv.slice(2);
if (root === undefined) throw new Error('usage: commit-child.ts ROOT');
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const codeOf = (error: unknown): string => (error instanceof BlobStoreError ? error.code : String(error));
const store = await openFilesystemStore(root);
const bytes = new Uint8Array(100_000).fill(7);
const staged = await store.stage('object');
await staged.append(bytes);
const commit = (): Promise<string> => staged.commit(digestOf(bytes));
await commit().then(
  () => say('committed'),
  async (error) => {
    say(`refused ${codeOf(error)}`);
    await commit().then(
      () => say('again committed'),
      (second) => say(`again ${codeOf(second)}`),
    );
    const resumed = await store.resume('object');
    say(resumed === undefined ? 'resumed nothing' : `resumed ${resumed.sizeBytes}`);
  },
);
await staged.close();
