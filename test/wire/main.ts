// Command line of the wire suite: runs it against any registry and prints what holds and what does not.
//   bun test/wire/main.ts --url URL [--user NAME --password SECRET] [--scheme basic|bearer] [--repository-prefix P] [--private-prefix P]
//                         [--only TEXT] [--json]
// Exit code 0 when every case passed or was skipped, 1 when one failed, 2 on a wrong command line.
// It pushes to fresh repositories under the prefix and must never touch any other.

import { parseArgs } from 'node:util';
import { allCases } from './all-cases.ts';
import { freshPrefix, runSuite, type SuiteResult } from './suite.ts';

const usage =
  'usage: bun test/wire/main.ts --url URL [--user NAME --password SECRET] [--scheme basic|bearer]\n' +
  '         [--repository-prefix P] [--private-prefix P] [--only TEXT] [--json]';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      user: { type: 'string' },
      password: { type: 'string' },
      scheme: { type: 'string' },
      'repository-prefix': { type: 'string' },
      'private-prefix': { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean' },
    },
  });
  const scheme = values.scheme === 'basic' || values.scheme === 'bearer' ? values.scheme : undefined;
  if (values.url === undefined || !URL.canParse(values.url) || scheme !== values.scheme) {
    console.error(usage);
    return 2;
  }
  const only = values.only ?? '';
  const result = await runSuite({
    target: {
      url: values.url,
      ...(values.user === undefined ? {} : { username: values.user, password: values.password ?? '' }),
      ...(scheme === undefined ? {} : { scheme }),
    },
    cases: allCases.filter((item) => item.id.includes(only)),
    prefix: freshPrefix(values['repository-prefix'] ?? 'library'),
    ...(values['private-prefix'] === undefined ? {} : { privatePrefix: freshPrefix(values['private-prefix']) }),
  });
  console.log(values.json === true ? JSON.stringify(result, null, 2) : formatResult(result));
  return result.failed.length === 0 ? 0 : 1;
}

function formatResult(result: SuiteResult): string {
  const lines = result.failed.map((item) => `FAIL ${item.level.padEnd(7)} ${item.id}\n     ${item.clause}\n     ${item.reason}`);
  const reasons = new Map<string, number>();
  for (const { reason } of result.skipped) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const [reason, count] of reasons) lines.push(`skipped ${count}: ${reason}`);
  const seconds = (result.durationMs / 1000).toFixed(1);
  lines.push(
    `${result.passed.length} passed, ${result.failed.length} failed, ${result.skipped.length} skipped (${result.requestCount} requests, ${seconds} s)`,
  );
  return lines.join('\n');
}

try {
  process.exitCode = await main();
} catch (cause) {
  console.error(cause instanceof Error ? cause.message : String(cause));
  process.exitCode = 2;
}
