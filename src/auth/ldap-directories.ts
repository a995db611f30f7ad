// The directories among the identity providers, each made once and kept until its settings change.

import type { EgressPolicy } from '../config/egress.ts';
import type { Clock } from '../lib/clock.ts';
import { createLru } from '../lib/lru.ts';
import type { IdentityProvider, IdentityProviders } from './identity-providers.ts';
import { createLdapDirectory, type LdapDirectory } from './ldap.ts';
import type { LdapEgress } from './ldap-dial.ts';

export type DirectoryProvider = Extract<IdentityProvider, { kind: 'ldap' }>;

export interface LdapDirectories {
  /** Those that people may log in through now, first asked first. */
  listEnabled(): Promise<readonly DirectoryProvider[]>;
  directoryOf(provider: DirectoryProvider): LdapDirectory;
  /** Not kept: for a test of settings. */
  openApart(provider: DirectoryProvider): LdapDirectory;
}

export function createLdapDirectories(options: {
  readonly providers: Pick<IdentityProviders, 'list'>;
  readonly egress: Pick<EgressPolicy, 'check' | 'checkAddresses'>;
  readonly clock: Clock;
}): LdapDirectories {
  const { providers, clock } = options;
  const egress: LdapEgress = (url, resolved) => {
    const decision = resolved === undefined ? options.egress.check('', url) : options.egress.checkAddresses('', url, resolved.addresses);
    return decision.allowed ? undefined : decision.reason;
  };
  const open = ({ settings, secret }: DirectoryProvider): LdapDirectory =>
    createLdapDirectory({ settings, password: secret, clock, egress });
  const kept = createLru<string, LdapDirectory>({ maxEntries: 128 });
  return {
    listEnabled: async () =>
      (await providers.list()).filter((provider): provider is DirectoryProvider => provider.kind === 'ldap' && provider.isEnabled),
    directoryOf: (provider) => {
      const key = `${provider.name} ${provider.version}`;
      const known = kept.get(key);
      if (known !== undefined) return known;
      const made = open(provider);
      kept.set(key, made);
      return made;
    },
    openApart: open,
  };
}
