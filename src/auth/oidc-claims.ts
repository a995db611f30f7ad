// What a provider says of a person, read from the claims of its ID token and its userinfo. Pure. A person is the issuer and the subject, never a
// name and never a mail address: those are given away again. OpenID Connect Core 1.0 sections 2, 5.1 and 5.7; security.md SEC-B13.

import type { OidcSettings } from '../config/oidc-settings.ts';

export interface OidcIdentity {
  /** Issuer and subject: unique, and never given to somebody else. */
  readonly externalId: string;
  /** What `user_claim` says; undefined when it says nothing usable. */
  readonly name?: string;
  /** A verified address, or one of which the provider does not say that it is not. */
  readonly email?: string;
  readonly displayName?: string;
  /** Undefined: the provider said nothing of groups that could be read, and those known stay. */
  readonly groups?: readonly string[];
  /** Undefined: not the provider's to say. */
  readonly isAdmin?: boolean;
}

export type Claims = Readonly<Record<string, unknown>>;

const groupsMax = 1000;
const groupMaxLength = 500;
const textMaxLength = 255;

/** The claims that `readIdentity` looks at. */
export function wantedClaims(settings: OidcSettings): readonly string[] {
  return [settings.user_claim, 'email', ...(settings.groups_claim === undefined ? [] : [settings.groups_claim])];
}

/** `issuer` and `subject` were checked by whoever verified the token. */
export function readIdentity(settings: OidcSettings, proven: { issuer: string; subject: string }, claims: Claims): OidcIdentity {
  const { user_claim, groups_claim, admin_group, group_filter } = settings;
  const isVerified = claims['email_verified'] === true || claims['email_verified'] === 'true';
  const isRefuted = claims['email_verified'] === false || claims['email_verified'] === 'false';
  const email = isRefuted ? undefined : textOf(claims['email']);
  const name = user_claim === 'email' && !isVerified ? undefined : textOf(claims[user_claim]);
  const displayName = textOf(claims['name']);
  const all = groups_claim === undefined ? undefined : groupsOf(claims, groups_claim);
  const filter = group_filter === undefined ? undefined : new RegExp(group_filter, 'u');
  const groups = all?.filter((group) => filter === undefined || filter.test(group));
  return {
    externalId: `${proven.issuer} ${proven.subject}`,
    ...(name === undefined ? {} : { name }),
    ...(email === undefined ? {} : { email }),
    ...(displayName === undefined ? {} : { displayName }),
    ...(groups === undefined ? {} : { groups }),
    ...(admin_group === undefined || all === undefined ? {} : { isAdmin: all.includes(admin_group) }),
  };
}

/** A list, or one name alone. A claim that is elsewhere (`_claim_names`, as with very many groups) was not read: undefined. */
function groupsOf(claims: Claims, name: string): readonly string[] | undefined {
  const value = claims[name];
  if (value === undefined || value === null) {
    const elsewhere = claims['_claim_names'];
    return typeof elsewhere === 'object' && elsewhere !== null && name in elsewhere ? undefined : [];
  }
  const listed: readonly unknown[] = Array.isArray(value) ? value : [value];
  const names = listed.filter(
    (one): one is string => typeof one === 'string' && one !== '' && one.length <= groupMaxLength && !hasControls(one),
  );
  return [...new Set(names)].slice(0, groupsMax);
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.trim().normalize('NFC');
  return text === '' || text.length > textMaxLength || hasControls(text) ? undefined : text;
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text);
}
