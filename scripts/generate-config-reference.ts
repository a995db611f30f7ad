// Writes docs/config.md from the config schema, so that the reference cannot differ from what the server reads.
//
//   bun scripts/generate-config-reference.ts            writes it
//   bun scripts/generate-config-reference.ts --check    ends with 1 when the file in docs/ is out of date

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { unwrap } from '../src/config/issue.ts';
import { registriesOf, shippedPresets } from '../src/config/presets.ts';
import { configSchema } from '../src/config/schema.ts';
import { settingWords } from '../src/config/setting.ts';

const introduction = `<!-- Written by scripts/generate-config-reference.ts from the schema in src/config/schema.ts. Change it there, then run \`npm run docs\`. -->

# Configuration

Breakwater runs without a config file. \`breakwater serve --config FILE\` (or the environment variable \`BREAKWATER_CONFIG\`) names one, in YAML.
Unknown keys are errors. \`breakwater config check\` tells what is wrong with a file; \`breakwater config print\` shows everything that holds, defaults
included, passwords hidden.

The command line wins over the environment, which wins over the file:

| setting | option | environment |
|---|---|---|
| config file | \`--config FILE\` | \`BREAKWATER_CONFIG\` |
| \`data\` | \`--data DIR\` | \`BREAKWATER_DATA\` |
| \`master_key_file\` | | \`BREAKWATER_MASTER_KEY_FILE\` |
| \`listen\` | \`--listen HOST:PORT\` | \`BREAKWATER_LISTEN\` |
| password of \`admin\`, first start only | | \`BREAKWATER_ADMIN_PASSWORD\` |

Relative paths start at the working directory of the server.

## Example

\`\`\`yaml
listen: 0.0.0.0:5000
data: ./data
external_url: https://registry.example.com
trusted_proxies: [10.0.0.0/8]
anonymous_pull: true
mirror: { root: docker.io, tag_ttl: 60s, stale_if_error: 30d }
registries:
  docker.io:
    sources:
      - { url: "https://mirror-a.example", trust: digest-only, priority: 10 }
      - url: https://registry-1.docker.io
        trust: authority
        priority: 20
        proxy: http://proxy.lan:3128
        realms: [https://auth.docker.io]
limits:
  blob_bytes: 50GiB
\`\`\`
`;

const file = join(import.meta.dir, '../docs/config.md');
const text = render();
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) {
  console.error('docs/config.md is out of date: run `npm run docs`');
  process.exit(1);
}

function render(): string {
  return `${introduction}
## Settings

Durations name their unit (\`500ms\`, \`60s\`, \`5m\`, \`24h\`, \`30d\`), sizes too (\`512KiB\`, \`4MiB\`, \`100GiB\`). \`NAME\` stands for a registry's
name, \`[]\` for each entry of a list. A setting without a default is required where the mapping around it is present.

${listSettings(configSchema, [])
  .map((one) => `### \`${one.key}\`\n\n${one.about}\n\n- Expected: ${one.expected}\n- Default: ${one.fallback}\n`)
  .join('\n')}
## Well-known registries

Mirrored unless \`presets: false\`. An entry of the same name under \`registries\` replaces the sources listed here.
Public mirrors of them are known, too, and off: [sources](sources.md).

| registry | source | token service elsewhere |
|---|---|---|
${[...registriesOf(shippedPresets)]
  .map(([name, { sources }]) =>
    sources
      .slice(0, 1)
      .map((one) => `| ${name} | ${one.url} | ${one.realms.join(' ')} |`)
      .join('\n'),
  )
  .join('\n')}
`;
}

interface Entry {
  readonly key: string;
  readonly about: string;
  readonly expected: string;
  readonly fallback: string;
}

function listSettings(schema: z.core.$ZodType, path: readonly string[], outer?: z.core.$ZodType): Entry[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject)
    return Object.entries(inner.shape).flatMap(([key, value]) => listSettings(value, [...path, key], value));
  if (inner instanceof z.ZodRecord) return listSettings(inner.valueType, [...path, 'NAME']);
  if (inner instanceof z.ZodArray) {
    const place = [...path.slice(0, -1), `${path.at(-1)}[]`];
    const element = unwrap(inner.element);
    return listSettings(inner.element, place, element instanceof z.ZodObject ? undefined : outer);
  }
  const words = settingWords.get(inner);
  if (words === undefined) throw new Error(`${path.join('.')} has no words`);
  return [{ key: path.join('.'), about: words.about, expected: words.expected, fallback: describeDefault(outer, words.absent) }];
}

function describeDefault(schema: z.core.$ZodType | undefined, absent: string | undefined): string {
  if (schema instanceof z.ZodPrefault) {
    const value: unknown = schema.def.defaultValue;
    return Array.isArray(value) ? 'an empty list' : `\`${String(value)}\``;
  }
  return absent ?? (schema instanceof z.ZodOptional ? 'none' : 'none, required');
}
