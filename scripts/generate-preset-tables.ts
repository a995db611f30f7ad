// Writes the tables of docs/sources.md (registries, public mirrors, dead hosts) from presets/presets.json, between the two marks in that page.
//
//   bun scripts/generate-preset-tables.ts            writes them
//   bun scripts/generate-preset-tables.ts --check    ends with 1 when the page is out of date

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PresetMirror, PresetOperator } from '../src/config/preset-data.ts';
import { shippedPresets } from '../src/config/presets.ts';

const file = join(import.meta.dir, '../docs/sources.md');
const marks = ['<!-- presets: written by scripts/generate-preset-tables.ts -->\n', '<!-- end of presets -->\n'] as const;

const page = readFileSync(file, 'utf8');
const [start, end] = [page.indexOf(marks[0]), page.indexOf(marks[1])];
if (start === -1 || end < start) throw new Error('docs/sources.md has lost its marks');
const text = `${page.slice(0, start)}${marks[0]}${render()}${page.slice(end)}`;
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (text !== page) {
  console.error('docs/sources.md is out of date: run `npm run docs`');
  process.exit(1);
}

function render(): string {
  const { registries, operators, dead, serial, date } = shippedPresets;
  const mirrors = operators.flatMap((operator) => operator.mirrors.map((mirror) => ({ operator, mirror })));
  const reasons = [...new Set(dead.map((one) => `${one.since}: ${one.reason}`))];
  return `
Serial ${serial}, ${date}.

### Registries

| registry | endpoint (authority) | token service elsewhere | login | |
|---|---|---|---|---|
${registries.map((one) => `| ${one.name} | ${one.url} | ${one.realms.join(' ')} | ${one.login} | ${one.note ?? ''} |`).join('\n')}

### Public mirrors

All of them are off until you turn them on, and are never believed about tags. "Listed" means that public lists had them at that date; nobody has
probed them for this table.

| registry | mirror | operator | login | from | has | last listed | |
|---|---|---|---|---|---|---|---|
${registries.flatMap(({ name }) => mirrors.filter(({ mirror }) => mirror.registry === name).map(mirrorRow)).join('\n')}

### Operators without an address of their own here

| operator | hosts | |
|---|---|---|
${operators
  .filter((one) => one.mirrors.length === 0)
  .map((one) => `| ${one.name} | ${one.hosts.map((host) => `\`${host}\``).join(', ')} | ${one.note ?? ''} |`)
  .join('\n')}

### Dead hosts

\`sources import\` skips them. Take them out of clients' files as well: whoever registers such a name next is what these clients then pull from.

${reasons
  .map(
    (reason) =>
      `- ${reason}: ${dead
        .filter((one) => `${one.since}: ${one.reason}` === reason)
        .map((one) => one.host)
        .join(', ')}`,
  )
  .join('\n')}

`;
}

function mirrorRow({ operator, mirror }: { operator: PresetOperator; mirror: PresetMirror }): string {
  const limits = operator.limits === undefined ? [] : [`${operator.limits.requests_per_minute ?? 'any'} requests/min`];
  const doubtful = operator.state === 'doubtful' ? ['doubtful'] : [];
  const notes = [...doubtful, ...limits, ...[mirror.note, operator.note].filter((note) => note !== undefined)];
  const has = mirror.repositories?.join(' ') ?? operator.scope;
  return `| ${mirror.registry} | ${mirror.url} | ${operator.id} | ${mirror.login ?? operator.login} | ${operator.network} | ${has} | ${operator.last_seen} | ${notes.join('; ')} |`;
}
