// Which groups a person of a directory is in, as normalised distinguished names. Values go into filters as values, never as text, so nothing
// in a name can change what is searched.

import type { Filter } from 'ldapts';
import type { LdapSettings } from '../config/ldap-settings.ts';
import { normalizeDn } from './ldap-dn.ts';
import { LdapFailure } from './ldap-failure.ts';
import type { LdapEntry, LdapSession } from './ldap-session.ts';

/** Of one person, the nested ones included; what is more is left out. */
const groupsMax = 500;
const nestedLevels = 5;
/** Members asked for in one search. */
const membersPerSearch = 50;

/** LdapFailure as of `search`; none when the settings know no groups. */
export async function readGroups(
  session: LdapSession,
  settings: LdapSettings,
  person: LdapEntry,
  name: string,
): Promise<readonly string[]> {
  const { groups } = settings;
  if (groups === undefined) return [];
  const found = new Map<string, string>();
  const add = (dns: readonly string[]): string[] => {
    const fresh: string[] = [];
    for (const dn of dns) {
      const normal = normalizeDn(dn);
      if (normal === undefined || normal === '' || found.has(normal) || found.size >= groupsMax) continue;
      found.set(normal, dn);
      fresh.push(dn);
    }
    return fresh;
  };
  let level =
    groups.membership === 'attribute'
      ? add(person.values(groups.attribute))
      : add(await searchGroups(session, settings, [groups.member_value === 'dn' ? person.dn : name]));
  // A group lists groups by their distinguished names; a directory that lists names has no nested groups.
  const isNested = groups.nested && (groups.membership === 'attribute' || groups.member_value === 'dn');
  for (let depth = 1; isNested && depth <= nestedLevels && level.length > 0; depth++) {
    const next: string[] = [];
    for (let start = 0; start < level.length; start += membersPerSearch)
      next.push(...add(await searchGroups(session, settings, level.slice(start, start + membersPerSearch))));
    level = next;
  }
  return [...found.keys()];
}

/** The distinguished names of groups that list one of these members. */
async function searchGroups(session: LdapSession, settings: LdapSettings, members: readonly string[]): Promise<readonly string[]> {
  const { groups } = settings;
  if (groups === undefined) return [];
  const { AndFilter, EqualityFilter, OrFilter } = await import('ldapts');
  const lists = members.map((value) => new EqualityFilter({ attribute: groups.member_attribute, value }));
  const entries = await session.search({
    base: groups.base_dn ?? settings.base_dn,
    scope: groups.scope,
    filter: new AndFilter({ filters: [await parseFilter(groups.filter), new OrFilter({ filters: lists })] }),
    attributes: ['1.1'],
    max: groupsMax,
  });
  return entries.map((entry) => entry.dn);
}

/** A filter of the settings. LdapFailure `settings` when it is none. */
export async function parseFilter(text: string): Promise<Filter> {
  const { FilterParser } = await import('ldapts');
  try {
    return FilterParser.parseString(text);
  } catch (cause) {
    throw new LdapFailure('settings', `the filter ${text} is not understood`, { cause });
  }
}
