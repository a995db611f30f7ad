// The README's words on teams are true: its commands run, in their order, on a server that was just started.

import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bunBinary, mainFile, startBreakwater } from '../support/breakwater.ts';

const root = join(import.meta.dir, '../..');
const commandsOf = (page: string): readonly string[] => {
  const text = readFileSync(join(root, page), 'utf8');
  const [, block = ''] = /<!-- tested: access -->\n```sh\n([\s\S]*?)```/.exec(text) ?? [];
  return block.trim().split('\n');
};

test('the commands for teams run as they stand there, in both languages the same', async () => {
  const commands = commandsOf('README.md');
  expect(commands.length).toBeGreaterThan(3);
  expect(commandsOf('README.zh-CN.md')).toEqual(commands);
  const server = await startBreakwater({ config: 'presets: false\n' });
  try {
    for (const command of commands) {
      const [, , ...words] = command.split(' ');
      const child = Bun.spawn([bunBinary, mainFile, ...words], {
        env: { ...process.env, BREAKWATER_URL: server.url, BREAKWATER_PASSWORD: server.adminPassword },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
        timeout: 60_000,
      });
      const errors = await new Response(child.stderr).text();
      expect([command, await child.exited, errors]).toEqual([command, 0, errors]);
    }
    const members = await fetch(`${server.url}/api/v2.0/projects/team-a/members`, {
      headers: { authorization: `Basic ${btoa(`admin:${server.adminPassword}`)}` },
    });
    expect(await members.json()).toContainEqual(expect.objectContaining({ entity_name: 'lena', role_name: 'developer' }));
  } finally {
    await server.stop();
  }
});
