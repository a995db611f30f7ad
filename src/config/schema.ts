// The config file as a zod schema: its keys, defaults, bounds and the words of its reference page (docs/config.md is generated from it).
// Unknown keys are errors at every level. It reads no file and no environment; load.ts does that and gives the rest of the server `Config`.

import { z } from 'zod';
import { parseCidr, parseExternalUrl, parseListen, parseSourceUrl } from './addresses.ts';
import { auditSettings } from './audit-schema.ts';
import { parseEgressHost, parseEgressRegistry } from './egress.ts';
import { identitySettings } from './identity-schema.ts';
import { equivalentsSetting, foreignLayersSetting, tagSettings } from './mirror-schema.ts';
import { metricsSettings, probeSettings, statusSettings } from './observe-schema.ts';
import { booleanSetting, countSetting, durationSetting, plainSetting, setting, sizeSetting, textSetting } from './setting.ts';
import { registryName, sourceEntry } from './source-entry.ts';
import { parsePublicKey } from './ssh-signature.ts';
import { warmSettings } from './warm-schema.ts';

/** How `--listen` and BREAKWATER_LISTEN are read, too. */
export const listenSetting = textSetting(
  {
    about: 'Address and port the server listens on. Port 0 takes any free port.',
    expected: 'HOST:PORT, such as 0.0.0.0:5000, 127.0.0.1:0 or [::]:5000',
  },
  parseListen,
);

/** How `--data` and BREAKWATER_DATA are read, too. */
export const dataSetting = plainSetting({
  about: 'Folder of everything the server keeps. A relative path starts at the working directory.',
  expected: 'the path of a folder',
});

/** How BREAKWATER_MASTER_KEY_FILE is read, too. */
export const masterKeySetting = plainSetting({
  about:
    'File of the master key, under which the secrets in the database are sealed: 32 bytes as base64 or hex, made when the database is new and the file absent. Keep it on another volume than the data, and in another backup.',
  expected: 'the path of a file',
  absent: '`master.key` in the data folder',
});

const registry = z.strictObject({
  public: booleanSetting(
    'Everybody may pull through this mirror. Without it a mirror is public unless one of its sources has credentials: what they open is not for everybody.',
  ).optional(),
  sources: z
    .array(sourceEntry)
    .min(1)
    .max(64)
    .superRefine((sources, context) => {
      for (const [index, { url }] of sources.entries()) {
        if (sources.findIndex((other) => other.url === url) === index) continue;
        context.addIssue({ code: 'custom', path: [index, 'url'], message: 'is listed twice; expected each source once' });
      }
    }),
});

const limits = z
  .strictObject({
    manifest_bytes: sizeSetting('Largest manifest, pushed or fetched.', { min: '1KiB', max: '64MiB' }).prefault('4MiB'),
    blob_bytes: sizeSetting('Largest blob, pushed or fetched.', { min: '1KiB', max: '16TiB' }).prefault('100GiB'),
    uploads_per_repository: countSetting('Open uploads in one repository.', { min: 1, max: 1_000_000 }).prefault(500),
    uploads_total: countSetting('Open uploads on the whole server.', { min: 1, max: 1_000_000 }).prefault(5000),
    uploads_per_principal: countSetting('Open uploads of one user.', { min: 1, max: 1_000_000 }).prefault(100),
    upload_idle_expiry: durationSetting('An upload that receives nothing for so long is removed.', { min: '1s', max: '365d' }).prefault(
      '24h',
    ),
    upload_absolute_expiry: durationSetting('An upload older than this is removed.', { min: '1s', max: '365d' }).prefault('7d'),
    page_size_default: countSetting('Entries on a page of tags, repositories or referrers when the client asks for no number.', {
      min: 1,
      max: 100_000,
    }).prefault(100),
    page_size_max: countSetting('Largest page a client gets, whatever it asks for.', { min: 1, max: 100_000 }).prefault(1000),
    minimum_free: z
      .strictObject({
        percent: countSetting('Share of the file system that stays free; below it writes are refused and reads go on.', {
          min: 0,
          max: 90,
        }).prefault(5),
        bytes: sizeSetting('The same as an amount; the larger of the two counts.', { min: '0B', max: '16TiB' }).prefault('2GiB'),
      })
      .prefault({}),
    upstream: z
      .strictObject({
        connections_per_host: countSetting('Requests in flight to one host of a source.', { min: 1, max: 10_000 }).prefault(32),
        fills: countSetting('Blobs fetched from sources at the same time.', { min: 1, max: 10_000 }).prefault(64),
      })
      .prefault({}),
  })
  .superRefine((value, context) => {
    const refuse = (key: string, wrong: string, expected: string): void =>
      context.addIssue({ code: 'custom', path: [key], message: `${wrong}; expected ${expected}` });
    if (value.page_size_default > value.page_size_max)
      refuse('page_size_default', 'is larger than page_size_max', `at most ${value.page_size_max}`);
    if (value.upload_idle_expiry > value.upload_absolute_expiry) {
      refuse('upload_idle_expiry', 'is longer than upload_absolute_expiry', 'the shorter of the two');
    }
  });

