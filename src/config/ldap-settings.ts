// The settings of one LDAP directory as a zod schema: an entry under `identity.providers` of the config file and the `settings` of the admin
// API are both read with it. The password of the bind DN is not among them. It opens no file and no connection.

import { z } from 'zod';
import { booleanSetting, choiceSetting, countSetting, durationSetting, plainSetting, setting, textSetting } from './setting.ts';

const groupListMax = 256;

const scopeSetting = (about: string) => choiceSetting(about, ['sub', 'one', 'base']);

const filterSetting = (about: string) =>
  textSetting({ about, expected: 'a filter in parentheses such as (objectClass=person), RFC 4515' }, parseFilterText);

const attributeSetting = (about: string) =>
  textSetting({ about, expected: 'the name of an attribute, such as uid or sAMAccountName' }, (text) =>
    /^(?:[A-Za-z][A-Za-z0-9-]{0,99}|\d+(?:\.\d+)+)$/.test(text) ? text : undefined,
  );

const dnSetting = (about: string, absent?: string) =>
  textSetting(
    { about, expected: 'a distinguished name such as ou=people,dc=example,dc=org', ...(absent === undefined ? {} : { absent }) },
    (text) => (text.includes('=') && text.length <= 1024 ? text : undefined),
  );

const groupDns = (about: string) => z.array(dnSetting(about)).max(groupListMax);

const groups = z.strictObject({
  base_dn: dnSetting('Where groups are searched.', '`base_dn` of the people').optional(),
  filter: filterSetting('Which entries are groups.').prefault(
    '(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)(objectClass=group))',
  ),
  scope: scopeSetting('How far below the base groups are searched.').prefault('sub'),
  name_attribute: attributeSetting('Attribute with the name of a group.').prefault('cn'),
  membership: choiceSetting(
    'How the groups of a person are found: by a `search` for groups that list the person, or from an `attribute` of the person.',
    ['search', 'attribute'],
  ).prefault('search'),
  member_attribute: attributeSetting('Attribute of a group that lists its members, for `search`.').prefault('member'),
  member_value: choiceSetting('What that attribute lists: the `dn` of a member, or the `name` (as `memberUid` of posixGroup does).', [
    'dn',
    'name',
  ]).prefault('dn'),
  attribute: attributeSetting("Attribute of a person that lists the groups' distinguished names, for `attribute`.").prefault('memberOf'),
  nested: booleanSetting('A member of a group is also in the groups that list that group, up to 5 levels.').prefault(false),
});

export const ldapSettings = z
  .strictObject({
    urls: z
      .array(
        textSetting(
          {
            about:
              'Servers of this directory, asked in this order: the next one when one cannot be reached. Addresses in private networks are allowed.',
            expected: 'ldap://HOST[:PORT] or ldaps://HOST[:PORT]',
          },
          parseLdapUrl,
        ),
      )
      .min(1)
      .max(8),
    start_tls: booleanSetting('Speak TLS (StartTLS) on ldap:// connections before anything is sent.').prefault(false),
    allow_plaintext: booleanSetting('Use ldap:// without StartTLS: passwords cross the network readable.').prefault(false),
    ca: setting(
      {
        about: 'Certificate authorities to trust, as PEM text.',
        expected: 'PEM text with -----BEGIN ... in it',
        absent: "the system's authorities",
      },
      (value) => (typeof value === 'string' && value.includes('-----BEGIN ') && value.length <= 65_536 ? value : undefined),
      { quote: () => 'the value', type: 'string' },
    ).optional(),
    ca_file: plainSetting({
      about: 'The same as a PEM file. In the config file only.',
      expected: 'the path of a PEM file',
      absent: "the system's authorities",
    }).optional(),
    verify_certificate: booleanSetting("Check the servers' certificates. False is for tests only.").prefault(true),
    bind_dn: dnSetting('Whose rights the searches have; its password is the secret of the provider.', 'searches are anonymous').optional(),
    base_dn: dnSetting('Where people are searched.'),
    scope: scopeSetting('How far below the base people are searched.').prefault('sub'),
    user_filter: filterSetting(
      'Which entries may log in, in addition to their name. Disabled people can be left out with it, such as (!(pwdAccountLockedTime=*)).',
    ).prefault('(objectClass=*)'),
    user_attribute: attributeSetting('Attribute that holds the name people log in with.').prefault('uid'),
    email_attribute: attributeSetting('Attribute with the mail address.').prefault('mail'),
    display_name_attribute: attributeSetting('Attribute with the full name.').prefault('cn'),
    timeout: durationSetting('How long one step (connecting, a search, a login) may take.', { min: '100ms', max: '30s' }).prefault('5s'),
    connections: countSetting('Logins in progress at the same time.', { min: 1, max: 256 }).prefault(8),
    auto_onboard: booleanSetting(
      'Make an account at the first login. Without it only accounts that an administrator made can log in.',
    ).prefault(true),
    trust_names: booleanSetting(
      'Take an entry for the known account of its name also when its identifier in the directory changed, as after a move to another directory server.',
    ).prefault(false),
    groups: groups.optional(),
    admin_groups: groupDns('Groups whose members are administrators here. Checked at each login.').prefault([]),
    allowed_groups: groupDns('When not empty, only members of these groups may log in.').prefault([]),
  })
  .superRefine((value, context) => {
    const refuse = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message });
    const open = value.urls.findIndex((url) => url.startsWith('ldap://'));
    if (open !== -1 && !value.start_tls && !value.allow_plaintext)
      refuse('urls', 'has ldap:// without TLS; expected ldaps://, start_tls: true, or allow_plaintext: true');
    if (value.ca !== undefined && value.ca_file !== undefined) refuse('ca', 'is there beside ca_file; expected one of them');
    if (value.groups === undefined && value.admin_groups.length + value.allowed_groups.length > 0)
      refuse('groups', 'is missing, and groups are named; expected how they are found (groups: {} for the usual way)');
  });

export type LdapSettings = z.output<typeof ldapSettings>;

/** `ldap://HOST[:PORT]` or `ldaps://…` and nothing after it, in its one normal form; undefined when it is not understood. */
export function parseLdapUrl(text: string): string | undefined {
  const match = /^(ldaps?):\/\/([^\s\\@?#/]+)\/?$/i.exec(text);
  if (match === null || text.length > 300) return undefined;
  const [, scheme = '', rest = ''] = match;
  // URL knows no default port for ldap; an http one normalises the host.
  const url = URL.parse(`http://${rest}`);
  if (url === null || url.hostname === '') return undefined;
  const port = /:(\d{1,5})$/.exec(rest)?.[1];
  const isDefault = port === undefined || Number(port) === (scheme.toLowerCase() === 'ldaps' ? 636 : 389);
  return `${scheme.toLowerCase()}://${url.hostname}${isDefault ? '' : `:${Number(port)}`}`;
}

/** The text when its parentheses are balanced and one pair stands around all of it; what is inside is the directory's to judge. */
function parseFilterText(text: string): string | undefined {
  if (!text.startsWith('(') || text.length > 1024) return undefined;
  let depth = 0;
  for (let place = 0; place < text.length; place++) {
    const char = text[place];
    if (char === '\\') place += 2;
    else if (char === '(') depth++;
    else if (char === ')' && --depth === 0) return place === text.length - 1 && text.length > 3 ? text : undefined;
    if (depth > 20) return undefined;
  }
  return undefined;
}
