// Harbor's `oidc_*` settings of `/configurations` as one identity provider, `harbor-oidc`: what Harbor's clients set there is what holds, and
// what they read is what holds. Providers beside it are made over `/identity-providers` or in the config file.

import type { OidcSettings } from '../config/oidc-settings.ts';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import type { ConfigurationPart } from './harbor-ldap.ts';
import type { IdentityProvider, IdentityProviders } from './identity-providers.ts';
import { harborProvider } from './oidc-logins.ts';

/** Harbor's keys and their defaults. `oidc_client_secret` is not here: it is never read. */
const defaults = {
  oidc_name: '',
  oidc_endpoint: '',
  oidc_client_id: '',
  oidc_groups_claim: '',
  oidc_admin_group: '',
  oidc_group_filter: '',
  oidc_scope: 'openid,profile,email',
  oidc_user_claim: '',
  oidc_verify_cert: true,
  oidc_auto_onboard: false,
  oidc_extra_redirect_parms: '{}',
  oidc_logout: false,
};
type Values = { [K in keyof typeof defaults]: (typeof defaults)[K] };
const secretKey = 'oidc_client_secret';
/** Harbor takes the full name where no claim is named. */
const harborUserClaim = 'name';

export function createHarborOidc(providers: Pick<IdentityProviders, 'find' | 'create' | 'change'>): ConfigurationPart {
  const find = async () => {
    const provider = await providers.find(harborProvider);
    return provider?.kind === 'oidc' ? provider : undefined;
  };
  return {
    keys: new Set([...Object.keys(defaults), secretKey]),
    read: async () => {
      const provider = await find();
      return { ...(provider === undefined ? defaults : toHarbor(provider.settings)) };
    },
    change: async (values) => {
      const provider = await find();
      const { [secretKey]: secret, ...rest } = values;
      if (secret !== undefined && typeof secret !== 'string') throw new OciError('BAD_REQUEST', `${secretKey}: expected a text`);
      const wanted = merge(provider === undefined ? defaults : toHarbor(provider.settings), rest);
      // Harbor's clients send all keys whatever they change.
      if (wanted.oidc_endpoint === '') {
        if (provider !== undefined) await providers.change(harborProvider, { isEnabled: false });
        return;
      }
      const settings = toSettings(wanted, provider?.settings);
      const given = secret === undefined || secret === '' ? {} : { secret: new Secret(secret) };
      if (provider === undefined) await providers.create({ name: harborProvider, kind: 'oidc', isEnabled: true, settings, ...given });
      else await providers.change(harborProvider, { isEnabled: true, settings, ...given });
    },
  };
}

/** The provider that `POST /system/oidc/ping` asks about; a private address only where the saved provider has this issuer and may have one. */
export async function tryHarborOidc(
  providers: Pick<IdentityProviders, 'find' | 'tryOut'>,
  { url, verifiesCertificate }: { readonly url: string; readonly verifiesCertificate: boolean },
): Promise<IdentityProvider> {
  const found = await providers.find(harborProvider);
  const kept = found?.kind === 'oidc' && found.settings.issuer === url ? found.settings : undefined;
  const settings = {
    issuer: url,
    client_id: kept?.client_id ?? 'ping',
    verify_certificate: verifiesCertificate,
    allow_private: kept?.allow_private ?? false,
  };
  return providers.tryOut({ kind: 'oidc', settings });
}

function merge(before: Values, sent: Readonly<Record<string, unknown>>): Values {
  const merged: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(sent)) {
    if (!Object.hasOwn(defaults, key)) throw new OciError('BAD_REQUEST', `${key}: is not a setting of an OpenID provider`);
    const kind = typeof defaults[key as keyof Values];
    if (typeof value !== kind) throw new OciError('BAD_REQUEST', `${key}: expected a ${kind === 'string' ? 'text' : kind}`);
    merged[key] = value;
  }
  return merged as Values;
}

function toHarbor(settings: OidcSettings): Values {
  return {
    oidc_name: settings.display_name ?? '',
    oidc_endpoint: settings.issuer,
    oidc_client_id: settings.client_id,
    oidc_groups_claim: settings.groups_claim ?? '',
    oidc_admin_group: settings.admin_group ?? '',
    oidc_group_filter: settings.group_filter ?? '',
    oidc_scope: settings.scopes.join(','),
    oidc_user_claim: settings.user_claim === harborUserClaim ? '' : settings.user_claim,
    oidc_verify_cert: settings.verify_certificate,
    oidc_auto_onboard: settings.auto_onboard,
    oidc_extra_redirect_parms: JSON.stringify(settings.extra_redirect_params),
    oidc_logout: settings.logout,
  };
}

/** What Harbor has no word for stays as it was. */
function toSettings(values: Values, before: OidcSettings | undefined): Readonly<Record<string, unknown>> {
  const text = (key: string, value: string): Record<string, string> => (value === '' ? {} : { [key]: value });
  return {
    issuer: values.oidc_endpoint,
    client_id: values.oidc_client_id,
    scopes: values.oidc_scope
      .split(',')
      .map((scope) => scope.trim())
      .filter((scope) => scope !== ''),
    user_claim: values.oidc_user_claim === '' ? harborUserClaim : values.oidc_user_claim,
    ...text('display_name', values.oidc_name),
    ...text('groups_claim', values.oidc_groups_claim),
    ...text('admin_group', values.oidc_admin_group),
    ...text('group_filter', values.oidc_group_filter),
    verify_certificate: values.oidc_verify_cert,
    auto_onboard: values.oidc_auto_onboard,
    extra_redirect_params: parseParameters(values.oidc_extra_redirect_parms),
    logout: values.oidc_logout,
    allow_private: before?.allow_private ?? false,
    ...(before?.ca === undefined ? {} : { ca: before.ca }),
  };
}

/** A JSON object of texts; nothing for an empty text. */
function parseParameters(text: string): unknown {
  try {
    return text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    throw new OciError('BAD_REQUEST', 'oidc_extra_redirect_parms: expected a JSON object such as {"hd":"example.org"}');
  }
}
