// skopeo as the tests use it: exact copies (every platform, digests preserved) over plain HTTP on loopback.
// It must never read the machine's own login file: each call names its credentials or an empty file.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestImages } from '../images/test-images.ts';
import { type CommandResult, runCommand, runToSuccess } from './command.ts';

export interface CopyOptions {
  readonly from: string;
  readonly to: string;
  /** `user:password` for the source or the target; without them the copy is anonymous. */
  readonly fromCredentials?: string;
  readonly toCredentials?: string;
  readonly timeoutMs?: number;
}

export interface Skopeo {
  /** Copies exactly (`--all --preserve-digests`); throws with skopeo's words when it fails. */
  copy(options: CopyOptions): Promise<void>;
  /** The same copy, giving the exit code instead of throwing. */
  tryCopy(options: CopyOptions): Promise<CommandResult>;
  /** `skopeo inspect --raw`, anonymous: the manifest's exact text. */
  inspectRaw(reference: string): Promise<CommandResult>;
  /** Removes the folder of this skopeo. */
  close(): void;
}

/** A skopeo with a temporary folder of its own. */
export function createSkopeo(images: TestImages): Skopeo {
  const folder = mkdtempSync(join(tmpdir(), 'skopeo-'));
  const noLogins = join(folder, 'auth.json');
  writeFileSync(noLogins, '{}');
  const common = ['skopeo', '--policy', images.policyFile, '--tmpdir', folder, '--registries.d', folder];
  const env = { REGISTRY_AUTH_FILE: noLogins };
  const copyWords = (options: CopyOptions): string[] => [
    ...common,
    ...['copy', '--quiet', '--all', '--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false'],
    ...(options.fromCredentials === undefined ? [] : ['--src-creds', options.fromCredentials]),
    ...(options.toCredentials === undefined ? [] : ['--dest-creds', options.toCredentials]),
    options.from,
    options.to,
  ];
  const limits = (timeoutMs?: number): { env: typeof env; timeoutMs?: number } => (timeoutMs === undefined ? { env } : { env, timeoutMs });
  return {
    copy: async (options) => {
      await runToSuccess(copyWords(options), limits(options.timeoutMs));
    },
    tryCopy: (options) => runCommand(copyWords(options), limits(options.timeoutMs)),
    inspectRaw: (reference) => runCommand([...common, 'inspect', '--raw', '--tls-verify=false', '--no-creds', reference], { env }),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
