// `breakwater sources test`: lets the server ask sources now and tells what they did.

import type { z } from 'zod';
import { sourceTestSchema } from '../api/source-schemas.ts';
import { createApiClient } from './client.ts';
import { resolveConnection } from './connection.ts';
import { CommandFailure } from './failure.ts';
import type { OutputOptions } from './project.ts';
import { pickSources, readSources } from './source-pick.ts';
import { type Terminal, toJson } from './terminal.ts';
import { formatDuration, plain } from './text.ts';

export interface TestOptions extends OutputOptions {
  readonly all?: boolean;
  readonly registry?: string;
}

type SourceTest = z.infer<typeof sourceTestSchema>;

/** A test of one source asks several things of it. */
export const testTimeoutMs = 120_000;
const testsAtOnce = 4;

/** JSON: `[{id, registry, url, ok, steps}]`. Throws when one of them failed. */
export async function testSources(words: readonly string[], options: TestOptions, terminal: Terminal): Promise<void> {
  const client = createApiClient(await resolveConnection(options, terminal), { timeoutMs: testTimeoutMs });
  if ((words.length === 0) === (options.all !== true))
    throw new CommandFailure('either name sources or say --all', { hint: 'see --help', exitCode: 2 });
  const known = await readSources(client, options.registry);
  const wanted = options.all === true ? known.filter((source) => source.enabled) : pickSources(words, known);
  const results: { id: number; registry: string; url: string; test: SourceTest }[] = [];
  for (let first = 0; first < wanted.length; first += testsAtOnce) {
    const batch = wanted.slice(first, first + testsAtOnce).map(async ({ id, registry, url }) => {
      const { value } = await client.read(sourceTestSchema, { method: 'POST', path: `/sources/${id}/test`, body: {} });
      return { id, registry, url, test: value };
    });
    for (const result of await Promise.all(batch)) {
      results.push(result);
      if (options.json !== true)
        await terminal.write(`${plain(`${result.id} of ${result.registry}: ${result.url}`)}\n${formatTest(result.test)}`);
    }
  }
  if (options.json === true) await terminal.write(toJson(results.map(({ test, ...source }) => ({ ...source, ...test }))));
  const failed = results.filter(({ test }) => !test.ok).length;
  if (failed > 0) throw new CommandFailure(`${failed} of ${results.length} did not pass`);
}

/** A line for each step. */
export function formatTest({ steps }: SourceTest): string {
  return steps
    .map((step) => {
      const verdict = step.verdict === undefined || step.verdict === 'ok' ? '' : ` ${step.verdict}`;
      return `  ${step.ok ? 'ok    ' : 'FAILED'} ${plain(step.name)}${plain(verdict)} (${formatDuration(step.ms)})${step.detail === undefined ? '' : `: ${plain(step.detail)}`}\n`;
    })
    .join('');
}
