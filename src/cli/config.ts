// `breakwater config check|print`: reads the configuration as the server would, starts nothing, and shows no password.

import { parse } from 'yaml';
import { formatListen } from '../config/addresses.ts';
import { blockedSources } from '../config/egress-check.ts';
import { ConfigError } from '../config/error.ts';
import { type LoadOptions, loadConfig } from '../config/load.ts';
import { printConfig } from '../config/print.ts';
import { CommandFailure } from './failure.ts';
import { type Terminal, toJson } from './terminal.ts';

export interface ConfigOptions {
  readonly config?: string;
  readonly data?: string;
  readonly listen?: string;
  readonly json?: boolean;
}

/** JSON: `{valid: true, file, listen, data, registries, warnings}` or `{valid: false, file, problems}`. */
export async function checkConfig(options: ConfigOptions, terminal: Terminal): Promise<void> {
  const file = options.config ?? (terminal.env['BREAKWATER_CONFIG'] || undefined);
  try {
    const config = loadConfig(loadOptions(options, terminal));
    const listen = formatListen(config.listen);
    const registries = [...config.registries.keys()];
    const warnings = blockedSources(config);
    await terminal.write(
      options.json === true
        ? toJson({ valid: true, file: file ?? null, listen, data: config.dataDir, registries, warnings })
        : `${file === undefined ? 'there is no config file; the defaults' : file} can be used: listens on ${listen}, keeps its data in ${config.dataDir}, knows ${registries.length} registries\n`,
    );
    if (options.json !== true) for (const warning of warnings) await terminal.warn(`warning: ${warning}\n`);
  } catch (error) {
    if (!(error instanceof ConfigError) || options.json !== true) throw error;
    await terminal.write(toJson({ valid: false, file: file ?? null, problems: error.problems }));
    throw new CommandFailure('the configuration cannot be used', { cause: error });
  }
}

/** YAML that is a valid config file of the same meaning, or the same as JSON. */
export async function showConfig(options: ConfigOptions, terminal: Terminal): Promise<void> {
  const text = printConfig(loadConfig(loadOptions(options, terminal)));
  await terminal.write(options.json === true ? toJson(parse(text)) : text);
}

function loadOptions(options: ConfigOptions, { env }: Terminal): LoadOptions {
  return { file: options.config, env, overrides: { data: options.data, listen: options.listen } };
}
