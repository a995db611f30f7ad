// Writes docs/cli.md from what the commands say with --help, so that the page cannot differ from the program.
//
//   bun test/cli/reference-page.ts        writes it; the test beside it compares

import { join } from 'node:path';
import { runCli } from './run.ts';

export const pageFile = join(import.meta.dir, '../../docs/cli.md');

const introduction = `<!-- Written by test/cli/reference-page.ts from the commands' --help. Change it there or in src/cli/program.ts, then run
     \`bun test/cli/reference-page.ts\`. -->

# Commands

\`npx breakwater COMMAND\` in the folder of this package, or \`bin/breakwater\` through a link from anywhere. \`serve\` and \`config\` work by
themselves; \`project\`, \`sources\` and \`explain\` ask a running server through its [admin API](api.md).

## Which server, and as whom

On the server's own machine, in the folder it was started in, nothing needs to be said. Otherwise, the first of these that is there counts:

| | option | environment | else |
|---|---|---|---|
| address | \`--url\` | \`BREAKWATER_URL\` | of the last \`login\`, unless data folder or configuration are named; where the configuration lets the server listen, \`http://127.0.0.1:5000\` without one; under TLS its \`external_url\` |
| user | \`--user\` | \`BREAKWATER_USER\` | of the \`login\` that is kept, else \`admin\` |
| password | \`--password-file\` | \`BREAKWATER_PASSWORD\` | what \`login\` kept, else \`admin.password\` in the data folder |
| data folder | \`--data\` | \`BREAKWATER_DATA\` | \`data\` in the configuration, else \`./data\` |
| configuration | \`--config\` | \`BREAKWATER_CONFIG\` | none |

A password is never an option, because others see the command line of a process. A server with a certificate of an authority of your own wants
\`--ca-file\`. A proxy in the environment (\`HTTPS_PROXY\`, \`NO_PROXY\`) is used for other machines, never for this one. Redirects are not followed.
Every request ends after 30 seconds.

## Output and exit codes

Results go to standard output, everything else to standard error: \`error: what is wrong\` and often \`hint: what to do\`. With \`--json\` standard
output is one JSON document, whose members stay as they are:

| command | document |
|---|---|
| \`config check\` | \`{"valid": true, "file", "listen", "data", "registries": [name], "warnings": [text]}\` or \`{"valid": false, "file", "problems": [{"origin", "line", "key", "text"}]}\`; \`file\` is null without one |
| \`config print\` | the configuration, with the keys of a config file |
| \`project create\` | \`{"created": bool, "project": Project, "warnings": [text]}\` |
| \`project list\` | \`[Project]\` |
| \`project delete\` | \`{"deleted": bool, "name"}\` |
| \`login\` | \`{"url", "user", "admin": bool, "mustChangePassword": bool, "kept": "token" or "password", "file"}\` |
| \`logout\` | \`{"loggedOut": [url]}\` |
| \`user create\` | \`{"created": bool, "user": User, "password"}\`; \`password\` only when it was made here |
| \`user list\`, \`set\`, \`enable\`, \`disable\` | \`[User]\`, \`User\` |
| \`user password\` | \`{"changed": true, "user", "password"}\`; \`password\` only when it was made here |
| \`user delete\` | \`{"deleted": bool, "name"}\` |
| \`member list\`, \`add\`, \`set\` | \`[ProjectMember]\`, \`ProjectMember\` |
| \`member remove\` | \`{"removed": ProjectMember}\` |
| \`group list\`, \`create\` | \`[UserGroup]\`, \`UserGroup\` |
| \`group members\` | \`[{"user_id", "username"}]\` |
| \`group add\`, \`remove\` | \`{"group", "user", "isIn": bool}\` |
| \`group delete\`, \`role delete\` | \`{"deleted": true, "name"}\` |
| \`role list\`, \`show\`, \`create\`, \`set\` | \`[Role]\`, \`Role\` |
| \`role actions\` | \`Permissions\` |
| \`role grant\`, \`grants\` | \`Grant\`, \`[Grant]\` |
| \`role revoke\` | \`{"revoked": true, "id"}\` |
| \`admin reset-password\` | \`{"account", "made": bool, "wasAdmin": bool, "wasDisabled": bool, "mustChangePassword": bool, "password"}\`; \`password\` only when it was made here |
| \`sources list\` | \`[RegistrySources]\` |
| \`sources add\` | \`{"source": SourceDetail, "test": SourceTest or null}\` |
| \`sources set\` | \`SourceDetail\` |
| \`sources enable\`, \`sources disable\` | \`[SourceDetail]\` |
| \`sources remove\` | \`{"removed": [{"id", "registry", "url"}]}\`; of a whole registry \`{"removedRegistry": name}\` |
| \`sources order\`, \`sources public\` | \`Registry\` |
| \`sources test\` | \`[{"id", "registry", "url", "ok", "steps"}]\` |
| \`sources history\` | \`SourceHistory\` |
| \`sources import\` | \`{"files": [{"file", "kind"}], "sources": [{"action": "add" or "skip", "registry", "url", "trust", "priority", "place", "reason", "flag", "warnings", ...}], "remarks": [{"place", "text"}]}\`; with --test \`tests\`, with --yes \`results\` |
| \`presets show\` | the file of presets and \`"origin": "shipped" or "update"\`; of one host \`{"host", "known"}\`, \`known\` is null when nothing is |
| \`presets check\` | \`{"valid": true, "serial", "date", "registries": count, "mirrors": count, "dead": count, "signed": bool}\` |
| \`presets update\` | \`Presets\` |
| \`explain\` | \`Explanation\` |
| \`signing-keys list\`, \`signing-keys rotate\` | \`[{"id", "algorithm", "signs": bool, "creation_time", "retires_at"}]\` |
| \`check-login\` | \`{"url", "ok": bool, "findings": [{"step", "problem", "message", "fix"}]}\`; a finding without \`problem\` is well |
| \`version\` | \`{"version", "bun", "platform", "architecture"}\` |

\`Project\`, \`RegistrySources\`, \`SourceDetail\`, \`SourceTest\`, \`Registry\` and \`Explanation\` are described in the [admin API](api.md).

| exit code | |
|---|---|
| 0 | it worked; \`serve\`: it was asked to end, and ended without loss |
| 1 | it did not work; the configuration cannot be used |
| 2 | the command line is not understood |
| 70 | \`serve\` only: the database cannot be written any more |

In scripts, \`project create --if-absent\` and \`project delete --if-exists\` may be repeated. \`--if-absent\` fails when the project exists with
another kind, visibility, registry or sparse setting than asked for, so that nothing is pushed to a public project in the belief that it is private.
`;

/** The whole page. */
export async function renderReference(): Promise<string> {
  const sections: string[] = [];
  for (const words of await listCommands([])) {
    const help = await helpOf(words);
    sections.push(`## breakwater ${words.join(' ')}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`);
  }
  return `${introduction}\n${sections.join('\n')}`;
}

/** Every command that has no commands of its own, in the order of the help texts. */
async function listCommands(words: readonly string[]): Promise<readonly (readonly string[])[]> {
  const listed = /\nCommands:\n([\s\S]*?)(\n\n|$)/.exec(await helpOf(words))?.[1];
  if (listed === undefined) return [words];
  const names = [...listed.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map((match) => match[1] ?? '');
  const found: (readonly string[])[] = [];
  for (const name of names) found.push(...(await listCommands([...words, name])));
  return found;
}

async function helpOf(words: readonly string[]): Promise<string> {
  const { stdout, code } = await runCli([...words, '--help']);
  if (code !== 0) throw new Error(`breakwater ${words.join(' ')} --help ended with ${code}`);
  return stdout;
}

if (import.meta.main) await Bun.write(pageFile, await renderReference());
