// What every route of the admin API is given: the parts it calls, and the router's types.

import type { OpenAPIHono } from '@hono/zod-openapi';
import type { AccessPolicy } from '../auth/access.ts';
import type { Audit } from '../auth/audit.ts';
import type { AuditReader } from '../auth/audit-log.ts';
import type { CliSecrets } from '../auth/cli-secrets.ts';
import type { DirectoryPeople } from '../auth/directory-people.ts';
import type { DirectorySync } from '../auth/directory-sync.ts';
import type { IdentityProviders } from '../auth/identity-providers.ts';
import type { Logins } from '../auth/logins.ts';
import type { People } from '../auth/people.ts';
import type { Caller } from '../auth/principal.ts';
import type { ProviderTests } from '../auth/provider-tests.ts';
import type { Robots } from '../auth/robots.ts';
import type { Sessions } from '../auth/sessions.ts';
import type { TokenKeys } from '../auth/token-keys.ts';
import type { Workloads } from '../auth/workloads.ts';
import type { Project } from '../db/projects.ts';
import type { Log } from '../lib/log.ts';
import type { OciError, OciErrorCode } from '../oci/errors.ts';
import type { Artifacts } from '../registry/artifacts.ts';
import type { Explain } from '../registry/explain.ts';
import type { History } from '../registry/history.ts';
import type { Labels } from '../registry/labels.ts';
import type { Offline } from '../registry/offline.ts';
import type { Overview } from '../registry/overview.ts';
import type { PresetUpdates } from '../registry/preset-updates.ts';
import type { Projects } from '../registry/projects.ts';
import type { RepositoryCatalog } from '../registry/repository-catalog.ts';
import type { Settings } from '../registry/settings.ts';
import type { Sources } from '../registry/sources.ts';
import type { LoginReport } from '../upstream/login-check.ts';
import type { Arrival } from '../upstream/login-problems.ts';
import type { PolicyTable } from './policy.ts';

export interface ApiParts extends People {
  readonly access: AccessPolicy;
  readonly sessions: Sessions;
  readonly logins: Pick<Logins, 'login'>;
  readonly projects: Projects;
  readonly labels: Labels;
  readonly overview: Overview;
  readonly settings: Settings;
  /** Settings that are kept elsewhere and that Harbor's clients change through `/configurations`. */
  readonly configurationParts: readonly ConfigurationPart[];
  readonly repositories: RepositoryCatalog;
  readonly artifacts: Artifacts;
  readonly explain: Explain;
  readonly offline: Offline;
  readonly sources: Sources;
  readonly history: Pick<History, 'read'>;
  /** What was done is told to it. */
  readonly audit: Pick<Audit, 'record' | 'note' | 'noteRefusal'>;
  readonly auditLog: AuditReader;
  readonly presets: PresetUpdates;
  readonly identity: {
    readonly providers: IdentityProviders;
    readonly tests: ProviderTests;
    readonly directorySync: DirectorySync;
    readonly directoryPeople: DirectoryPeople;
  };
  readonly tokenKeys: Pick<TokenKeys, 'list' | 'rotate'>;
  /** Through `external_url`; undefined without one. */
  readonly checkLogin: () => Promise<LoginReport | undefined>;
  readonly robots: Robots;
  readonly cliSecrets: CliSecrets;
  readonly workloads: Workloads;
  readonly version: string;
  /** Where clients find the server, where that was configured. */
  readonly externalUrl: string | undefined;
  readonly log: Log;
  /** Makes one small read; throws when the database cannot be read. */
  readonly checkDatabase: () => Promise<void>;
  /** How coded errors go over HTTP: one table for the whole server, so it is handed in. */
  readonly errors: {
    errorResponse(error: OciError, options: { head: boolean; headers?: Readonly<Record<string, string>> }): Response;
    statusOf(code: OciErrorCode): number;
  };
}

/** Keys of `/configurations` that mean something kept elsewhere, such as those of an LDAP server. */
export interface ConfigurationPart {
  readonly keys: ReadonlySet<string>;
  /** Without secrets. */
  read(): Promise<Readonly<Record<string, string | number | boolean>>>;
  /** Some of its keys; BAD_REQUEST for a value that makes no sense. */
  change(values: Readonly<Record<string, unknown>>): Promise<void>;
}

/** What a handler did, for the audit; the guard has the rest. Values are plain and hold no secrets. */
export interface Change {
  readonly resourceType: string;
  readonly resource: string;
  readonly projectId?: number;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** An object that a route names by its id, and the project it belongs to; without one it is the server's. */
export interface OwnedObject {
  readonly project?: Project;
  readonly value: unknown;
}
export type ObjectResolver = (id: string, caller: Caller) => Promise<OwnedObject | undefined>;

export interface ApiEnvironment {
  readonly Bindings: {
    readonly caller: Caller;
    /** How the request reached the server; absent when it came over no connection. */
    readonly arrival?: () => Arrival;
  };
  readonly Variables: {
    /** Where the path names a project, or the object belongs to one: it exists, and the caller may do there what the policy line says. */
    project: Project;
    /** Of a path with a repository: its full name. Whether there is one, the handler finds out. */
    repository: string;
    /** Where the policy line names an object. */
    object: unknown;
    change: Change;
  };
}
export type ApiRouter = OpenAPIHono<ApiEnvironment>;

/** Routes of one subject with what each asks of the caller (policy.ts). A thrown OciError is the answer. */
export interface RouteGroup {
  readonly policy: PolicyTable;
  /** Finds the objects that its policy lines name, by the id in the path. Gives undefined for what is not there. */
  readonly objects?: Readonly<Record<string, (parts: ApiParts) => ObjectResolver>>;
  /** Routes whose JSON body may be larger than the usual limit: the bytes. */
  readonly bodyLimits?: Readonly<Record<string, number>>;
  /** Routes whose body is no JSON: the route reads it itself, within limits of its own. */
  readonly streamedBodies?: readonly string[];
  readonly register: (router: ApiRouter, parts: ApiParts) => void;
}

/** In a route's definition: the codes it may throw, apart from those of its right and its input. */
export const errorCodesKey = 'x-error-codes';
