// The one shape of a source: an entry of the config file, the body of the admin API and what the commands send are all made of `sourceSettings`.
// Reading it (`readSource`) and writing it back (`writeSource`) stand here too. It opens no file and resolves no name.

import { z } from 'zod';
import { parseOrigin, parseProxyUrl, parseSourceUrl } from './addresses.ts';
import type { CredentialConfig, SourceConfig } from './config.ts';
import { oneOrList } from './one-or-list.ts';
import { pathStyles, resolvePathStyle } from './path-style.ts';
import { defaultPriority } from './presets.ts';
import { booleanSetting, choiceSetting, countSetting, plainSetting, secretSetting, setting, sizeSetting, textSetting } from './setting.ts';
import { formatSize } from './units.ts';

const patternMaxLength = 256;
const listMax = 64;

/** Of a registry: it becomes the name of its mirror project, so it is a legal part of a repository name (distribution-spec v1.1, "Pulling manifests"). */
export const registryName = z
  .string()
  .regex(
    /^(?=.{1,128}$)[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/,
    'is no name of a registry; expected lower-case letters, digits and . _ - such as docker.io',
  );

const passwordKeys = ['password', 'password_file', 'password_env'] as const;

const credential = z
  .strictObject({
    username: plainSetting({
      about: "User name sent to the source's token service.",
      expected: 'a user name',
      absent: 'needed, unless a helper tells it',
    }).optional(),
    password: secretSetting({
      about: 'The password or access token itself. A user name comes with exactly one of the three password keys.',
      expected: 'a password in quotes',
      absent: 'one of the other two, or a helper',
    }).optional(),
    password_file: plainSetting({
      about: 'File that holds the password; one line break at its end does not count. Read again when it changes.',
      expected: 'the path of a file',
      absent: 'one of the other two, or a helper',
    }).optional(),
    password_env: textSetting(
      {
        about: 'Environment variable that holds the password.',
        expected: 'the name of an environment variable',
        absent: 'one of the other two, or a helper',
      },
      (text) => (/^[A-Za-z_]\w*$/.test(text) ? text : undefined),
    ).optional(),
    helper: z
      .array(
        plainSetting({
          about:
            "Program and its arguments, run without a shell, that prints the login instead: one of Docker's credential helpers, or JSON with `username`, `password` and, optionally, `expires_in` in seconds. For passwords that expire, such as those of Amazon ECR.",
          expected: 'a word of the command, such as docker-credential-ecr-login',
        }),
      )
      .min(1)
      .max(32)
      .optional(),
  })
  .superRefine((value, context) => {
    const given = passwordKeys.filter((key) => value[key] !== undefined);
    const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
    if (value.helper !== undefined) {
      if (given.length > 0 || value.username !== undefined)
        refuse(`has helper and ${[...(value.username === undefined ? [] : ['username']), ...given].join(' and ')}; expected helper alone`);
      return;
    }
    if (given.length !== 1) {
      const wrong = given.length === 0 ? 'has no password' : `has ${given.join(' and ')}`;
      refuse(`${wrong}; expected exactly one of ${passwordKeys.join(', ')}, or a helper`);
    } else if (value.username === undefined) refuse('has no username; expected one');
  });

const tls = z
  .strictObject({
    ca_file: plainSetting({
      about: 'PEM file of the certificate authorities to trust for this source. In the config file only; the API takes `ca`.',
      expected: 'the path of a PEM file',
      absent: "the system's authorities",
    }).optional(),
    ca: setting(
      { about: 'The same as PEM text.', expected: 'PEM text with -----BEGIN ... in it', absent: "the system's authorities" },
      (value) => (typeof value === 'string' && value.includes('-----BEGIN ') && value.length <= 65_536 ? value : undefined),
      { quote: () => 'the value', type: 'string' },
    ).optional(),
    insecure: booleanSetting("Do not check this source's certificate. For tests only.").prefault(false),
  })
  .superRefine((value, context) => {
    if (value.ca !== undefined && value.ca_file !== undefined)
      context.addIssue({ code: 'custom', message: 'has ca and ca_file; expected one of them' });
  });

const limits = z.strictObject({
  connections: countSetting('Requests in flight to this source, bodies being read included.', { min: 1, max: 10_000 }).optional(),
  requests_per_minute: countSetting('Requests to this source in a minute.', { min: 1, max: 1_000_000 }).optional(),
  bytes_per_second: sizeSetting('Bytes a second of all bodies from this source together.', { min: '1KiB', max: '1TiB' }).optional(),
});

const pattern = (about: string) =>
  textSetting(
    { about, expected: 'a pattern such as library/*, **/base or team-?/app: * inside a part of the name, ** across parts' },
    (text) => (text.length <= patternMaxLength && /^[a-z0-9._\-/*?{},]+$/.test(text) ? text : undefined),
  );

const scope = z.strictObject({
  allow: z.array(pattern('Repositories of the registry this source is asked for. None listed: all of them.')).max(listMax).prefault([]),
  deny: z.array(pattern('Repositories this source is never asked for; wins over `allow`.')).max(listMax).prefault([]),
});

/** Each setting of a source, without its default. */
const settings = {
  url: textSetting(
    {
      about: 'Address of the registry or mirror. A path is put before `/v2/`; a path that starts with `/v2/` is put before the name.',
      expected: 'an http:// or https:// URL without user, query and fragment, such as https://registry-1.docker.io',
    },
    parseSourceUrl,
  ),
  path_style: choiceSetting(
    'How `url` stands for this registry, for mirrors of many registries. `root`: the URL is the whole address. `prefix`: the name of the registry is put before the name of the repository, as in `m.daocloud.io/docker.io/library/debian`. `host`: a short name of the registry is put before the host, as in `ghcr.1ms.run` for `https://1ms.run`. Only the whole address is kept.',
    pathStyles,
  ),
  trust: choiceSetting(
    'An `authority` is believed about what a tag means. A `digest-only` source delivers content that is proved by its digest, nothing else.',
    ['digest-only', 'authority'],
  ),
  priority: countSetting('Lower is asked first.', { min: 0, max: 1_000_000 }),
  enabled: booleanSetting('With false nothing is asked of this source.'),
  proxy: textSetting(
    {
      about: 'Proxy through which this source is reached; it also resolves the name.',
      expected: 'http://HOST:PORT, or socks5://HOST:PORT for an https source',
      absent: 'a direct connection',
    },
    parseProxyUrl,
  ),
  credentials: oneOrList(credential, 16),
  realms: z
    .array(
      textSetting(
        {
          about: "Origins, beside the source's own, that its token service may live on. Credentials are sent to no other.",
          expected: 'an origin such as https://auth.docker.io',
        },
        parseOrigin,
      ),
    )
    .max(16),
  allow_private: booleanSetting(
    'The source may be, and redirect to, a private or loopback address although its name looks public, such as a mirror in the office network.',
  ),
  tls,
  limits,
  scope,
  operator: textSetting(
    {
      about: 'Who runs this source. Sources of one operator do not count as independent of each other when they agree on a tag.',
      expected: 'a short name',
      absent: 'the registrable domain of its host',
    },
    (text) => (text.length <= 100 ? text : undefined),
  ),
};

/** An entry of `sources` in the config file, and the body that adds one. */
export const sourceEntry = z.strictObject({
  url: settings.url,
  path_style: settings.path_style.prefault('root'),
  trust: settings.trust.prefault('digest-only'),
  priority: settings.priority.prefault(defaultPriority),
  enabled: settings.enabled.prefault(true),
  proxy: settings.proxy.optional(),
  credentials: settings.credentials.optional(),
  realms: settings.realms.prefault([]),
  allow_private: settings.allow_private.prefault(false),
  tls: settings.tls.optional(),
  limits: settings.limits.optional(),
  scope: settings.scope.optional(),
  operator: settings.operator.optional(),
});
export type SourceEntry = z.output<typeof sourceEntry>;

/** What is given replaces what was; null takes it away. */
export const sourceChange = z.strictObject({
  url: settings.url.optional(),
  path_style: settings.path_style.optional(),
  trust: settings.trust.optional(),
  priority: settings.priority.optional(),
  enabled: settings.enabled.optional(),
  proxy: settings.proxy.nullable().optional(),
  credentials: settings.credentials.nullable().optional(),
  realms: settings.realms.optional(),
  allow_private: settings.allow_private.optional(),
  tls: settings.tls.nullable().optional(),
  limits: settings.limits.nullable().optional(),
  scope: settings.scope.nullable().optional(),
  operator: settings.operator.nullable().optional(),
});
export type SourceChange = z.output<typeof sourceChange>;

/** The whole address of an entry's URL; undefined when the style makes no sense of it for this registry. */
export function addressOf(
  entry: { readonly url: string; readonly path_style?: SourceEntry['path_style'] },
  registry: string,
): string | undefined {
  return resolvePathStyle({ url: entry.url, style: entry.path_style ?? 'root', registry });
}

/** The entry as the rest of the server sees it. `url` is the address (`addressOf`); `ca` the text of its `ca_file`. */
export function readSource(entry: SourceEntry, resolved: { readonly url: string; readonly ca?: string }): SourceConfig {
  const { tls: ways, proxy, operator, scope: names } = entry;
  const credentials = readCredentials(entry.credentials);
  return {
    url: resolved.url,
    trust: entry.trust,
    priority: entry.priority,
    ...(entry.enabled ? {} : { enabled: false }),
    realms: entry.realms,
    allowPrivate: entry.allow_private,
    ...(proxy === undefined ? {} : { proxy }),
    ...(credentials.length === 0 ? {} : { credentials }),
    ...(ways === undefined ? {} : { tls: readTls(ways, resolved.ca) }),
    ...(entry.limits === undefined ? {} : { limits: readLimits(entry.limits) }),
    ...(names === undefined ? {} : { scope: names }),
    ...(operator === undefined ? {} : { operator }),
  };
}

export function readTls(entry: NonNullable<SourceEntry['tls']>, fileText?: string): NonNullable<SourceConfig['tls']> {
  const ca = fileText ?? entry.ca;
  return {
    insecure: entry.insecure,
    ...(ca === undefined ? {} : { ca }),
    ...(entry.ca_file === undefined ? {} : { caFile: entry.ca_file }),
  };
}

export function readCredentials(entries: SourceEntry['credentials']): readonly CredentialConfig[] {
  return (entries ?? []).map(({ username, password, password_file: passwordFile, password_env: passwordEnv, helper }) => ({
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(passwordFile === undefined ? {} : { passwordFile }),
    ...(passwordEnv === undefined ? {} : { passwordEnv }),
    ...(helper === undefined ? {} : { helper }),
  }));
}

export function readLimits(entry: NonNullable<SourceEntry['limits']>): NonNullable<SourceConfig['limits']> {
  const { connections, requests_per_minute: requestsPerMinute, bytes_per_second: bytesPerSecond } = entry;
  return {
    ...(connections === undefined ? {} : { connections }),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
  };
}

/** The entry that `sourceEntry` reads as this source, as plain JSON. A password is written as `***`. */
export function writeSource(source: SourceConfig): Readonly<Record<string, unknown>> {
  const { tls: ways, limits: most, credentials } = source;
  const entry = {
    url: source.url,
    trust: source.trust,
    priority: source.priority,
    enabled: source.enabled ?? true,
    proxy: source.proxy,
    credentials: credentials?.length === 1 ? credentials.map(writeCredential)[0] : credentials?.map(writeCredential),
    realms: source.realms,
    allow_private: source.allowPrivate,
    tls:
      ways === undefined
        ? undefined
        : { ca_file: ways.caFile, ca: ways.caFile === undefined ? ways.ca : undefined, insecure: ways.insecure },
    limits:
      most === undefined
        ? undefined
        : {
            connections: most.connections,
            requests_per_minute: most.requestsPerMinute,
            bytes_per_second: most.bytesPerSecond === undefined ? undefined : formatSize(most.bytesPerSecond),
          },
    scope: source.scope,
    operator: source.operator,
  };
  return JSON.parse(JSON.stringify(entry)) as Record<string, unknown>;
}

function writeCredential({ username, password, passwordFile, passwordEnv, helper }: CredentialConfig): object {
  return {
    username,
    password: password === undefined ? undefined : '***',
    password_file: passwordFile,
    password_env: passwordEnv,
    helper,
  };
}
