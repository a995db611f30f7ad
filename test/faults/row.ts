// A row of the fault list as a test: who the sources are, what they do, what the client sees and what never reached a source.

import type { FakeSource } from '../mirror/fake-source.ts';
import { basic, type ExplainedAttempt, explain, type Pulled, pull, type SourceSetting, sourceState } from '../mirror/harness.ts';
import { type Content, type Image, imageOf, type Manifest } from '../mirror/images.ts';
import type { RunningBreakwater } from '../support/breakwater.ts';

export type Trust = 'authority' | 'digest-only';

export interface Row {
  /** As in the list, and its name there. */
  readonly id: string;
  readonly name: string;
  /** The fact that is shown. */
  readonly fact: string;
  /** Sources of the row's own registry on the shared server, best first; none when the row brings a server or an engine of its own. */
  readonly sources?: readonly Trust[];
  /** In place of `sources`, where they need more than a trust. */
  readonly settings?: () => Promise<readonly SourceSetting[]>;
  /** Whether this machine can show it; otherwise the row is skipped. */
  readonly needs?: () => boolean;
  readonly run: (stage: Stage) => Promise<void>;
}

/** The row's registry as its clients and sources see it. */
export interface Stage {
  readonly server: RunningBreakwater;
  readonly registry: string;
  readonly sources: readonly FakeSource[];
  /** The first three sources; asking for one that is not there is a mistake of the row. */
  readonly first: FakeSource;
  readonly second: FakeSource;
  readonly third: FakeSource;
  /** An image with layers of these sizes in every source, under the tag `v1`. */
  serve(layers: readonly (number | Content)[], repository?: string): Image;
  /** GET below the repository, read to its end; throws when it is cut. */
  get(rest: string, init?: RequestInit, repository?: string): Promise<Pulled>;
  path(rest: string, repository?: string): string;
  /** A manifest by digest and its layers one after the other: all must be exact. */
  pullImage(image: Image, repository?: string): Promise<void>;
  state(source: FakeSource): Promise<string>;
  /** What `explain` says each source did for a reference (`:v1`, `@sha256:...`) and its blobs, the last failure included. */
  attempts(reference: string): Promise<readonly ExplainedAttempt[]>;
}

export function createStage(server: RunningBreakwater, registry: string, sources: readonly FakeSource[]): Stage {
  const at = (place: number): FakeSource => {
    const source = sources[place];
    if (source === undefined) throw new Error(`${registry} has no source ${place}`);
    return source;
  };
  const path = (rest: string, repository = 'library/app'): string => `/v2/${registry}/${repository}/${rest}`;
  const get = (rest: string, init: RequestInit = {}, repository?: string): Promise<Pulled> => pull(server, path(rest, repository), init);
  return {
    server,
    registry,
    sources,
    get first() {
      return at(0);
    },
    get second() {
      return at(1);
    },
    get third() {
      return at(2);
    },
    serve: (layers, repository = 'library/app') => {
      const image = imageOf(layers);
      for (const source of sources) source.add(repository, image, 'v1');
      return image;
    },
    get,
    path,
    pullImage: async (image, repository) => {
      await requireExact(get(`manifests/${image.manifest.digest}`, {}, repository), image.manifest);
      for (const layer of image.layers) await requireExact(get(`blobs/${layer.digest}`, {}, repository), layer);
    },
    state: (source) => sourceState(server, source),
    attempts: async (reference) => {
      const told = await explain(server, `${registry}/library/app${reference}`);
      return [...(told.tag?.trail?.attempts ?? []), ...told.blobs.flatMap((blob) => blob.attempts), ...(told.lastFailure?.attempts ?? [])];
    },
  };
}

export async function requireExact(pulled: Promise<Pulled>, content: Content | Manifest): Promise<void> {
  const answer = await pulled;
  if (answer.status !== 200) throw new Error(`answered ${answer.status} ${answer.code}: ${answer.message}`);
  if (!answer.bytes.equals(content.bytes)) throw new Error(`${answer.bytes.length} bytes of ${answer.digest} came for ${content.digest}`);
}

export function layerOf(image: Image, place = 0): Content {
  const layer = image.layers[place];
  if (layer === undefined) throw new Error(`the image has no layer ${place}`);
  return layer;
}

/** Verdicts of one source among attempts, in order, without those that only say it was not asked. */
export function verdictsOf(attempts: readonly ExplainedAttempt[], source: FakeSource): string[] {
  return attempts.flatMap(({ source: url, verdict }) => (url === source.url && verdict !== 'skipped' ? [verdict] : []));
}

/** The failures of a source by kind since the server started. */
export async function failuresOf(server: RunningBreakwater, source: FakeSource): Promise<Readonly<Record<string, number>>> {
  const response = await fetch(`${server.url}/api/v2.0/sources`, { headers: basic(server) });
  const listed = (await response.json()) as { sources: { url: string; verdicts: Record<string, number> }[] }[];
  return listed.flatMap((registry) => registry.sources).find((one) => one.url === source.url)?.verdicts ?? {};
}

/** How long it took, in milliseconds, beside the result. */
export async function timed<T>(work: () => Promise<T>): Promise<readonly [result: T, tookMs: number]> {
  const startMs = performance.now();
  const result = await work();
  return [result, performance.now() - startMs];
}
