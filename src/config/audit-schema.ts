// The settings of the audit log and of where it is forwarded to. A part of the schema in schema.ts; it reads no file itself.

import { z } from 'zod';
import type { Secret } from '../lib/secret.ts';
import { parseSourceUrl } from './addresses.ts';
import { booleanSetting, countSetting, durationSetting, plainSetting, secretSetting, textSetting } from './setting.ts';
import { formatDuration } from './units.ts';

const secretKeys = ['secret', 'secret_file', 'secret_env'] as const;
const caFile = plainSetting({
  about: 'PEM file of the certificate authorities to trust.',
  expected: 'the path of a PEM file',
  absent: "the system's authorities",
});

const webhook = z
  .strictObject({
    url: textSetting(
      {
        about: 'Entries are sent here as JSON by POST, signed. It may be in a private network. Redirects are not followed.',
        expected: 'an http:// or https:// URL without user, query and fragment',
      },
      parseSourceUrl,
    ),
    secret: secretSetting({
      about: 'What the signature is made with (HMAC-SHA256). Exactly one of the three secret keys is given.',
      expected: 'a text in quotes',
      absent: 'one of the other two',
    }).optional(),
    secret_file: plainSetting({
      about: 'File that holds it; one line break at its end does not count.',
      expected: 'the path of a file',
      absent: 'one of the other two',
    }).optional(),
    secret_env: textSetting(
      { about: 'Environment variable that holds it.', expected: 'the name of an environment variable', absent: 'one of the other two' },
      (text) => (/^[A-Za-z_]\w*$/.test(text) ? text : undefined),
    ).optional(),
    ca_file: caFile.optional(),
  })
  .superRefine((value, context) => {
    const given = secretKeys.filter((key) => value[key] !== undefined);
    if (given.length !== 1)
      context.addIssue({ code: 'custom', message: `has ${given.join(' and ') || 'no secret'}; expected one of ${secretKeys.join(', ')}` });
  });

const syslog = z.strictObject({
  url: textSetting(
    {
      about: 'A syslog server that gets every entry as a message (RFC 5424). It may be in a private network.',
      expected: 'udp://HOST[:PORT], tcp://HOST[:PORT] or tls://HOST[:PORT]',
    },
    (text) => (/^(udp|tcp|tls):\/\/[^\s/@?#\\]+$/.test(text) ? text : undefined),
  ),
  ca_file: caFile.optional(),
});

export const auditSettings = z.strictObject({
  retention: durationSetting('How long entries of the audit log are kept.', { min: '1d', max: '3650d' }).prefault('180d'),
  pulls: booleanSetting('Pulls are recorded, too, those alike together.').prefault(true),
  pull_window: durationSetting('Pulls of one tag or digest by one caller within this time are one entry with their number.', {
    min: '1m',
    max: '24h',
  }).prefault('10m'),
  webhook: webhook.optional(),
  syslog: syslog.optional(),
  private_endpoint: booleanSetting(
    'The syslog server that an administrator sets over the API (`audit_log_forward_endpoint`) may be in a private network.',
  ).prefault(false),
  outbox: z
    .strictObject({
      age: durationSetting('What a target that is away has not taken for so long is left out for it.', { min: '1m', max: '365d' }).prefault(
        '7d',
      ),
      entries: countSetting('So many entries wait for a target at most; then the oldest are left out for it.', {
        min: 100,
        max: 100_000_000,
      }).prefault(1_000_000),
    })
    .prefault({}),
});
type AuditFile = z.output<typeof auditSettings>;

export interface AuditConfig {
  readonly retentionMs: number;
  readonly pulls: boolean;
  readonly pullWindowMs: number;
  readonly webhook?: { readonly url: string; readonly secret: Secret; readonly ca?: string; readonly caFile?: string };
  readonly syslog?: { readonly url: string; readonly ca?: string; readonly caFile?: string };
  readonly privateEndpoint: boolean;
  readonly outbox: { readonly ageMs: number; readonly entries: number };
}

/** What of it comes from files and variables. */
export interface AuditSurroundings {
  secret(given: Pick<NonNullable<AuditFile['webhook']>, 'secret' | 'secret_file' | 'secret_env'>): Secret | undefined;
  certificates(file: string, path: readonly string[]): { readonly ca?: string; readonly caFile: string };
}

export function buildAudit(file: AuditFile, { secret, certificates }: AuditSurroundings): AuditConfig {
  const { webhook: hook, syslog: server } = file;
  const key = hook === undefined ? undefined : secret(hook);
  return {
    retentionMs: file.retention,
    pulls: file.pulls,
    pullWindowMs: file.pull_window,
    ...(hook === undefined || key === undefined
      ? {}
      : {
          webhook: {
            url: hook.url,
            secret: key,
            ...(hook.ca_file === undefined ? {} : certificates(hook.ca_file, ['webhook', 'ca_file'])),
          },
        }),
    ...(server === undefined
      ? {}
      : { syslog: { url: server.url, ...(server.ca_file === undefined ? {} : certificates(server.ca_file, ['syslog', 'ca_file'])) } }),
    privateEndpoint: file.private_endpoint,
    outbox: { ageMs: file.outbox.age, entries: file.outbox.entries },
  };
}

/** As a config file says it, the secret hidden. */
export function printAudit(config: AuditConfig): object {
  const { webhook: hook, syslog: server } = config;
  return {
    retention: formatDuration(config.retentionMs),
    pulls: config.pulls,
    pull_window: formatDuration(config.pullWindowMs),
    webhook: hook === undefined ? undefined : { url: hook.url, secret: '***', ca_file: hook.caFile },
    syslog: server === undefined ? undefined : { url: server.url, ca_file: server.caFile },
    private_endpoint: config.privateEndpoint,
    outbox: { age: formatDuration(config.outbox.ageMs), entries: config.outbox.entries },
  };
}
