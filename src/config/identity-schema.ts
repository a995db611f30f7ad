// Where people come from besides the accounts made here: the `identity` part of the config file, and the settings of one provider as the admin
// API takes them. Settings of both come out alike (`ProviderSettings`) and can be written back (`writeProviderSettings`).

import { z } from 'zod';
import { type LdapSettings, ldapSettings } from './ldap-settings.ts';
import { type OidcSettings, oidcSettings } from './oidc-settings.ts';
import { booleanSetting, durationSetting, plainSetting, secretSetting, textSetting } from './setting.ts';
import { formatDuration } from './units.ts';

/** What a provider is and how it is reached, without its secret. */
export type ProviderSettings =
  | { readonly kind: 'ldap'; readonly settings: LdapSettings }
  | { readonly kind: 'oidc'; readonly settings: OidcSettings };

/** `local` is this server itself. */
export function parseProviderName(text: string): string | undefined {
  return /^[a-z][a-z0-9-]{0,62}$/.test(text) && text !== 'local' ? text : undefined;
}

const secretKeys = ['secret', 'secret_file', 'secret_env'] as const;

const provider = z
  .strictObject({
    name: textSetting(
      {
        about: 'Name of the provider. Accounts belong to it by this name, so it is never given to another one.',
        expected: 'lower-case letters, digits and -, such as corporate; not local',
      },
      parseProviderName,
    ),
    enabled: booleanSetting('With false nobody can log in through it; its accounts stay.').prefault(true),
    secret: secretSetting({
      about: 'Password of the `bind_dn` of a directory, or the client secret of an issuer. At most one of the three secret keys.',
      expected: 'a password in quotes',
      absent: 'one of the other two, or none',
    }).optional(),
    secret_file: plainSetting({
      about: 'File that holds it; one line break at its end does not count.',
      expected: 'the path of a file',
      absent: 'one of the other two, or none',
    }).optional(),
    secret_env: textSetting(
      {
        about: 'Environment variable that holds it.',
        expected: 'the name of an environment variable',
        absent: 'one of the other two, or none',
      },
      (text) => (/^[A-Za-z_]\w*$/.test(text) ? text : undefined),
    ).optional(),
    ldap: ldapSettings.optional(),
    oidc: oidcSettings.optional(),
  })
  .superRefine((value, context) => {
    const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
    if ((value.ldap === undefined) === (value.oidc === undefined)) refuse('has ldap and oidc, or neither; expected one of them');
    if (secretKeys.filter((key) => value[key] !== undefined).length > 1)
      refuse(`has more than one secret; expected one of ${secretKeys.join(', ')}`);
    if (value.ldap?.bind_dn !== undefined && secretKeys.every((key) => value[key] === undefined))
      refuse('has bind_dn and no secret; expected its password in secret, secret_file or secret_env');
  });

export const identitySettings = z.strictObject({
  sync_interval: durationSetting(
    'How often people of directories are looked up again: who is gone there is switched off here, and groups are brought up to date.',
    { min: '1m', max: '7d' },
  ).prefault('1h'),
  providers: z
    .array(provider)
    .max(64)
    .superRefine((providers, context) => {
      for (const [index, { name }] of providers.entries()) {
        if (providers.findIndex((other) => other.name === name) === index) continue;
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'is there twice; expected each name once' });
      }
    })
    .prefault([]),
});

/** Settings as the admin API sends them. The issues of what is not understood, or the settings. */
export function readProviderSettings(
  kind: ProviderSettings['kind'],
  value: unknown,
): ProviderSettings | { readonly issues: readonly z.core.$ZodIssue[] } {
  if (kind === 'ldap') {
    const { success, data, error } = ldapSettings.safeParse(value);
    return success ? { kind, settings: data } : { issues: error.issues };
  }
  const { success, data, error } = oidcSettings.safeParse(value);
  return success ? { kind, settings: data } : { issues: error.issues };
}

/** Plain JSON that `readProviderSettings` reads as these settings, defaults included. */
export function writeProviderSettings(provider: ProviderSettings): Readonly<Record<string, unknown>> {
  if (provider.kind === 'oidc') return toPlain(provider.settings);
  return toPlain({ ...provider.settings, timeout: formatDuration(provider.settings.timeout) });
}

/** What a secret was given for: where it is sent, and how it is protected on the way. Another text means that it is asked for again. */
export function secretScopeOf(provider: ProviderSettings): string {
  if (provider.kind === 'oidc') {
    const { issuer, client_id, verify_certificate, ca, allow_private } = provider.settings;
    return JSON.stringify([issuer, client_id, verify_certificate, ca, allow_private]);
  }
  const { urls, start_tls, allow_plaintext, verify_certificate, ca, bind_dn } = provider.settings;
  return JSON.stringify([urls, start_tls, allow_plaintext, verify_certificate, ca, bind_dn]);
}

function toPlain(value: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
}