const egressRegistries = (about: string) =>
  z
    .array(
      textSetting({ about, expected: 'the name of a registry, * for any part of it, such as docker.io or *.pkg.dev' }, parseEgressRegistry),
    )
    .max(1000)
    .prefault([]);
const egressHosts = (about: string) =>
  z
    .array(
      textSetting(
        { about, expected: 'a host name without port, * for any part of it, an address or a block, such as *.docker.com or 10.0.0.0/8' },
        parseEgressHost,
      ),
    )
    .max(1000)
    .prefault([]);

const egress = z.strictObject({
  registries: z
    .strictObject({
      allow: egressRegistries('When not empty, no other registry may be contacted, and pulls of others are refused.'),
      deny: egressRegistries('Registries that may not be contacted; pulls of them are refused. It wins over `allow`.'),
    })
    .prefault({}),
  hosts: z
    .strictObject({
      allow: egressHosts(
        'When not empty, no other host may be contacted: sources, token services, redirects (CDNs), proxies. A block of addresses counts for what a name resolves to.',
      ),
      deny: egressHosts('Hosts and networks that may not be contacted. It wins over `allow`.'),
    })
    .prefault({}),
});

/** `true` and `false` stand for the whole mapping. */
const presets = z.preprocess(
  (value) => (typeof value === 'boolean' ? { enabled: value } : value),
  z
    .strictObject({
      enabled: booleanSetting(
        'Mirror the well-known registries listed below. With false only those under `registries` are mirrored. `presets: false` is short for it.',
      ).prefault(true),
      file: plainSetting({
        about: 'File of newer presets; its signature lies beside it under the same name and `.sig`.',
        expected: 'the path of a file',
      }).optional(),
      url: textSetting(
        { about: 'The same as a URL.', expected: 'an http:// or https:// URL without user, query and fragment' },
        parseSourceUrl,
      ).optional(),
      public_key: textSetting(
        {
          about: 'Key that newer presets must be signed with. They are refused without a good signature, and when they are older.',
          expected: 'a line such as ssh-ed25519 AAAA...',
          absent: 'required with file or url',
        },
        parsePublicKey,
      ).optional(),
      interval: durationSetting('How often newer ones are looked for.', { min: '1m', max: '30d' }).prefault('24h'),
    })
    .superRefine((value, context) => {
      const places = [value.file, value.url].filter((one) => one !== undefined).length;
      const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
      if (places > 1) refuse('has file and url; expected one of them');
      else if (places === 1 && value.public_key === undefined) refuse('has no public_key; expected the key its signature is checked with');
      else if (places === 0 && value.public_key !== undefined) refuse('has public_key alone; expected file or url with it');
    }),
);

