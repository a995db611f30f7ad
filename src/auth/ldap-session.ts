// One conversation with a directory: connect to the first server that answers, bind, search, close. The library is loaded at the first use.
// Referrals are not followed, aliases not resolved. RFC 4511.

import type { Client, Entry, Filter } from 'ldapts';
import type { LdapSettings } from '../config/ldap-settings.ts';
import type { Clock } from '../lib/clock.ts';
import { LimitError, withDeadline } from '../lib/limits.ts';
import type { Secret } from '../lib/secret.ts';
import { dialLdap, type LdapEgress, tlsOptionsFor } from './ldap-dial.ts';
import { LdapFailure } from './ldap-failure.ts';

export interface LdapServers {
  readonly settings: LdapSettings;
  /** Of the bind DN. */
  readonly password: Secret | undefined;
  readonly egress: LdapEgress;
  readonly clock: Clock;
  /** Servers that did not answer, and until when (monotonic) they are asked last. */
  readonly restingUntilMs: Map<string, number>;
}

export interface LdapEntry {
  readonly dn: string;
  /** Values of an attribute by its name in any case; none when it is absent. Values that are no text are in hexadecimal. */
  values(attribute: string): readonly string[];
}

export interface LdapSearch {
  readonly base: string;
  readonly scope: LdapSettings['scope'];
  readonly filter: Filter;
  readonly attributes: readonly string[];
  /** Entries at most; the search ends there. */
  readonly max: number;
}

export interface LdapSession {
  /** Acts with the rights of the bind DN, or anonymously without one. */
  bindService(): Promise<void>;
  /** Whether the directory takes this password for this entry. An empty one is refused here: the directory would call it anonymous and agree. */
  bindAs(dn: string, password: string): Promise<boolean>;
  /** LdapFailure `settings` when the directory does not understand it; no such base is no entry. */
  search(search: LdapSearch): Promise<readonly LdapEntry[]>;
}

/** Result codes (RFC 4511 appendix A) that say something of the server, not of what was asked. */
const serverCodes: ReadonlySet<number> = new Set([1, 2, 3, 51, 52, 80]);
const noSuchObject = 32;
const restMs = 30_000;

/**
 * Runs the task in a session whose service bind was made, closed at the end whatever happens. The servers are tried in order, those that failed
 * in the last 30 s at the end. LdapFailure when none can be used.
 */
export async function withLdapSession<T>(servers: LdapServers, task: (session: LdapSession) => Promise<T>): Promise<T> {
  const { restingUntilMs, clock, settings } = servers;
  const isResting = (url: string): boolean => (restingUntilMs.get(url) ?? 0) > clock.monotonicMs();
  const order = [...settings.urls.filter((url) => !isResting(url)), ...settings.urls.filter(isResting)];
  let last: LdapFailure | undefined;
  for (const url of order) {
    let client: Client | undefined;
    try {
      client = await openClient(url, servers);
      const session = createSession(client, servers);
      await session.bindService();
      restingUntilMs.delete(url);
      return await task(session);
    } catch (error) {
      if (!(error instanceof LdapFailure) || !error.isOfServer) throw error;
      last = error;
      restingUntilMs.set(url, clock.monotonicMs() + restMs);
    } finally {
      close(client);
    }
  }
  throw last ?? new LdapFailure('unreachable', 'the directory has no server');
}

async function openClient(text: string, { settings, egress }: LdapServers): Promise<Client> {
  const { Client } = await import('ldapts');
  const socket = await dialLdap(text, settings, egress);
  const url = new URL(text);
  // Always `ldap:`: what is handed over speaks TLS already where it has to.
  const client = new Client({
    url: `ldap://${url.host}`,
    timeout: settings.timeout,
    connectTimeout: settings.timeout,
    createConnection: () => socket,
  });
  if (url.protocol === 'ldaps:' || !settings.start_tls) return client;
  try {
    await withDeadline(settings.timeout, () => client.startTLS(tlsOptionsFor(url, settings)));
    return client;
  } catch (cause) {
    socket.destroy();
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new LdapFailure('tls', `${url.host}: StartTLS failed: ${message}`, { cause });
  }
}

function close(client: Client | undefined): void {
  // Says goodbye and closes; nobody waits for it, and a connection that is gone already is as good.
  client?.unbind().catch(() => undefined);
}

function createSession(client: Client, { settings, password }: LdapServers): LdapSession {
  const { bind_dn: bindDn } = settings;
  return {
    bindService: async () => {
      // A bind DN without a password would be an anonymous bind under another name (RFC 4513 section 5.1.2).
      if (bindDn !== undefined && password === undefined) throw new LdapFailure('bind', 'the bind DN has no password');
      try {
        await client.bind(bindDn ?? '', bindDn === undefined ? '' : (password?.reveal() ?? ''));
      } catch (error) {
        const failure = toFailure(error);
        throw failure ?? new LdapFailure('bind', `the directory refuses the bind DN (${describe(error)})`, { cause: error });
      }
    },
    bindAs: async (dn, text) => {
      if (text === '' || dn === '') return false;
      try {
        await client.bind(dn, text);
        return true;
      } catch (error) {
        const failure = toFailure(error);
        if (failure !== undefined) throw failure;
        return false;
      }
    },
    search: async ({ base, scope, filter, attributes, max }) => {
      try {
        const { searchEntries } = await client.search(base, {
          scope,
          filter,
          attributes: [...attributes],
          explicitBufferAttributes: ['objectGUID', 'GUID'],
          sizeLimit: max,
          timeLimit: Math.ceil(settings.timeout / 1000),
          derefAliases: 'never',
        });
        return searchEntries.slice(0, max).map(toEntry);
      } catch (error) {
        const failure = toFailure(error);
        if (failure !== undefined) throw failure;
        if (codeOf(error) === noSuchObject) return [];
        throw new LdapFailure('settings', `the directory refuses the search below "${base}" (${describe(error)})`, { cause: error });
      }
    },
  };
}

function toEntry(entry: Entry): LdapEntry {
  const byName = new Map(Object.entries(entry).map(([name, value]) => [name.toLowerCase(), value]));
  return {
    dn: entry.dn,
    values: (attribute) => {
      const value = byName.get(attribute.toLowerCase());
      const all = value === undefined ? [] : Array.isArray(value) ? value : [value];
      return all.map((one) => (typeof one === 'string' ? one : one.toString('hex')));
    },
  };
}

/** What went wrong with the connection or the server; undefined when the directory gave an answer. */
function toFailure(error: unknown): LdapFailure | undefined {
  if (error instanceof LdapFailure) return error;
  const code = codeOf(error);
  if (code !== undefined) return serverCodes.has(code) ? new LdapFailure('unreachable', describe(error), { cause: error }) : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const isLate = error instanceof LimitError || /timed out|timeout/i.test(message);
  return new LdapFailure(isLate ? 'timeout' : 'unreachable', describe(error), { cause: error });
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}

/** Without line breaks and short: the directory's own words may be long. */
function describe(error: unknown): string {
  const message = error instanceof Error ? `${error.constructor.name}: ${error.message}` : String(error);
  return message.replace(/\s+/g, ' ').slice(0, 200);
}
