// `breakwater version`: what is installed here. It asks no server.

import pkg from '../../package.json' with { type: 'json' };
import { type Terminal, toJson } from './terminal.ts';

/** JSON: `{version, bun, platform, architecture}`. */
export async function showVersion(options: { readonly json?: boolean }, terminal: Terminal): Promise<void> {
  const { version } = pkg;
  const { platform, arch } = process;
  const text = `breakwater ${version} (Bun ${Bun.version}, ${platform} ${arch})\n`;
  await terminal.write(options.json === true ? toJson({ version, bun: Bun.version, platform, architecture: arch }) : text);
}
