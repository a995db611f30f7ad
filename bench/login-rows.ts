// What logins cost: a token made and checked, a pull with a token against one without, and pulls while 500 clients guess passwords.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryKeys } from '../src/auth/token-keys-fixture.ts';
import { createTokens } from '../src/auth/tokens.ts';
import { systemClock } from '../src/lib/clock.ts';
import { startOurs } from './contenders.ts';
import { populate } from './content.ts';
import { measurePulls } from './pace.ts';
import { type Row, type Scope, wrk } from './rows.ts';

const config = 'presets: false\nmirror: { root: false }\ntrusted_proxies: [127.0.0.1]\n';
const guessers = 500;

export async function loginRows({ folder, quick }: Scope): Promise<Row[]> {
  const rows = await tokenRows(quick ? 1000 : 5000);
  const server = await startOurs({ config });
  try {
    const paths = await populate(server, 20, 10);
    // One token for each repository, as clients ask for them.
    const tokens = new Map<string, string>();
    for (let index = 0; index < 20; index++) {
      const name = `library/bench-${index}`;
      const answer = await fetch(`${server.url}/service/token?scope=repository:${name}:pull`);
      tokens.set(name, ((await answer.json()) as { token: string }).token);
    }
    const tokenFor = (path: string): string => tokens.get(/^\/v2\/(.+)\/manifests\//.exec(path)?.[1] ?? '') ?? '';
    const rates = { token: [] as number[], anonymous: [] as number[] };
    // Turn about, so that whatever else the machine does weighs on both.
    for (let turn = 0; turn < 3; turn++) {
      for (const kind of ['token', 'anonymous'] as const) {
        const list = join(folder, `login-${kind}.paths`);
        writeFileSync(list, `${paths.map((path) => `${path}\t${kind === 'token' ? tokenFor(path) : ''}`).join('\n')}\n`);
        rates[kind].push(await wrk(server, list, folder, quick ? 2 : 5));
      }
    }
    const [withToken, without] = [median(rates.token), median(rates.anonymous)];
    rows.push({ name: 'manifest GET without a token', unit: 'requests/s', ours: without });
    rows.push({
      name: 'manifest GET with a token',
      unit: 'requests/s',
      ours: withToken,
      target: '>= 0.9x of without',
      holds: withToken >= 0.9 * without,
    });
    const target = { url: `${server.url}${paths[0] ?? ''}`, perSecond: 100, seconds: quick ? 3 : 8 };
    const quiet = await measurePulls(target);
    const guessing = guess(server.url);
    await Bun.sleep(500);
    const busy = await measurePulls(target);
    const counts = await guessing.stop();
    rows.push({ name: 'pull p99, quiet', unit: 'ms', ours: quiet.p99Ms });
    rows.push({
      name: `pull p99, ${guessers} clients guessing passwords`,
      unit: 'ms',
      ours: busy.p99Ms,
      target: '<= 2x of quiet, or 5 ms',
      holds: busy.p99Ms <= Math.max(5, 2 * quiet.p99Ms),
    });
    rows.push({ name: 'wrong logins answered meanwhile', unit: '1/s', ours: counts.perSecond });
    rows.push({ name: 'of them put off with 429', unit: '%', ours: counts.refusedPercent });
  } finally {
    await server.stop();
  }
  return rows;
}

async function tokenRows(count: number): Promise<Row[]> {
  const tokens = createTokens({ keys: await temporaryKeys(), clock: systemClock, audience: 'here' });
  const scopes = [{ name: 'library/app', actions: ['pull'] as const, projectId: 1, projectEpoch: 0 }];
  const made: string[] = [];
  const startMs = performance.now();
  for (let index = 0; index < count; index++) {
    const issued = await tokens.issue({ subject: `user:${index}`, epoch: 0, audience: 'here', scopes, mayListCatalog: false });
    if (issued !== undefined) made.push(issued.token);
  }
  const issuedMs = performance.now();
  for (const token of made) await tokens.verify(token);
  const verifiedMs = performance.now();
  for (const token of made) await tokens.verify(token);
  const againMs = performance.now();
  const each = (ms: number): number => (ms / count) * 1000;
  return [
    { name: 'token made', unit: 'us', ours: each(issuedMs - startMs) },
    { name: 'token checked the first time', unit: 'us', ours: each(verifiedMs - issuedMs) },
    { name: 'token checked again', unit: 'us', ours: each(againMs - verifiedMs) },
  ];
}

/** Wrong logins of many names from many addresses, as many at once as there are guessers. */
function guess(url: string): { stop(): Promise<{ perSecond: number; refusedPercent: number }> } {
  let isStopped = false;
  let answered = 0;
  let refused = 0;
  const startMs = performance.now();
  const work = Array.from({ length: guessers }, async (_, index) => {
    for (let turn = 0; !isStopped; turn++) {
      const authorization = `Basic ${Buffer.from(`name-${index}:guess ${turn}`).toString('base64')}`;
      const headers = { authorization, 'x-forwarded-for': `198.18.${index % 250}.${1 + (turn % 250)}` };
      const response = await fetch(`${url}/service/token`, { headers });
      await response.arrayBuffer();
      answered++;
      if (response.status === 429) refused++;
      await Bun.sleep(20);
    }
  });
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(work);
      const seconds = (performance.now() - startMs) / 1000;
      return { perSecond: answered / seconds, refusedPercent: (100 * refused) / Math.max(1, answered) };
    },
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
