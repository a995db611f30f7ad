// Newer presets from a file or a URL, while the server runs: fetched, their signature checked before anything in them is looked at, kept in the
// data folder, put to use. A bad or older one is refused with a log line, and what held before goes on holding.

import { readFileSync, statSync } from 'node:fs';
import type { Secrets } from '../auth/master-key.ts';
import type { Config } from '../config/config.ts';
import { keepPresets, type SignedPresets, verifyPresets } from '../config/kept-presets.ts';
import type { ChosenPresets, Presets } from '../config/preset-data.ts';
import { registriesOf } from '../config/presets.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { OciError } from '../oci/errors.ts';
import type { Download } from '../upstream/download.ts';
import { UpstreamError } from '../upstream/verdict.ts';
import { seedsOf } from './source-values.ts';
import type { Sources } from './sources.ts';

export interface PresetUpdateSettings {
  /** Exactly one of the two; the signature is there under the same name and `.sig`. */
  readonly file?: string;
  readonly url?: string;
  readonly publicKey: string;
  readonly intervalMs: number;
}

/** `unchanged`: that serial holds already; `older`: a rollback; `refused`: signature or content; `unreachable`: not there. */
export type PresetOutcome = 'updated' | 'unchanged' | 'older' | 'refused' | 'unreachable';

export interface PresetCheck {
  readonly outcome: PresetOutcome;
  /** One line for a person. */
  readonly detail: string;
  readonly atMs: number;
}

export interface PresetUpdates {
  current(): ChosenPresets;
  readonly settings: PresetUpdateSettings | undefined;
  lastCheck(): PresetCheck | undefined;
  /** Looks for newer ones now. Throws CONFLICT when the configuration names no place to look. */
  check(): Promise<PresetCheck>;
  /** Looks now and then; does nothing without settings. */
  start(): void;
  stop(): Promise<void>;
}

const fileMaxBytes = 1_048_576;
const signatureMaxBytes = 8_192;
const downloadTimeoutMs = 30_000;

/** The updates of this configuration: new presets become rows as if the server had started with them. */
export function openPresetUpdates(options: {
  readonly config: Config;
  readonly sources: Pick<Sources, 'reseed'>;
  readonly secrets: Secrets;
  readonly download: Download;
  readonly clock: Clock;
  readonly log: Log;
}): PresetUpdates {
  const { config, sources, secrets, download, clock, log } = options;
  const { isMirrored, chosen, updates } = config.presets;
  return createPresetUpdates({
    settings: updates,
    dataDir: config.dataDir,
    chosen,
    download,
    clock,
    log,
    use: async (presets) => {
      if (!isMirrored) return;
      const own = [...config.registries].filter(([, { origin }]) => origin !== 'preset');
      const { added, removed } = await sources.reseed(seedsOf({ registries: new Map([...registriesOf(presets), ...own]) }, secrets));
      log.info('presets.sources-changed', { added: added.length, removed: removed.length });
    },
  });
}

function createPresetUpdates(options: {
  readonly settings: PresetUpdateSettings | undefined;
  readonly dataDir: string;
  readonly chosen: ChosenPresets;
  readonly download: Download;
  /** Puts new presets to use; when it throws, the check fails and is repeated. */
  readonly use: (presets: Presets) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}): PresetUpdates {
  const { settings, log, clock } = options;
  let chosen = options.chosen;
  let last: PresetCheck | undefined;
  let running: Promise<PresetCheck> | undefined;
  const stopping = new AbortController();

  const look = async (from: PresetUpdateSettings): Promise<Omit<PresetCheck, 'atMs'>> => {
    let signed: SignedPresets;
    try {
      signed = await fetchSigned(from, options.download);
    } catch (error) {
      return { outcome: 'unreachable', detail: describe(error) };
    }
    const read = verifyPresets(signed, from.publicKey);
    if ('problem' in read) return { outcome: 'refused', detail: read.problem };
    const { presets } = read;
    const { serial } = chosen.presets;
    if (presets.serial === serial) return { outcome: 'unchanged', detail: `serial ${serial} holds` };
    if (presets.serial < serial) return { outcome: 'older', detail: `serial ${presets.serial} is older than ${serial}, which holds` };
    keepPresets(options.dataDir, signed);
    await options.use(presets);
    chosen = { presets, origin: 'update' };
    return { outcome: 'updated', detail: `from serial ${serial} to ${presets.serial}` };
  };

  const checkOnce = async (from: PresetUpdateSettings): Promise<PresetCheck> => {
    const result = { ...(await look(from)), atMs: clock.nowMs() };
    last = result;
    const fields = { from: from.url ?? from.file, detail: result.detail };
    if (result.outcome === 'updated') log.info('presets.updated', fields);
    else if (result.outcome === 'refused' || result.outcome === 'older')
      log.warn('presets.refused', { ...fields, outcome: result.outcome });
    else if (result.outcome === 'unreachable') log.warn('presets.unreachable', fields);
    return result;
  };

  const check = (): Promise<PresetCheck> => {
    if (settings === undefined)
      throw new OciError('CONFLICT', 'the configuration names no file or URL of presets; see presets.url in its reference');
    running ??= checkOnce(settings).finally(() => {
      running = undefined;
    });
    return running;
  };

  const repeat = async (from: PresetUpdateSettings): Promise<void> => {
    while (!stopping.signal.aborted) {
      await check().catch((error: unknown) => log.error('presets.failed', { error }));
      await clock.sleep(from.intervalMs, stopping.signal).catch(() => undefined);
    }
  };

  return {
    current: () => chosen,
    settings,
    lastCheck: () => last,
    check: async () => check(),
    start: () => {
      if (options.chosen.problem !== undefined) log.warn('presets.refused', { detail: options.chosen.problem, outcome: 'refused' });
      if (settings !== undefined) void repeat(settings);
    },
    stop: async () => {
      stopping.abort();
      await running?.catch(() => undefined);
    },
  };
}

async function fetchSigned(from: PresetUpdateSettings, download: Download): Promise<SignedPresets> {
  if (from.file !== undefined)
    return { text: readSmall(from.file, fileMaxBytes), signature: readSmall(`${from.file}.sig`, signatureMaxBytes) };
  const url = from.url ?? '';
  const bytes = await download(url, { timeoutMs: downloadTimeoutMs, maxBytes: fileMaxBytes });
  const signature = await download(`${url}.sig`, { timeoutMs: downloadTimeoutMs, maxBytes: signatureMaxBytes });
  return { text: decode(bytes), signature: decode(signature) };
}

function readSmall(file: string, maxBytes: number): string {
  if (statSync(file).size > maxBytes) throw new Error(`${file} is larger than ${maxBytes} bytes`);
  return decode(readFileSync(file));
}

/** Bytes that are no UTF-8 would not come out of the text as they went in. */
function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

function describe(error: unknown): string {
  if (error instanceof UpstreamError) return error.message;
  return error instanceof Error ? error.message.slice(0, 200) : 'it cannot be read';
}
