// The program's entry: hands the words of the command line to the commands.

import { serve } from './cli/serve.ts';
import { ConfigError } from './config/error.ts';
import { loadConfig } from './config/load.ts';

const args = process.argv.slice(2);
const option = (name: string): string | undefined => {
  const at = args.indexOf(name);
  return at === -1 ? undefined : args[at + 1];
};
try {
  const config = loadConfig({ file: option('--config'), env: process.env, overrides: { data: option('--data'), listen: option('--listen') } });
  process.exit(await serve(config, process.env));
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : String(error)}\n`);
  process.exit(1);
}
