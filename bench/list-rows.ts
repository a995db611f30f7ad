// The admin API's lists at full size: 10,000 repositories, 100,000 artifacts, 500,000 tags, one of the repositories with 10,000 artifacts and
// 100,000 tags. Each list is asked many times over one connection; the rows are the middle and the 99th of a hundred of its times.

import { fullSize, type SeedSize } from '../test/support/seed-content.ts';
import { startSeeded } from '../test/support/seeded-server.ts';
import type { Row, Scope } from './rows.ts';

const quickSize: SeedSize = { projects: 20, repositories: 1000, artifacts: 10_000, tags: 50_000 };
const targetMs = 50;

export async function listRows({ quick }: Scope): Promise<Row[]> {
  const { server, seeded, stop } = await startSeeded(quick ? quickSize : fullSize);
  try {
    const large = '/projects/project-0/repositories/large%252Frepository';
    const authorization = `Basic ${btoa(`admin:${server.adminPassword}`)}`;
    // First pages have the target; what is searched or far behind is shown beside them.
    const lists: readonly (readonly [name: string, path: string, isFirstPage: boolean])[] = [
      ['repositories', '/repositories', true],
      ['repositories of a project', '/projects/project-3/repositories', true],
      ['repositories by name', '/repositories?sort=name', true],
      ['repositories, part of a name', '/repositories?q=name%3D~99', true],
      ['artifacts', `${large}/artifacts`, true],
      ['artifacts, page of 100', `${large}/artifacts?page_size=100&with_accessory=true&with_label=true`, true],
      ['artifacts, tagged', `${large}/artifacts?q=tags%3D*`, true],
      ['artifacts, one tag', `${large}/artifacts?q=tags%3Dv30000-0`, true],
      ['artifacts of a project', '/projects/project-0/artifacts', true],
      ['tags of an artifact', `${large}/artifacts/${seeded.large.taggedMost}/tags`, true],
      ['tags of an artifact by name', `${large}/artifacts/${seeded.large.taggedMost}/tags?sort=name`, true],
      ['tags of the registry API', '/v2', true],
      ['artifacts, page 1,000', `${large}/artifacts?page=1000`, false],
      ['artifacts, part of a tag', `${large}/artifacts?q=tags%3D~-595`, false],
      ['artifacts by size', `${large}/artifacts?sort=size`, false],
      ['repositories by pulls', '/repositories?sort=-pull_count', false],
    ];
    const rows: Row[] = [];
    for (const [name, path, isFirstPage] of lists) {
      const url = path === '/v2' ? `${server.url}/v2/${seeded.large.name}/tags/list?n=100` : `${server.url}/api/v2.0${path}`;
      const times = await ask(url, authorization, quick ? 30 : 200);
      const [middle, late] = [times[Math.floor(times.length / 2)] ?? 0, times[Math.floor(times.length * 0.99)] ?? 0];
      rows.push({ name: `list: ${name}, p50`, unit: 'ms', ours: middle });
      rows.push({
        name: `list: ${name}, p99`,
        unit: 'ms',
        ours: late,
        ...(isFirstPage ? { target: `<= ${targetMs} ms`, holds: late <= targetMs } : {}),
      });
    }
    return rows;
  } finally {
    await stop();
  }
}

/** The times of answers, sorted; throws for anything but a 200. */
async function ask(url: string, authorization: string, times: number): Promise<number[]> {
  const taken: number[] = [];
  for (let index = 0; index < times; index++) {
    const startMs = performance.now();
    const answer = await fetch(url, { headers: { authorization } });
    await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`${url} was answered ${answer.status}`);
    taken.push(performance.now() - startMs);
  }
  return taken.sort((a, b) => a - b);
}
