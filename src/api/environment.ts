// What every route of the admin API is given: the parts it calls, and the router's types.

import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Principal } from '../auth/principal.ts';
import type { Log } from '../lib/log.ts';
import type { OciError, OciErrorCode } from '../oci/errors.ts';
import type { Explain } from '../registry/explain.ts';
import type { History } from '../registry/history.ts';
import type { Offline } from '../registry/offline.ts';
import type { PresetUpdates } from '../registry/preset-updates.ts';
import type { Projects } from '../registry/projects.ts';
import type { Sources } from '../registry/sources.ts';

export interface ApiParts {
  readonly projects: Projects;
  readonly explain: Explain;
  readonly offline: Offline;
  readonly sources: Sources;
  readonly history: Pick<History, 'read'>;
  readonly presets: PresetUpdates;
  readonly version: string;
  readonly log: Log;
  /** Makes one small read; throws when the database cannot be read. */
  readonly checkDatabase: () => Promise<void>;
  /** How coded errors go over HTTP: one table for the whole server, so it is handed in. */
  readonly errors: {
    errorResponse(error: OciError, options: { head: boolean; headers?: Readonly<Record<string, string>> }): Response;
    statusOf(code: OciErrorCode): number;
  };
}

export interface ApiEnvironment {
  readonly Bindings: { readonly principal: Principal };
}
export type ApiRouter = OpenAPIHono<ApiEnvironment>;

/** Registers routes. Their rights stand in the policy table; a thrown OciError is the answer. */
export type RouteGroup = (router: ApiRouter, parts: ApiParts) => void;

/** In a route's definition: the codes it may throw, apart from those of its right and its input. */
export const errorCodesKey = 'x-error-codes';
