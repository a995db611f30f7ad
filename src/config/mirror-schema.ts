// The part of the config file that says what a mirrored tag, an equal repository elsewhere and a foreign layer mean.

import { z } from 'zod';
import { createGlob } from '../lib/glob.ts';
import { parseOrigin } from './addresses.ts';
import { parseEquivalent, wildcardOf } from './equivalents.ts';
import { choiceSetting, durationSetting, textSetting } from './setting.ts';

const onUpstreamDelete = ['remove', 'keep'] as const;

const tagTtl = durationSetting('How long a tag is served without asking its registry again.', { min: '0s', max: '365d' });
const staleWhileRevalidate = durationSetting(
  'How long after that the known digest is still served at once while one check runs behind it. A tag that has moved is then seen one pull later, so this suits tags that do not move.',
  { min: '0s', max: '365d' },
);
const staleIfError = durationSetting('How long the last known digest of a tag is served while its registry cannot be reached.', {
  min: '0s',
  max: '3650d',
});
const deletePolicy = choiceSetting(
  'What becomes of a cached tag that its registry no longer has: `remove` answers 404 once a second check says so too, `keep` goes on serving the last verified digest with a Warning.',
  onUpstreamDelete,
);

const withoutAuthority = ['unconfirmed', 'quorum', 'known'] as const;
const witnesses = choiceSetting(
  'What is believed about a tag while no authority can be asked. `quorum`: two independent sources that agree. `unconfirmed`: also one alone, with a Warning, when nothing is known here. `known`: nobody, only what an authority said before.',
  withoutAuthority,
);

const rule = z.strictObject({
  match: textSetting(
    {
      about:
        'Which tags the rule is for, as `registry/repository:tag`. `*` stays inside one part of a name, `**` crosses `/`, `{a,b}` is either; without `:tag` every tag is meant.',
      expected: 'a pattern such as docker.io/library/*:latest or ghcr.io/**',
    },
    parseTagMatch,
  ),
  tag_ttl: tagTtl.optional(),
  stale_while_revalidate: staleWhileRevalidate.optional(),
  stale_if_error: staleIfError.optional(),
  on_upstream_delete: deletePolicy.optional(),
  without_authority: witnesses.optional(),
});

/** Keys of `mirror` that concern tags. */
export const tagSettings = {
  tag_ttl: tagTtl.prefault('60s'),
  stale_while_revalidate: staleWhileRevalidate.prefault('0s'),
  stale_if_error: staleIfError.prefault('30d'),
  on_upstream_delete: deletePolicy.prefault('remove'),
  without_authority: witnesses.prefault('unconfirmed'),
  not_found_ttl: durationSetting(
    "How long a registry's word that it has no such tag or manifest is repeated without asking again. What is published meanwhile shows after it.",
    { min: '0s', max: '10m' },
  ).prefault('30s'),
  rules: z.array(rule).max(500).prefault([]),
};

const repositoryPattern = (about: string) =>
  textSetting({ about, expected: 'REGISTRY/REPOSITORY, which may end in /* or /**, such as docker.io/library/*' }, parseEquivalent);

const equivalent = z
  .strictObject({
    from: repositoryPattern(
      'Repositories whose sources have all failed. A last part `*` stands for one part of a name, `**` for any number.',
    ),
    to: repositoryPattern('Where the same digest is asked for then; it ends as `from` does. Its registry must be a mirror here too.'),
  })
  .superRefine(({ from, to }, context) => {
    if (wildcardOf(from) !== wildcardOf(to))
      context.addIssue({
        code: 'custom',
        path: ['to'],
        message: `does not end as "${from}" does; expected the same /* or /** at the end of both, or none`,
      });
  });

/** Besides those of presets/equivalents.json. */
export const equivalentsSetting = z.array(equivalent).max(500).prefault([]);

/** Origins. */
export const foreignLayersSetting = z
  .array(
    textSetting(
      {
        about:
          'Hosts from which layers that a manifest places elsewhere (`urls`, as in old Windows images) may be fetched when no source has them. The digest is checked as ever. For Windows base images: `go.microsoft.com` and `mcr.microsoft.com`.',
        expected: 'a host such as go.microsoft.com (https is meant), or an origin such as http://files.office.lan:8080',
      },
      parseForeignHost,
    ),
  )
  .max(100)
  .prefault([]);

function parseForeignHost(text: string): string | undefined {
  return parseOrigin(text.includes('://') ? text : `https://${text}`);
}

/** A pattern on `registry/repository:tag`; one without a tag means every tag. */
function parseTagMatch(text: string): string | undefined {
  const pattern = text.includes(':') ? text : `${text}:*`;
  return createGlob(pattern) === undefined ? undefined : pattern;
}
