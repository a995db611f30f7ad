// Presets newer than the shipped ones: checked against the operator's key and kept in the data folder with their signature, in one file, so that a
// crash leaves the old or the new ones. What does not verify is never used, wherever it lies.
//
//   DATA/presets.signed.json    {"presets": "<the file, byte for byte>", "signature": "<as ssh-keygen wrote it>"}

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type ChosenPresets, type Presets, parsePresets } from './preset-data.ts';
import { shippedPresets } from './presets.ts';
import { checkSshSignature } from './ssh-signature.ts';

/** What a signature of presets is made for: `ssh-keygen -Y sign -n breakwater-presets`. */
const presetsNamespace = 'breakwater-presets';
const keptMaxBytes = 4 * 1024 * 1024;

export interface SignedPresets {
  /** The file as text, byte for byte. */
  readonly text: string;
  readonly signature: string;
}

/** The presets of a signed file, or why they are refused, in one line. */
export function verifyPresets(signed: SignedPresets, publicKey: string): { readonly presets: Presets } | { readonly problem: string } {
  const data = Buffer.from(signed.text, 'utf8');
  const problem = checkSshSignature({ data, signature: signed.signature, publicKey, namespace: presetsNamespace });
  return problem === undefined ? parsePresets(signed.text) : { problem };
}

/** The kept presets when they verify and are newer, else the shipped ones. */
export function choosePresets(dataDir: string, publicKey: string | undefined): ChosenPresets {
  const shipped: ChosenPresets = { presets: shippedPresets, origin: 'shipped' };
  const file = keptFile(dataDir);
  if (publicKey === undefined || !existsSync(file)) return shipped;
  const kept = readKept(file);
  if (kept === undefined) return { ...shipped, problem: `${file} cannot be read` };
  const read = verifyPresets(kept, publicKey);
  if ('problem' in read) return { ...shipped, problem: `${file}: ${read.problem}` };
  return read.presets.serial > shippedPresets.serial ? { presets: read.presets, origin: 'update' } : shipped;
}

/** Durable when this returns. */
export function keepPresets(dataDir: string, signed: SignedPresets): void {
  const file = keptFile(dataDir);
  const handle = openSync(`${file}.new`, 'w', 0o600);
  try {
    writeSync(handle, JSON.stringify({ presets: signed.text, signature: signed.signature }));
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${file}.new`, file);
}

function keptFile(dataDir: string): string {
  return join(dataDir, 'presets.signed.json');
}

function readKept(file: string): SignedPresets | undefined {
  try {
    if (statSync(file).size > keptMaxBytes) return undefined;
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null || !('presets' in value) || !('signature' in value)) return undefined;
    const { presets, signature } = value;
    return typeof presets === 'string' && typeof signature === 'string' ? { text: presets, signature } : undefined;
  } catch {
    return undefined;
  }
}
