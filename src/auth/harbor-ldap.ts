// Harbor's `ldap_*` settings of `/configurations` as one identity provider, `harbor-ldap`: what Harbor's clients set there is what holds, and
// what they read is what holds. Directories beside it are made over `/identity-providers` or in the config file.

import { readProviderSettings } from '../config/identity-schema.ts';
import type { LdapSettings } from '../config/ldap-settings.ts';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import type { IdentityProvider, IdentityProviders } from './identity-providers.ts';

export const harborLdapName = 'harbor-ldap';

/** Some keys of `/configurations`: what they hold, and how they are changed. Secrets are written and never read. */
export interface ConfigurationPart {
  readonly keys: ReadonlySet<string>;
  read(): Promise<Record<string, string | number | boolean>>;
  /** Changes the given keys, which are among `keys`. BAD_REQUEST for what is not understood, CONFLICT where the config file decides. */
  change(values: Readonly<Record<string, unknown>>): Promise<void>;
}

/** Harbor's keys and their defaults. `ldap_search_password` is not here: it is never read. */
const defaults = {
  ldap_url: '',
  ldap_base_dn: '',
  ldap_filter: '',
  ldap_scope: 2,
  ldap_uid: 'cn',
  ldap_search_dn: '',
  ldap_verify_cert: true,
  ldap_timeout: 5,
  ldap_group_base_dn: '',
  ldap_group_search_filter: '',
  ldap_group_attribute_name: '',
  ldap_group_search_scope: 2,
  ldap_group_membership_attribute: 'memberof',
  ldap_group_admin_dn: '',
  ldap_group_attach_parallel: false,
};
type Values = { [K in keyof typeof defaults]: (typeof defaults)[K] };
const scopes = ['base', 'one', 'sub'] as const;

export function createHarborLdap(providers: Pick<IdentityProviders, 'find' | 'create' | 'change'>): ConfigurationPart {
  const find = async () => {
    const provider = await providers.find(harborLdapName);
    return provider?.kind === 'ldap' ? provider : undefined;
  };
  return {
    keys: new Set([...Object.keys(defaults), 'ldap_search_password']),
    read: async () => {
      const provider = await find();
      return { ...(provider === undefined ? defaults : toHarbor(provider.settings)) };
    },
    change: async (values) => {
      const provider = await find();
      const { ldap_search_password: password, ...rest } = values;
      if (password !== undefined && typeof password !== 'string')
        throw new OciError('BAD_REQUEST', 'ldap_search_password: expected a text');
      const before = provider === undefined ? defaults : toHarbor(provider.settings);
      const wanted = mergeValues(before, rest);
      // Harbor's clients send all keys whatever they change.
      if (wanted.ldap_url === '') {
        if (provider !== undefined) await providers.change(harborLdapName, { isEnabled: false });
        return;
      }
      const settings = toSettings(wanted, provider?.settings);
      const secret = password === undefined || password === '' ? {} : { secret: new Secret(password) };
      if (provider === undefined) await providers.create({ name: harborLdapName, kind: 'ldap', isEnabled: true, settings, ...secret });
      else await providers.change(harborLdapName, { isEnabled: true, settings, ...secret });
    },
  };
}

/** Settings sent to `/ldap/ping`, over those that hold. */
export async function tryHarborLdap(
  providers: Pick<IdentityProviders, 'find' | 'tryOut'>,
  values: Readonly<Record<string, unknown>>,
  password: string | undefined,
): Promise<IdentityProvider> {
  const found = await providers.find(harborLdapName);
  const provider = found?.kind === 'ldap' ? found : undefined;
  const settings = toSettings(mergeValues(provider === undefined ? defaults : toHarbor(provider.settings), values), provider?.settings);
  return providers.tryOut({
    kind: 'ldap',
    settings,
    ...(password === undefined || password === '' ? {} : { secret: new Secret(password) }),
    ...(provider === undefined ? {} : { like: harborLdapName }),
  });
}

function mergeValues(before: Values, sent: Readonly<Record<string, unknown>>): Values {
  const merged: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(sent)) {
    if (!(key in defaults)) throw new OciError('BAD_REQUEST', `${key}: is not a setting of a directory`);
    const kind = typeof defaults[key as keyof Values];
    if (typeof value !== kind) throw new OciError('BAD_REQUEST', `${key}: expected a ${kind === 'string' ? 'text' : kind}`);
    merged[key] = value;
  }
  return merged as Values;
}

