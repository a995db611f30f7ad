// The admin API: placeholder wiring until the routes land.
import type { Principal } from '../auth/principal.ts';
import type { Log } from '../lib/log.ts';
import type { Explain } from '../registry/explain.ts';
import type { Projects } from '../registry/projects.ts';
import type { SourcePool } from '../registry/source-pool.ts';

export interface ApiParts {
  readonly projects: Projects;
  readonly explain: Explain;
  readonly pool: SourcePool;
  readonly version: string;
  readonly log: Log;
}
export function createApi(_parts: ApiParts): { handle(request: Request, principal: Principal): Promise<Response> } {
  return { handle: async () => new Response('not yet', { status: 404 }) };
}
