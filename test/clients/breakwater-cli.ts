// Runs Breakwater's own commands against a running server, as an administrator types them.

import { join } from 'node:path';
import { bunBinary, mainFile, type RunningBreakwater } from '../support/breakwater.ts';
import { type CommandResult, runCommand, runToSuccess } from './command.ts';

export interface ExplainedSegment {
  /** URL of the source, as configured. */
  readonly source: string;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

export interface ExplainedBlob {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly cached: boolean;
  readonly segments: readonly ExplainedSegment[];
  readonly attempts: readonly { readonly source: string; readonly verdict: string; readonly ms: number; readonly bytes: number }[];
}

export interface Explanation {
  readonly image: string;
  readonly registry: string;
  readonly repository: string;
  readonly reference: string;
  readonly digest?: string;
  readonly blobs: readonly ExplainedBlob[];
  /** The last pull of it that failed, when it is not cached. */
  readonly lastFailure?: { readonly attempts: readonly { readonly source: string; readonly verdict: string }[] };
}

/** Runs a command with the server's URL and its administrator's password file. */
export function breakwater(server: RunningBreakwater, ...words: readonly string[]): Promise<CommandResult> {
  return runCommand(commandLine(server, words), { timeoutMs: 30_000 });
}

/** `breakwater explain IMAGE --json`. */
export async function explain(server: RunningBreakwater, image: string): Promise<Explanation> {
  return JSON.parse(await runToSuccess(commandLine(server, ['explain', image, '--json']), { timeoutMs: 30_000 }));
}

/** `breakwater project create NAME ...`; throws when it fails. */
export async function createProject(server: RunningBreakwater, ...words: readonly string[]): Promise<void> {
  await runToSuccess(commandLine(server, ['project', 'create', ...words]), { timeoutMs: 30_000 });
}

function commandLine(server: RunningBreakwater, words: readonly string[]): string[] {
  const passwordFile = join(server.dataDir, 'admin.password');
  return [bunBinary, mainFile, ...words, '--url', server.url, '--user', 'admin', '--password-file', passwordFile];
}
