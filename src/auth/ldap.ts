// One LDAP directory: search a person by name with the rights of the bind DN, then ask the directory whether the password is theirs. Exactly one
// entry must match. "Wrong" and "unknown" are answers; no answer is an LdapFailure, which must never be shown as a wrong password.
// RFC 4511, RFC 4513 section 5.1 (simple bind; empty passwords are refused).

import { randomBytes } from 'node:crypto';
import type { LdapSettings } from '../config/ldap-settings.ts';
import type { Clock } from '../lib/clock.ts';
import { createSemaphore, LimitError } from '../lib/limits.ts';
import type { Secret } from '../lib/secret.ts';
import type { LdapEgress } from './ldap-dial.ts';
import { firstValueOf, normalizeDn } from './ldap-dn.ts';
import { LdapFailure } from './ldap-failure.ts';
import { parseFilter, readGroups } from './ldap-groups.ts';
import { type LdapEntry, type LdapServers, type LdapSession, withLdapSession } from './ldap-session.ts';

/** Somebody as the directory knows them. */
export interface LdapPerson {
  readonly dn: string;
  /** The directory's own identifier (entryUUID, objectGUID, ...), which survives a change of name; without one the normalised name. */
  readonly externalId: string;
  readonly name: string;
  readonly email?: string;
  readonly displayName?: string;
  /** Normalised distinguished names. */
  readonly groups: readonly string[];
  readonly isAdmin: boolean;
  /** In one of the allowed groups, or there are none. */
  readonly isAllowed: boolean;
}

export type LdapLogin =
  | { readonly outcome: 'ok'; readonly person: LdapPerson }
  | { readonly outcome: 'wrong' | 'unknown' | 'ambiguous' | 'not-allowed' };

export interface LdapGroup {
  /** As the directory writes it. */
  readonly dn: string;
  readonly name: string;
}

/** All of these throw LdapFailure when the directory gives no answer. */
export interface LdapDirectory {
  login(name: string, password: string): Promise<LdapLogin>;
  /** A person by the exact name; undefined when there is none, or more than one. */
  find(name: string): Promise<LdapPerson | undefined>;
  /** Several by exact name, in one session; those that are not there, or more than once, are left out. */
  findAll(names: readonly string[]): Promise<ReadonlyMap<string, LdapPerson>>;
  /** People by exact name, or all of them without one: `max` at most, without their groups. */
  listPeople(options: { readonly name?: string; readonly max: number }): Promise<readonly LdapPerson[]>;
  /** Groups by exact name or distinguished name, or all of them. */
  listGroups(options: { readonly name?: string; readonly dn?: string; readonly max: number }): Promise<readonly LdapGroup[]>;
  /** Connects, binds, searches one entry. */
  test(): Promise<void>;
}

const nameMaxLength = 255;
const passwordMaxBytes = 1024;
const queueMax = 128;
const identifiers = ['entryUUID', 'objectGUID', 'ipaUniqueID', 'nsUniqueId', 'GUID'];

export function createLdapDirectory(options: {
  readonly settings: LdapSettings;
  readonly password: Secret | undefined;
  readonly clock: Clock;
  readonly egress?: LdapEgress;
}): LdapDirectory {
  const { settings, password, clock } = options;
  const servers: LdapServers = { settings, password, clock, egress: options.egress ?? (() => undefined), restingUntilMs: new Map() };
  const places = createSemaphore({ places: settings.connections, queueMax });
  const inSession = async <T>(task: (session: LdapSession) => Promise<T>): Promise<T> => {
    try {
      return await places.run(() => withLdapSession(servers, task), { timeoutMs: settings.timeout * 2 });
    } catch (error) {
      if (error instanceof LimitError) throw new LdapFailure('busy', 'too many logins in this directory at once', { cause: error });
      throw error;
    }
  };
  const toPerson = async (session: LdapSession, entry: LdapEntry, typed: string | undefined, withGroups: boolean): Promise<LdapPerson> => {
    const name = nameOf(entry, settings, typed);
    const groups = withGroups ? await readGroups(session, settings, entry, name) : [];
    return describePerson({ entry, settings, name, groups });
  };

  return {
    login: async (name, text) => {
      if (!isSearchable(name) || text === '' || Buffer.byteLength(text) > passwordMaxBytes) return { outcome: 'unknown' };
      return inSession(async (session) => {
        const entries = await searchPeople(session, settings, { name, max: 2 });
        const [entry] = entries;
        if (entry === undefined || entries.length > 1) {
          // Costs what a known name costs.
          await session.bindAs(
            `${settings.user_attribute}=${randomBytes(12).toString('hex')},${settings.base_dn}`,
            randomBytes(12).toString('hex'),
          );
          return { outcome: entry === undefined ? 'unknown' : 'ambiguous' };
        }
        if (!(await session.bindAs(entry.dn, text))) return { outcome: 'wrong' };
        await session.bindService();
        const person = await toPerson(session, entry, name, true);
        return person.isAllowed ? { outcome: 'ok', person } : { outcome: 'not-allowed' };
      });
    },
    find: async (name) => {
      if (!isSearchable(name)) return undefined;
      return inSession(async (session) => {
        const [entry, other] = await searchPeople(session, settings, { name, max: 2 });
        return entry === undefined || other !== undefined ? undefined : toPerson(session, entry, name, true);
      });
    },
    findAll: async (names) => {
      const people = new Map<string, LdapPerson>();
      if (names.length === 0) return people;
      return inSession(async (session) => {
        for (const name of names.filter(isSearchable)) {
          const [entry, other] = await searchPeople(session, settings, { name, max: 2 });
          if (entry !== undefined && other === undefined) people.set(name, await toPerson(session, entry, name, true));
        }
        return people;
      });
    },
    listPeople: ({ name, max }) =>
      inSession(async (session) => {
        const entries = await searchPeople(session, settings, { ...(name === undefined ? {} : { name }), max });
        return Promise.all(entries.map((entry) => toPerson(session, entry, name, false)));
      }),
    listGroups: (wanted) => inSession((session) => searchGroups(session, settings, wanted)),
    test: async () => {
      await inSession(async (session) => {
        await searchPeople(session, settings, { max: 1 });
        if (settings.groups !== undefined) await searchGroups(session, settings, { max: 1 });
      });
    },
  };
}

