// The settings of what an operator watches: metrics, status, probes. A part of the schema in schema.ts; it reads no file itself.

import { z } from 'zod';
import { parseListen } from './addresses.ts';
import { booleanSetting, durationSetting, plainSetting, secretSetting, textSetting } from './setting.ts';

const tokenKeys = ['token', 'token_file', 'token_env'] as const;

export const metricsSettings = z
  .strictObject({
    public: booleanSetting(
      'Everybody who reaches the server may read `/metrics`. With false it takes the login of an administrator, or the token.',
    ).prefault(false),
    listen: textSetting(
      {
        about:
          'A second address that serves `/metrics` and nothing else, over HTTP and without a login: for a Prometheus in a private network.',
        expected: 'HOST:PORT, such as 10.0.0.5:9464 or 127.0.0.1:9464',
        absent: '`/metrics` is on the main address only',
      },
      parseListen,
    ).optional(),
    token: secretSetting({
      about: 'Bearer token that opens `/metrics`. At most one of the three token keys is given.',
      expected: 'a token in quotes',
      absent: 'no token opens it',
    }).optional(),
    token_file: plainSetting({
      about: 'File that holds the token; one line break at its end does not count.',
      expected: 'the path of a file',
      absent: 'no token opens it',
    }).optional(),
    token_env: textSetting(
      {
        about: 'Environment variable that holds the token.',
        expected: 'the name of an environment variable',
        absent: 'no token opens it',
      },
      (text) => (/^[A-Za-z_]\w*$/.test(text) ? text : undefined),
    ).optional(),
  })
  .superRefine((value, context) => {
    const given = tokenKeys.filter((key) => value[key] !== undefined);
    if (given.length > 1)
      context.addIssue({ code: 'custom', message: `has ${given.join(' and ')}; expected at most one of ${tokenKeys.join(', ')}` });
  });

export const statusSettings = z.strictObject({
  public: booleanSetting(
    'Everybody may read `/status.json` and the badges. Then private addresses, proxies and evidence are left out. With false they take the login of an administrator.',
  ).prefault(false),
});

/** An image inside the registry; `:latest` when no tag is named. */
const image = (about: string) =>
  textSetting(
    { about, expected: 'REPOSITORY[:TAG], such as library/alpine:latest', absent: 'the built-in one, where there is one' },
    (text) => (/^[a-z0-9]+(?:[._/-][a-z0-9_.-]*[a-z0-9])*(?::[\w][\w.-]{0,127})?$/.test(text) ? text : undefined),
  );

export const probeSettings = z.strictObject({
  enabled: booleanSetting('Ask the sources by themselves whether they work, beside what pulls show.').prefault(true),
  interval: durationSetting(
    'How often a source is looked at while its registry is pulled from. Without pulls it becomes longer, up to 30 minutes. Pulls count as looks.',
    { min: '5s', max: '24h' },
  ).prefault('60s'),
  deep_interval: durationSetting(
    'How often a source is asked for content: the head of a manifest, and a small blob that is here already, to compare it.',
    { min: '5s', max: '24h' },
  ).prefault('10m'),
  canaries: z
    .record(
      z.string().min(1).max(128),
      z.strictObject({
        popular: image('An image of this registry that every mirror of it has.').optional(),
        rare: image('An image that only a mirror without a whitelist has.').optional(),
      }),
    )
    .prefault({}),
});