function toHarbor(settings: LdapSettings): Values {
  const { groups } = settings;
  return {
    ldap_url: settings.urls.join(','),
    ldap_base_dn: settings.base_dn,
    ldap_filter: settings.user_filter,
    ldap_scope: scopes.indexOf(settings.scope),
    ldap_uid: settings.user_attribute,
    ldap_search_dn: settings.bind_dn ?? '',
    ldap_verify_cert: settings.verify_certificate,
    ldap_timeout: Math.max(1, Math.round(settings.timeout / 1000)),
    ldap_group_base_dn: groups?.base_dn ?? '',
    ldap_group_search_filter: groups?.filter ?? '',
    ldap_group_attribute_name: groups?.name_attribute ?? '',
    ldap_group_search_scope: scopes.indexOf(groups?.scope ?? 'sub'),
    ldap_group_membership_attribute: groups?.attribute ?? defaults.ldap_group_membership_attribute,
    ldap_group_admin_dn: settings.admin_groups.join(';'),
    // Groups are always read with few searches.
    ldap_group_attach_parallel: false,
  };
}

/** What Harbor has no word for stays as it was. */
function toSettings(values: Values, before: LdapSettings | undefined): Readonly<Record<string, unknown>> {
  const urls = values.ldap_url
    .split(',')
    .map((url) => url.trim())
    .filter((url) => url !== '')
    .map((url) => (url.includes('://') ? url : `ldap://${url}`));
  const hasGroups = values.ldap_group_base_dn !== '' || values.ldap_group_admin_dn !== '';
  const old = before?.groups;
  const groups = {
    ...(values.ldap_group_base_dn === '' ? {} : { base_dn: values.ldap_group_base_dn }),
    ...(values.ldap_group_search_filter === '' ? {} : { filter: inParentheses(values.ldap_group_search_filter) }),
    ...(values.ldap_group_attribute_name === '' ? {} : { name_attribute: values.ldap_group_attribute_name }),
    ...(values.ldap_group_membership_attribute === '' ? {} : { attribute: values.ldap_group_membership_attribute }),
    scope: scopeOf(values.ldap_group_search_scope, 'ldap_group_search_scope'),
    membership: old?.membership ?? 'attribute',
    ...(old === undefined ? {} : { member_attribute: old.member_attribute, member_value: old.member_value, nested: old.nested }),
  };
  const settings = {
    urls,
    base_dn: values.ldap_base_dn,
    scope: scopeOf(values.ldap_scope, 'ldap_scope'),
    ...(values.ldap_filter === '' ? {} : { user_filter: inParentheses(values.ldap_filter) }),
    user_attribute: values.ldap_uid,
    ...(values.ldap_search_dn === '' ? {} : { bind_dn: values.ldap_search_dn }),
    verify_certificate: values.ldap_verify_cert,
    timeout: `${values.ldap_timeout}s`,
    // As in Harbor, an ldap:// URL is used as it is.
    allow_plaintext: before?.allow_plaintext ?? urls.some((url) => /^ldap:/i.test(url)),
    start_tls: before?.start_tls ?? false,
    ...(hasGroups ? { groups } : {}),
    ...(values.ldap_group_admin_dn === '' ? {} : { admin_groups: values.ldap_group_admin_dn.split(';').map((dn) => dn.trim()) }),
    ...(before === undefined
      ? {}
      : {
          email_attribute: before.email_attribute,
          display_name_attribute: before.display_name_attribute,
          connections: before.connections,
          auto_onboard: before.auto_onboard,
          trust_names: before.trust_names,
          ...(hasGroups ? { allowed_groups: before.allowed_groups } : {}),
          ...(before.ca === undefined ? {} : { ca: before.ca }),
        }),
  };
  const read = readProviderSettings('ldap', settings);
  if ('issues' in read) {
    const words = read.issues.slice(0, 5).map((issue) => `${harborKeyOf(issue.path)}: ${issue.message}`);
    throw new OciError('BAD_REQUEST', words.join('; '));
  }
  return settings;
}

function scopeOf(value: number, key: string): (typeof scopes)[number] {
  const scope = scopes[value];
  if (scope === undefined) throw new OciError('BAD_REQUEST', `${key}: expected 0 (base), 1 (one level) or 2 (subtree)`);
  return scope;
}

function inParentheses(filter: string): string {
  const text = filter.trim();
  return text.startsWith('(') ? text : `(${text})`;
}

/** In the words of who sent it. */
function harborKeyOf(path: readonly PropertyKey[]): string {
  const known: Readonly<Record<string, string>> = {
    urls: 'ldap_url',
    base_dn: 'ldap_base_dn',
    user_filter: 'ldap_filter',
    user_attribute: 'ldap_uid',
    bind_dn: 'ldap_search_dn',
    timeout: 'ldap_timeout',
    'groups.base_dn': 'ldap_group_base_dn',
    'groups.filter': 'ldap_group_search_filter',
    'groups.name_attribute': 'ldap_group_attribute_name',
    'groups.attribute': 'ldap_group_membership_attribute',
    admin_groups: 'ldap_group_admin_dn',
  };
  const words = path.filter((part) => typeof part === 'string').join('.');
  return known[words] ?? words;
}
