// The settings of one OpenID Connect provider as a zod schema: an entry under `identity.providers` of the config file and the `settings` of the
// admin API are both read with it. The client's secret is not among them. It opens no file and no connection.

import { z } from 'zod';
import { quoteValue } from './error.ts';
import { booleanSetting, plainSetting, setting, textSetting } from './setting.ts';

const claimSetting = (about: string, absent?: string) =>
  textSetting({ about, expected: 'the name of a claim, such as groups', ...(absent === undefined ? {} : { absent }) }, (text) =>
    /^[\x21-\x7e]{1,200}$/.test(text) ? text : undefined,
  );

/** What the login itself says; nobody may say it differently. */
const ownParameters: ReadonlySet<string> = new Set([
  'client_id',
  'client_secret',
  'redirect_uri',
  'response_type',
  'response_mode',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'request',
  'request_uri',
]);

export const oidcSettings = z
  .strictObject({
    issuer: textSetting(
      {
        about:
          'The provider, as its discovery document names it; people are known by it and their subject, so another issuer means other people.',
        expected: 'an https:// URL without user, query and fragment',
      },
      parseIssuer,
    ),
    client_id: plainSetting({ about: 'How the provider knows this server.', expected: 'a text' }),
    scopes: z
      .array(
        textSetting({ about: 'What is asked for; openid always is.', expected: 'a scope such as email' }, (text) =>
          /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(text) ? text : undefined,
        ),
      )
      .max(32)
      .prefault(['openid', 'profile', 'email']),
    user_claim: claimSetting('Claim with the name of a new account. With email only a verified address counts.').prefault(
      'preferred_username',
    ),
    groups_claim: claimSetting(
      'Claim with the groups of a person. They are taken over at each login.',
      'groups are not taken over',
    ).optional(),
    admin_group: plainSetting({
      about: 'Group whose members are administrators here. Checked at each login.',
      expected: 'the name of a group',
      absent: 'administrators are made here',
    }).optional(),
    group_filter: textSetting(
      { about: 'Only groups that match it are taken over.', expected: 'a regular expression', absent: 'all groups' },
      parsePattern,
    ).optional(),
    auto_onboard: booleanSetting(
      'Make an account under the name of `user_claim` at the first login. Without it, and where that name cannot be had, the person is asked for one.',
    ).prefault(true),
    verify_certificate: booleanSetting("Check the provider's certificate. False is for tests only.").prefault(true),
    ca: setting(
      {
        about: 'Certificate authorities to trust beside the usual ones, as PEM text.',
        expected: 'PEM text with -----BEGIN ... in it',
        absent: 'the usual authorities',
      },
      (value) => (typeof value === 'string' && value.includes('-----BEGIN ') && value.length <= 65_536 ? value : undefined),
      { quote: () => 'the value', type: 'string' },
    ).optional(),
    ca_file: plainSetting({
      about: 'The same as a PEM file. In the config file only.',
      expected: 'the path of a PEM file',
      absent: 'the usual authorities',
    }).optional(),
    allow_private: booleanSetting(
      'The provider may be at a private or loopback address. An http:// issuer needs it, too: passwords and tokens are readable on the way.',
    ).prefault(false),
    extra_redirect_params: z
      .record(
        z.string(),
        plainSetting({ about: 'Parameters added to the redirect to the provider: the value of each, by its name.', expected: 'a text' }),
      )
      .prefault({}),
    logout: booleanSetting('Logging out here logs out at the provider, too, when it can.').prefault(false),
    display_name: plainSetting({
      about: 'What the button of the login page says.',
      expected: 'a text',
      absent: "the provider's name",
    }).optional(),
  })
  .superRefine((value, context) => {
    const refuse = (key: string, message: string): void => context.addIssue({ code: 'custom', path: [key], message });
    if (typeof value.issuer === 'string' && value.issuer.startsWith('http:') && !value.allow_private)
      refuse('issuer', 'is http://; expected https://, or allow_private: true for a test in a private network');
    for (const name of Object.keys(value.extra_redirect_params))
      if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name) || ownParameters.has(name))
        refuse('extra_redirect_params', `has ${quoteValue(name)}; expected names of parameters that the login does not set itself`);
    if (value.ca !== undefined && value.ca_file !== undefined) refuse('ca', 'is there beside ca_file; expected one of them');
    if (value.groups_claim === undefined && (value.admin_group !== undefined || value.group_filter !== undefined))
      refuse('groups_claim', 'is missing, and groups are named; expected the claim that lists them');
  });

export type OidcSettings = z.output<typeof oidcSettings>;

/** An issuer as it was written: it is compared byte for byte (OpenID Connect Discovery 4.3). */
function parseIssuer(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || /[?#\s]/.test(text)) return undefined;
  return text.length <= 500 ? text : undefined;
}

function parsePattern(text: string): string | undefined {
  try {
    new RegExp(text, 'u');
    return text.length <= 500 ? text : undefined;
  } catch {
    return undefined;
  }
}
