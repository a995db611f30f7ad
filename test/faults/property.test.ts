// The property of the mirror, over random fault scripts on one to five sources. With an honest, reachable source every pull by digest ends in
// exact bytes, at once or at the client's own retry, and nobody is left waiting. With none only content verified earlier is served. A complete
// lie is never passed on, and the store never holds a wrong byte.
//
//   BREAKWATER_SCRIPTS=2000 BREAKWATER_SEED=1 bun test test/faults/property.test.ts

import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Engine, startEngine } from '../mirror/engine.ts';
import { startFakeSource } from '../mirror/fake-source.ts';
import { type Content, digestOf, type Image, imageOf } from '../mirror/images.ts';
import { auditStore } from '../mirror/stored.ts';
import { count } from '../support/requirements.ts';
import { createSkippingClock } from './engine-row.ts';
import { isHonest, obey, type Script, scripts } from './script.ts';

const mebibyte = 1024 * 1024;
/** Run side by side: most of their time is waiting. */
const lanes = 4;
const runs = count({ quick: 100, full: 2000, env: 'BREAKWATER_SCRIPTS' });
const seed = Number(process.env['BREAKWATER_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const retriesMax = 3;
/** Far beyond all timings below. */
const stuckMs = 30_000;
/** Long enough for an honest source on a busy machine, and for one that was not: a client waits before it comes again. */
const timings = {
  firstByteTimeoutMs: 1000,
  firstByteBudgetMaxMs: 100,
  idleTimeoutMs: 1000,
  manifestTimeoutMs: 1000,
  listingTimeoutMs: 1000,
  floor: { bytesPerSecond: 64 * 1024, windowMs: 1000 },
};
const retryPauseMs = 6000;

/** Here before the faults begin; wanted afterwards, small and large. The small one is two layers, so that one fault does not meet all. */
const known = imageOf([2000]);
const small = imageOf([30_000, 200_000]);
const large = imageOf([1000, 9 * mebibyte]);
const everything = [known, small, large];
const contents = new Map(everything.flatMap(({ config, layers }) => [config, ...layers]).map((content) => [content.digest, content.bytes]));

test(
  `holds for ${runs} random scripts (seed ${seed})`,
  async () => {
    console.log(`fault scripts: ${runs} from seed ${seed}`);
    await Promise.all(
      Array.from({ length: lanes }, (_, lane) =>
        fc.assert(fc.asyncProperty(scripts, runScript), {
          numRuns: Math.ceil(runs / lanes),
          seed: seed + lane,
          endOnFailure: process.env['BREAKWATER_FULL'] !== '1',
          ...(lane === 0 ? { examples: [[liarFirst('authority')], [liarFirst('digest-only')]] } : {}),
        }),
      ),
    );
  },
  60 * 60_000,
);

function liarFirst(trust: 'authority' | 'digest-only'): Script {
  return {
    isLarge: true,
    sources: [
      { trust, plan: [{ kind: 'flip', at: 0.5 }] },
      { trust: 'digest-only', plan: [{ kind: 'none' }] },
    ],
  };
}

async function runScript(script: Script): Promise<void> {
  const sources = await Promise.all(script.sources.map(async ({ trust }) => ({ source: await startFakeSource({ drainMs: 5 }), trust })));
  const clock = createSkippingClock();
  const engine = await startEngine({ sources, timings, clock });
  const client = (kind: Client['kind'], mustCome: boolean): Client => ({ engine, kind, mustCome, pause: () => clock.skip(retryPauseMs) });
  let isOn = false;
  try {
    for (const [place, { source }] of sources.entries()) {
      for (const image of everything) source.add('library/app', image);
      const plan = script.sources[place];
      if (plan !== undefined)
        obey(source, plan, { isOn: () => isOn, wholeOf: (path) => contents.get(path.slice(path.lastIndexOf('/') + 1)) });
    }
    await inTime('the pull before the faults', pullImage(client('whole', true), known));
    isOn = true;
    const mustCome = script.sources.some(isHonest);
    const wanted = script.isLarge ? large : small;
    await Promise.all(
      (['whole', 'resuming', 'whole'] as const).map((kind) => inTime(`a ${kind} client`, pullImage(client(kind, mustCome), wanted))),
    );
    await inTime('what was here before', pullImage(client('resuming', true), known));
    await engine.closeMirror();
    auditStore(engine.dataDir);
  } finally {
    await engine.stop();
    for (const { source } of sources) await source.stop();
  }
}

interface Client {
  readonly engine: Engine;
  /**
   * `whole` begins anew after a failure (skopeo, podman), `resuming` goes on by Range where it was cut off, and throws all away when the sum is
   * wrong in the end (containerd, Docker).
   */
  readonly kind: 'whole' | 'resuming';
  /** There is an honest source. */
  readonly mustCome: boolean;
  /** Before it tries again. */
  readonly pause: () => void;
}

/** A manifest and its layers; throws when something has to come and does not, or is wrong. */
async function pullImage(client: Client, image: Image): Promise<void> {
  const { engine, mustCome } = client;
  let manifest: Uint8Array | undefined;
  for (let tries = 0; manifest === undefined && tries <= retriesMax; tries++) {
    if (tries > 0) client.pause();
    manifest = await engine.manifest('app', image.manifest.digest).then(
      (answer) => answer.bytes,
      () => undefined,
    );
  }
  if (manifest === undefined) {
    if (mustCome) throw new Error(`no manifest: ${describeFailure(engine, image.manifest.digest)}`);
    return;
  }
  expect(digestOf(manifest)).toBe(image.manifest.digest);
  await Promise.all(
    image.layers.map(async (layer) => {
      if (!(await pullBlob(client, layer)) && mustCome)
        throw new Error(`no blob of ${layer.bytes.length} bytes: ${describeFailure(engine, layer.digest)}`);
    }),
  );
}

function describeFailure(engine: Engine, reference: string): string {
  return JSON.stringify(engine.lastFailure('library/app', reference));
}

/** Whether the blob came, with the client's retries. An answer that ends must be right, whatever came before it. */
async function pullBlob({ engine, kind, pause }: Client, layer: Content): Promise<boolean> {
  let kept = Buffer.alloc(0);
  for (let tries = 0; tries <= retriesMax; tries++) {
    if (tries > 0) pause();
    const answer = await receive(engine, layer.digest, kept.length);
    const slice = layer.bytes.subarray(kept.length);
    // Cut off behind its last byte it would be whole for a client that counts.
    if ((answer.isWhole || answer.bytes.length >= slice.length) && !answer.bytes.equals(slice))
      throw new Error(`a complete lie: ${answer.bytes.length} bytes from ${kept.length} of ${layer.bytes.length}`);
    const all = Buffer.concat([kept, answer.bytes]);
    if (answer.isWhole && digestOf(all) === layer.digest) return true;
    kept = kind === 'resuming' && !answer.isWhole ? all : Buffer.alloc(0);
  }
  return false;
}

async function receive(engine: Engine, digest: string, startBytes: number): Promise<{ readonly bytes: Buffer; readonly isWhole: boolean }> {
  const chunks: Uint8Array[] = [];
  try {
    const answer = await engine.blob('app', digest, { startBytes });
    switch (answer.kind) {
      case 'file':
        return { bytes: Buffer.from(await Bun.file(answer.path).slice(startBytes).arrayBuffer()), isWhole: true };
      case 'arriving':
        for await (const chunk of answer.follow(startBytes, undefined, new AbortController().signal)) chunks.push(new Uint8Array(chunk));
        return { bytes: Buffer.concat(chunks), isWhole: true };
      case 'known':
        throw new Error('only the size is known');
    }
  } catch {
    return { bytes: Buffer.concat(chunks), isWhole: false };
  }
}

async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`stuck: ${what}`)), stuckMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
