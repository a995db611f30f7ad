// The identity providers that hold now: those of the config file first, in its order, then those that administrators made, by position. The
// file's cannot be changed over the API; one of the same name made there is hidden while the file has it. Secrets are sealed at rest and never
// given back. A secret stays only with the servers it was given for (`secretScopeOf`).

import type { ProviderConfig } from '../config/config.ts';
import {
  type ProviderSettings,
  parseProviderName,
  readProviderSettings,
  secretScopeOf,
  writeProviderSettings,
} from '../config/identity-schema.ts';
import type { Database } from '../db/database.ts';
import { listProviderRows, type ProviderRow } from '../db/identity-providers.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { SealedPlace, Sealer } from '../lib/seal.ts';
import type { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';

export type IdentityProvider = ProviderSettings & {
  readonly name: string;
  readonly isEnabled: boolean;
  /** Lower is asked first; those of the config file have none. */
  readonly position: number | undefined;
  readonly secret: Secret | undefined;
  readonly origin: 'config' | 'api';
  /** Another text after every change: for what is remembered of a provider. */
  readonly version: string;
};

export interface NewProvider {
  readonly name: string;
  readonly kind: ProviderSettings['kind'];
  readonly isEnabled: boolean;
  readonly position?: number;
  readonly settings: unknown;
  readonly secret?: Secret;
}

/** What is given replaces what was; `secret: null` takes it away. */
export interface ProviderChange {
  readonly isEnabled?: boolean;
  readonly position?: number;
  readonly settings?: unknown;
  readonly secret?: Secret | null;
}

export interface IdentityProviders {
  /** All of them, first asked first, those that are off too. Remembered for a second. */
  list(): Promise<readonly IdentityProvider[]>;
  find(name: string): Promise<IdentityProvider | undefined>;
  /** BAD_REQUEST for what is not understood, CONFLICT for a name that is there. */
  create(provider: NewProvider): Promise<IdentityProvider>;
  /** NOT_FOUND; CONFLICT for one of the config file; BAD_REQUEST also when settings send a kept secret elsewhere and it is not given again. */
  change(name: string, change: ProviderChange): Promise<IdentityProvider>;
  /** NOT_FOUND; CONFLICT for one of the config file, and while accounts belong to it. */
  remove(name: string): Promise<void>;
  /** Settings of the API as they would hold, with the secret given or, where it may be used, the kept one: for a test before they are saved. */
  tryOut(options: {
    readonly kind: ProviderSettings['kind'];
    readonly settings: unknown;
    readonly secret?: Secret;
    readonly like?: string;
  }): Promise<IdentityProvider>;
}

const rememberMs = 1000;

export function createIdentityProviders(options: {
  readonly database: Database;
  readonly configured: readonly ProviderConfig[];
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly log: Log;
}): IdentityProviders {
  const { database, sealer, clock, log } = options;
  const configured = options.configured.map(fromConfig);
  let remembered: { readonly all: Promise<readonly IdentityProvider[]>; readonly untilMs: number } | undefined;

  const read = async (): Promise<readonly IdentityProvider[]> => {
    const rows = await listProviderRows(database.read);
    const made = rows.flatMap((row) => fromRow(row, sealer, log) ?? []);
    return [...configured, ...made.filter((row) => !configured.some((one) => one.name === row.name))];
  };
  const list = (): Promise<readonly IdentityProvider[]> => {
    if (remembered !== undefined && remembered.untilMs > clock.monotonicMs()) return remembered.all;
    const all = read();
    remembered = { all, untilMs: clock.monotonicMs() + rememberMs };
    all.catch(() => {
      remembered = undefined;
    });
    return all;
  };
  const find = async (name: string): Promise<IdentityProvider | undefined> => (await list()).find((provider) => provider.name === name);
  const require = async (name: string): Promise<IdentityProvider> => {
    const found = await find(name);
    if (found === undefined) throw new OciError('NOT_FOUND', `there is no identity provider named ${name}`);
    return found;
  };
  const requireOwn = async (name: string): Promise<ProviderRow> => {
    if (configured.some((one) => one.name === name))
      throw new OciError('CONFLICT', `${name} is defined in the config file; change it there and restart the server`);
    const row = (await listProviderRows(database.read)).find((one) => one.name === name);
    if (row === undefined) throw new OciError('NOT_FOUND', `there is no identity provider named ${name}`);
    return row;
  };
  const seal = (name: string, secret: Secret): string => sealer.seal(secret, placeOf(name));
  const changed = (name: string): Promise<IdentityProvider> => {
    remembered = undefined;
    return require(name);
  };

  return {
    list,
    find,
    create: async ({ name, kind, isEnabled, position, settings, secret }) => {
      if (parseProviderName(name) === undefined)
        throw new OciError('BAD_REQUEST', 'name: expected lower-case letters, digits and -, such as corporate; not local');
      if (configured.some((one) => one.name === name)) throw new OciError('CONFLICT', `${name} is defined in the config file`);
      const provider = readSettings(kind, settings);
      requireSecret(provider, secret !== undefined);
      await database.run('createIdentityProvider', {
        name,
        kind,
        isEnabled,
        settings: JSON.stringify(writeProviderSettings(provider)),
        ...(position === undefined ? {} : { position }),
        ...(secret === undefined ? {} : { secret: seal(name, secret) }),
      });
      return changed(name);
    },
    change: async (name, { isEnabled, position, settings, secret }) => {
      const row = await requireOwn(name);
      const provider = settings === undefined ? undefined : readSettings(row.kind, settings);
      if (provider !== undefined) {
        if (secret === undefined && row.secret !== undefined && !isSameScope(provider, row))
          throw new OciError(
            'BAD_REQUEST',
            'secret: the servers or their protection change, so the secret must be given again (null for none)',
          );
        requireSecret(provider, secret === undefined ? row.secret !== undefined : secret !== null);
      } else if (secret === null) {
        const before = fromRow(row, sealer, log);
        if (before !== undefined) requireSecret(before, false);
      }
      await database.run('changeIdentityProvider', {
        name,
        revision: row.revision,
        ...(isEnabled === undefined ? {} : { isEnabled }),
        ...(position === undefined ? {} : { position }),
        ...(provider === undefined ? {} : { settings: JSON.stringify(writeProviderSettings(provider)) }),
        ...(secret === undefined ? {} : { secret: secret === null ? null : seal(name, secret) }),
      });
      return changed(name);
    },
    remove: async (name) => {
      await requireOwn(name);
      await database.run('removeIdentityProvider', { name });
      remembered = undefined;
    },
    tryOut: async ({ kind, settings, secret, like }) => {
      const provider = readSettings(kind, settings);
      const kept = like === undefined ? undefined : await require(like);
      const mayUseKept = kept !== undefined && secretScopeOf(kept) === secretScopeOf(provider);
      const used = secret ?? (mayUseKept ? kept.secret : undefined);
      requireSecret(provider, used !== undefined);
      return { ...provider, name: like ?? 'new', isEnabled: true, position: undefined, secret: used, origin: 'api', version: 'new' };
    },
  };
}

function placeOf(name: string): SealedPlace {
  return { table: 'identity_provider', row: name, field: 'secret' };
}

function fromConfig(provider: ProviderConfig): IdentityProvider {
  const { name, isEnabled, secret, ...settings } = provider;
  return { ...settings, name, isEnabled, position: undefined, secret, origin: 'config', version: 'config' };
}

/** Undefined, and said in the log, for a row that this program does not understand: the others go on. */
function fromRow(row: ProviderRow, sealer: Sealer, log: Log): IdentityProvider | undefined {
  const provider = readProviderSettings(row.kind, parseJson(row.settings));
  if ('issues' in provider) {
    log.error('identity.settings-not-understood', { provider: row.name, issue: provider.issues[0]?.message });
    return undefined;
  }
  return {
    ...provider,
    name: row.name,
    isEnabled: row.isEnabled,
    position: row.position,
    secret: openSecret(row, sealer, log),
    origin: 'api',
    version: `${row.createdAtMs}.${row.revision}`,
  };
}

function openSecret(row: ProviderRow, sealer: Sealer, log: Log): Secret | undefined {
  if (row.secret === undefined) return undefined;
  try {
    return sealer.open(row.secret, placeOf(row.name));
  } catch (error) {
    log.error('identity.secret-not-opened', { provider: row.name, error });
    return undefined;
  }
}

function readSettings(kind: ProviderSettings['kind'], settings: unknown): ProviderSettings {
  const provider = readProviderSettings(kind, settings);
  if ('issues' in provider) {
    const words = provider.issues.slice(0, 10).map((issue) => `settings.${issue.path.map(String).join('.')}: ${issue.message}`);
    throw new OciError('BAD_REQUEST', words.join('; '));
  }
  if (provider.settings.ca_file !== undefined)
    throw new OciError('BAD_REQUEST', 'settings.ca_file: only the config file may name files of the server; send the PEM text as ca');
  return provider;
}

function requireSecret(provider: ProviderSettings, hasSecret: boolean): void {
  if (provider.kind === 'ldap' && provider.settings.bind_dn !== undefined && !hasSecret)
    throw new OciError('BAD_REQUEST', 'secret: expected the password of bind_dn; a bind without one would be anonymous');
}

function isSameScope(provider: ProviderSettings, row: ProviderRow): boolean {
  const before = readProviderSettings(row.kind, parseJson(row.settings));
  return !('issues' in before) && secretScopeOf(before) === secretScopeOf(provider);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