function isSearchable(name: string): boolean {
  return name !== '' && name.length <= nameMaxLength && !/\p{Cc}/u.test(name);
}

async function searchPeople(
  session: LdapSession,
  settings: LdapSettings,
  { name, max }: { readonly name?: string; readonly max: number },
): Promise<readonly LdapEntry[]> {
  const { AndFilter, EqualityFilter, PresenceFilter } = await import('ldapts');
  const attribute = settings.user_attribute;
  const named = name === undefined ? new PresenceFilter({ attribute }) : new EqualityFilter({ attribute, value: name });
  const { email_attribute, display_name_attribute, groups } = settings;
  return session.search({
    base: settings.base_dn,
    scope: settings.scope,
    filter: new AndFilter({ filters: [await parseFilter(settings.user_filter), named] }),
    attributes: [attribute, email_attribute, display_name_attribute, ...identifiers, ...(groups === undefined ? [] : [groups.attribute])],
    max,
  });
}

async function searchGroups(
  session: LdapSession,
  settings: LdapSettings,
  wanted: { readonly name?: string; readonly dn?: string; readonly max: number },
): Promise<readonly LdapGroup[]> {
  const { groups } = settings;
  if (groups === undefined) return [];
  const { AndFilter, EqualityFilter } = await import('ldapts');
  const isGroup = await parseFilter(groups.filter);
  const attribute = groups.name_attribute;
  const entries = await session.search({
    base: wanted.dn ?? groups.base_dn ?? settings.base_dn,
    scope: wanted.dn === undefined ? groups.scope : 'base',
    filter:
      wanted.name === undefined ? isGroup : new AndFilter({ filters: [isGroup, new EqualityFilter({ attribute, value: wanted.name })] }),
    attributes: [attribute],
    max: wanted.max,
  });
  return entries.map((entry) => ({ dn: entry.dn, name: entry.values(attribute)[0] ?? firstValueOf(entry.dn) }));
}

/** Of several values the one that was typed; the directory's spelling, not the typed one. */
function nameOf(entry: LdapEntry, settings: LdapSettings, typed: string | undefined): string {
  const values = entry.values(settings.user_attribute);
  return values.find((value) => value.toLowerCase() === typed?.toLowerCase()) ?? values[0] ?? firstValueOf(entry.dn);
}

function describePerson(options: { entry: LdapEntry; settings: LdapSettings; name: string; groups: readonly string[] }): LdapPerson {
  const { entry, settings, name, groups } = options;
  const email = entry.values(settings.email_attribute)[0];
  const displayName = entry.values(settings.display_name_attribute)[0];
  const normal = normalizeDn(entry.dn) ?? entry.dn;
  const id = identifiers.map((attribute) => entry.values(attribute)[0]).find((value) => value !== undefined && value !== '');
  const isIn = (dns: readonly string[]): boolean => dns.some((dn) => groups.includes(normalizeDn(dn) ?? dn));
  return {
    dn: entry.dn,
    externalId: id === undefined ? `dn:${normal}` : id.toLowerCase(),
    name,
    ...(email === undefined || email === '' ? {} : { email: email.slice(0, 255) }),
    ...(displayName === undefined || displayName === '' ? {} : { displayName: displayName.slice(0, 255) }),
    groups,
    isAdmin: isIn(settings.admin_groups),
    isAllowed: settings.allowed_groups.length === 0 || isIn(settings.allowed_groups),
  };
}
