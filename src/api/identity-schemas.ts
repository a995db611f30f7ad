// Identity providers as they go over the admin API, in our own words, and what Harbor has of directories, in Harbor's. Secrets go in and never
// come out.

import { z } from 'zod';

const name = z.string().min(1).max(63).meta({ example: 'corporate' });
const kind = z.enum(['ldap', 'oidc']);
const position = z.number().int().min(0).max(1_000_000);
const secret = z.string().min(1).max(4096).meta({ description: 'password of `bind_dn`, or the client secret; it is never given back' });
const settings = z.record(z.string(), z.unknown()).meta({
  description: 'as under `identity.providers[].ldap` or `.oidc` of the config file (docs/config.md), without `ca_file`',
});

export const providerSchema = z
  .object({
    name,
    kind,
    enabled: z.boolean(),
    position: z
      .number()
      .int()
      .nullable()
      .meta({ description: 'lower is asked first; null for those of the config file, which come first' }),
    origin: z.enum(['config', 'api']).meta({ description: 'those of the config file are changed there alone' }),
    settings,
    has_secret: z.boolean(),
  })
  .meta({ id: 'IdentityProvider' });
export type ProviderBody = z.infer<typeof providerSchema>;

export const newProviderSchema = z
  .strictObject({ name, kind, enabled: z.boolean().default(true), position: position.optional(), settings, secret: secret.optional() })
  .meta({ id: 'NewIdentityProvider' });

export const providerChangeSchema = z
  .strictObject({
    enabled: z.boolean().optional(),
    position: position.optional(),
    settings: settings.optional().meta({
      description:
        'all of them. When servers or their protection change, the secret must be given again: it is not sent elsewhere (SEC-D09)',
    }),
    secret: secret.nullable().optional().meta({ description: 'null takes it away' }),
  })
  .meta({ id: 'IdentityProviderChange' });

export const providerTrialSchema = z
  .strictObject({
    kind,
    settings,
    secret: secret.optional(),
    like: name.optional().meta({ description: 'use the kept secret of this provider, where it would go to the same servers' }),
  })
  .meta({ id: 'IdentityProviderTrial' });

export const providerTestSchema = z
  .object({
    ok: z.boolean(),
    failure: z.enum(['connection', 'login', 'search']).optional().meta({
      description:
        'connection: no answer that could be trusted (the log says why); login: bind DN or client refused; search: base or filter refused',
    }),
  })
  .meta({ id: 'IdentityProviderTest' });

export const syncReportSchema = z
  .object({
    provider: z.string(),
    looked: z.number().int().meta({ description: 'accounts looked up' }),
    changed: z.number().int(),
    suspended: z.number().int().meta({ description: 'switched off: gone from the directory' }),
    spared: z.number().int().meta({ description: 'seemed gone, too many at once: left alone' }),
  })
  .meta({ id: 'DirectorySync' });

/** Harbor's `LdapConf`. */
export const ldapConfSchema = z
  .strictObject({
    ldap_url: z.string().max(2000).optional(),
    ldap_search_dn: z.string().max(1024).optional(),
    ldap_search_password: z.string().max(4096).optional(),
    ldap_base_dn: z.string().max(1024).optional(),
    ldap_filter: z.string().max(1024).optional(),
    ldap_uid: z.string().max(100).optional(),
    ldap_scope: z.number().int().optional(),
    ldap_connection_timeout: z.number().int().min(1).max(30).optional().meta({ description: 'seconds' }),
    ldap_verify_cert: z.boolean().optional(),
  })
  .meta({ id: 'LdapConf' });
export const ldapPingSchema = z.object({ success: z.boolean(), message: z.string().optional() }).meta({ id: 'LdapPingResult' });
export const ldapUserSchema = z
  .object({ ldap_username: z.string(), ldap_realname: z.string(), ldap_email: z.string() })
  .meta({ id: 'LdapUser' });
export const ldapGroupSchema = z
  .object({ group_name: z.string(), group_type: z.number().int(), ldap_group_dn: z.string() })
  .meta({ id: 'LdapGroup' });
export const ldapImportSchema = z
  .strictObject({ ldap_uid_list: z.array(z.string().min(1).max(255)).min(1).max(500) })
  .meta({ id: 'LdapImportUsers' });
export const ldapImportFailureSchema = z.object({ uid: z.string(), error: z.string() }).meta({ id: 'LdapFailedImportUser' });