export const configSchema = z.strictObject({
  listen: listenSetting.prefault('0.0.0.0:5000'),
  data: dataSetting.prefault('./data'),
  master_key_file: masterKeySetting.optional(),
  external_url: textSetting(
    {
      about:
        'Address under which clients reach the server, when a proxy stands before it. The token realm is built from it. It may have a path, when the proxy gives the server only a part of its host; `/v2/` of that host must lead here, too, because Docker and podman know no other place.',
      expected: 'an http:// or https:// URL, such as https://registry.example.com or https://tools.example.com/registry',
      absent: "the request's own Host",
    },
    parseExternalUrl,
  ).optional(),
  trusted_proxies: z
    .array(
      textSetting(
        {
          about: 'Addresses of proxies whose X-Forwarded-For, -Proto, -Host, -Port and -Prefix headers are believed.',
          expected: 'an address block such as 10.0.0.0/8 or fd00::/8',
        },
        parseCidr,
      ),
    )
    .max(256)
    .prefault([]),
  anonymous_pull: booleanSetting('Public projects can be pulled from without a login. With false every pull needs one.').prefault(true),
  anonymous_networks: z
    .array(
      textSetting(
        {
          about:
            'Networks from which public projects can be pulled from without a login. With none in the list: from everywhere. Behind a proxy the address of the client counts when `trusted_proxies` names the proxy.',
          expected: 'an address block such as 10.0.0.0/8 or fd00::/8',
        },
        parseCidr,
      ),
    )
    .max(256)
    .prefault([]),
  logins: z
    .strictObject({
      shared_networks: z
        .array(
          textSetting(
            {
              about:
                'Addresses that many people share, such as a NAT or a tunnel: wrong logins there slow down the account they try, and not the address.',
              expected: 'an address block such as 203.0.113.7/32',
            },
            parseCidr,
          ),
        )
        .max(256)
        .prefault([]),
    })
    .prefault({}),
  tls: z
    .strictObject({
      certificate: plainSetting({
        about: 'PEM file of the certificate and its chain. With it the server speaks HTTPS; a changed file is taken up without a restart.',
        expected: 'the path of a PEM file',
      }),
      private_key: plainSetting({ about: 'PEM file of the private key.', expected: 'the path of a PEM file' }),
    })
    .optional(),
  mirror: z
    .strictObject({
      root: setting(
        {
          about:
            'Registry asked for names whose first part is no project, so that plain `registry-mirrors` of Docker work. `false` turns it off.',
          expected: 'the name of a configured registry, or false',
          absent: '`docker.io`, when it is configured',
        },
        (value) => (value === false ? false : typeof value === 'string' && registryName.safeParse(value).success ? value : undefined),
      ).optional(),
      ...tagSettings,
      revalidate_timeout: durationSetting('How long a pull waits for the answer about a tag it already knows.', {
        min: '50ms',
        max: '60s',
      }).prefault('2s'),
      equivalents: equivalentsSetting,
      foreign_layers: foreignLayersSetting,
    })
    .prefault({}),
  presets: presets.prefault(true),
  registries: z.record(registryName, registry).prefault({}),
  egress: egress.prefault({}),
  warm: warmSettings.prefault([]),
  metrics: metricsSettings.prefault({}),
  status: statusSettings.prefault({}),
  probes: probeSettings.prefault({}),
  audit: auditSettings.prefault({}),
  api_credentials: z
    .strictObject({
      folders: z
        .array(
          plainSetting({
            about: 'Folders whose files the admin API may name as `password_file` of a source. The config file may name any.',
            expected: 'the path of a folder',
          }),
        )
        .max(64)
        .prefault([]),
      environment: z
        .array(
          plainSetting({
            about: 'Environment variables the admin API may name as `password_env`.',
            expected: 'the name of an environment variable',
          }),
        )
        .max(64)
        .prefault([]),
      helpers: z
        .array(
          plainSetting({
            about: 'Programs the admin API may name as the first word of a `helper`: they run with the rights of the server.',
            expected: 'the program, exactly as it is to be named',
          }),
        )
        .max(64)
        .prefault([]),
    })
    .prefault({}),
  limits: limits.prefault({}),
  identity: identitySettings.prefault({}),
});

export type ConfigFile = z.output<typeof configSchema>;
