// The options of `sources add` and `sources set` as the settings that the API takes. What they mean is checked by the server.

import { readFileSync } from 'node:fs';
import { CommandFailure } from './failure.ts';
import type { OutputOptions } from './project.ts';

export interface SettingOptions extends OutputOptions {
  readonly trust?: string;
  readonly priority?: string;
  readonly pathStyle?: string;
  readonly proxy?: string;
  readonly username?: string;
  readonly sourcePasswordFile?: string;
  readonly sourcePasswordPath?: string;
  readonly sourcePasswordEnv?: string;
  readonly helper?: string;
  readonly realm?: readonly string[];
  readonly allowPrivate?: boolean;
  readonly sourceCaFile?: string;
  readonly sourceInsecure?: boolean;
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly connections?: string;
  readonly requestsPerMinute?: string;
  readonly bytesPerSecond?: string;
  readonly operator?: string;
}

export interface AddOptions extends SettingOptions {
  readonly registry: string;
  readonly newRegistry?: boolean;
  readonly disabled?: boolean;
  readonly test: boolean;
}

type Settings = Record<string, unknown>;

/** Those that were given. `before` are the settings of the source: what is inside `tls`, `limits` and `scope` and was not given stays. */
export function settingsOf(options: SettingOptions, before: Readonly<Settings> = {}): Settings {
  const { sourceInsecure: insecure, sourceCaFile: caFile } = options;
  const tls = given({ ca: caFile === undefined ? undefined : readText(caFile, '--source-ca-file'), insecure });
  const limits = given({
    connections: countOf(options.connections, '--connections'),
    requests_per_minute: countOf(options.requestsPerMinute, '--requests-per-minute'),
    bytes_per_second: options.bytesPerSecond,
  });
  const scope = given({ allow: options.allow, deny: options.deny });
  return given({
    trust: options.trust,
    priority: countOf(options.priority, '--priority'),
    path_style: options.pathStyle,
    proxy: options.proxy,
    credentials: credentialsOf(options),
    realms: options.realm,
    allow_private: options.allowPrivate,
    tls: merged(before['tls'], tls),
    limits: merged(before['limits'], limits),
    scope: merged(before['scope'], scope),
    operator: options.operator,
  });
}

function credentialsOf(options: SettingOptions): Settings | undefined {
  const { username, sourcePasswordFile: file, sourcePasswordPath: path, sourcePasswordEnv: variable, helper } = options;
  const credentials = given({
    username,
    password: file === undefined ? undefined : readText(file, '--source-password-file').replace(/\r?\n$/, ''),
    password_file: path,
    password_env: variable,
    helper: helper?.split(/\s+/).filter((word) => word !== ''),
  });
  return Object.keys(credentials).length === 0 ? undefined : credentials;
}

function given(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function merged(before: unknown, now: Settings): Settings | undefined {
  if (Object.keys(now).length === 0) return undefined;
  return { ...(typeof before === 'object' && before !== null ? before : {}), ...now };
}

function countOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new CommandFailure(`${option}: "${text.slice(0, 40)}" is no whole number`, { exitCode: 2 });
  return Number(text);
}

function readText(file: string, option: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new CommandFailure(`${option}: ${file} cannot be read (${reason})`, { exitCode: 2, cause });
  }
}
