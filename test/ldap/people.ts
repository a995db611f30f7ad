// People and groups as LDIF, for directories under test.

import { base } from './slapd.ts';

export interface Person {
  readonly uid: string;
  readonly password: string;
  /** The name of its entry, as RFC 4514 writes it; `uid=...` without it. */
  readonly rdn?: string;
  readonly mail?: string;
  readonly cn?: string;
  readonly employeeType?: string;
}

export function personDn(rdn: string): string {
  return `${rdn},ou=people,${base}`;
}

export function groupDn(cn: string): string {
  return `cn=${cn},ou=groups,${base}`;
}

export function personLdif(person: Person): string {
  const { uid, password, rdn = `uid=${uid}`, mail, cn = uid, employeeType } = person;
  const lines = [
    encode('dn', personDn(rdn)),
    'objectClass: inetOrgPerson',
    encode('uid', uid),
    encode('cn', cn),
    encode('sn', uid),
    encode('userPassword', password),
    ...(mail === undefined ? [] : [encode('mail', mail)]),
    ...(employeeType === undefined ? [] : [encode('employeeType', employeeType)]),
  ];
  return `\n${lines.join('\n')}\n`;
}

/** `members` are distinguished names. */
export function groupLdif(cn: string, members: readonly string[]): string {
  return `\n${[encode('dn', groupDn(cn)), 'objectClass: groupOfNames', encode('cn', cn), ...members.map((dn) => encode('member', dn))].join('\n')}\n`;
}

/** Base64 takes every value (RFC 2849). */
function encode(name: string, value: string): string {
  return `${name}:: ${Buffer.from(value).toString('base64')}`;
}
