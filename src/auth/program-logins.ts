// Everything that programs log in with, made of its parts: robots, tokens of users, and the tokens of CI jobs.

import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { OutboundCall } from '../upstream/outbound-call.ts';
import type { AccessPolicy } from './access.ts';
import { type CliSecrets, createCliSecrets } from './cli-secrets.ts';
import { createCredentialUses } from './credential-use.ts';
import type { NamedLogins } from './logins.ts';
import type { LoginMethod } from './principal.ts';
import type { PrincipalSource } from './principals.ts';
import { createRobots, type RobotSettings, type Robots } from './robots.ts';
import { createWorkloadKeySets } from './workload-keys.ts';
import { createWorkloads, type Workloads } from './workloads.ts';

export interface ProgramLogins extends NamedLogins {
  readonly robots: Robots;
  readonly cliSecrets: CliSecrets;
  readonly workloads: Workloads;
  /** Finds robots and workloads for tokens. */
  readonly principals: readonly PrincipalSource[];
  /** How a user got in with one of its tokens; undefined when the secret is none of them. */
  checkToken(accountId: number, secret: string, address: string | undefined): Promise<LoginMethod | undefined>;
  /** Writes the last notes. Before the database is closed. */
  close(): Promise<void>;
}

export function createProgramLogins(options: {
  database: Database;
  clock: Clock;
  log: Log;
  access: AccessPolicy;
  call: OutboundCall;
  robotSettings: () => Promise<RobotSettings>;
  /** Rights were changed. */
  onChange: () => void;
}): ProgramLogins {
  const { database, clock, log, access, call, robotSettings, onChange } = options;
  const uses = createCredentialUses({ database, clock, log });
  const robots = createRobots({ database, clock, access, uses, settings: robotSettings, onChange });
  const cliSecrets = createCliSecrets({ database, clock, uses });
  const workloads = createWorkloads({ database, clock, uses, onChange, keySets: createWorkloadKeySets({ call, clock }) });
  return {
    robots,
    cliSecrets,
    workloads,
    principals: [robots.principals, workloads.principals],
    isNamed: async (name) => workloads.ownsName(name) || (await robots.ownsName(name)),
    login: async (name, secret, { address }) => {
      if (workloads.ownsName(name)) {
        const principal = await workloads.authenticate(name, secret, address);
        return principal === undefined ? undefined : { principal, method: 'workload' };
      }
      const principal = await robots.authenticate(name, secret, address);
      return principal === undefined ? undefined : { principal, method: 'robot' };
    },
    checkToken: async (accountId, secret, address) => {
      const token = await cliSecrets.check(accountId, secret, address);
      return token === undefined ? undefined : token.reach === 'api' ? 'api-token' : 'cli-secret';
    },
    close: () => uses.close(),
  };
}
