// The presets: well-known registries, public mirrors of them, and hosts that are gone. They are data, shipped as presets/presets.json and
// replaceable by a newer signed file (docs/presets.md); this file says what such a file must look like. A mirror in it never has a say on
// tags: there is no field for it. Unknown members are ignored, so that an older program reads a newer file of the same format.

import { z } from 'zod';
import { parseOrigin, parseSourceUrl } from './addresses.ts';

const shortText = z.string().min(1).max(500);
const date = z.string().regex(/^\d{4}(-\d{2}(-\d{2})?)?$/, 'is no date like 2026, 2026-11 or 2026-11-24');
const host = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'is no host name in lower case');
const hostPattern = z
  .string()
  .max(253)
  .regex(/^[a-z0-9*]([a-z0-9.*-]*[a-z0-9])?$/, 'is no pattern of host names such as *.mirror.example');
const registryName = z
  .string()
  .max(128)
  .regex(/^[a-z0-9]+([._-]+[a-z0-9]+)*$/, 'is no name of a registry such as docker.io');
const sourceUrl = z
  .string()
  .refine((text) => text.startsWith('https://') && parseSourceUrl(text) === text, 'is no https:// URL in its plain form');
const origin = z.string().refine((text) => text.startsWith('https://') && parseOrigin(text) === text, 'is no https:// origin');

const registry = z.object({
  name: registryName,
  url: sourceUrl,
  /** Token services that live elsewhere. */
  realms: z.array(origin).max(16).default([]),
  login: z.enum(['none', 'some', 'required']),
  note: shortText.optional(),
});

const mirror = z
  .object({
    registry: registryName,
    url: sourceUrl,
    /** `root` and `host`: the whole host is the mirror, of one registry; `prefix`: a path before the repository's name. */
    path_style: z.enum(['root', 'prefix', 'host']),
    login: z.enum(['none', 'free', 'paid']).optional(),
    /** Patterns of the repositories it has; absent: all. */
    repositories: z.array(shortText).max(64).optional(),
    note: shortText.optional(),
  })
  .refine(({ url, path_style: style }) => (style === 'prefix') === (new URL(url).pathname !== '/'), {
    path: ['path_style'],
    message: 'does not fit the URL: a prefix has a path, the others have none',
  });

const operator = z.object({
  id: z
    .string()
    .max(64)
    .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'is no id in lower case'),
  name: shortText,
  login: z.enum(['none', 'free', 'paid']),
  scope: z.enum(['unknown', 'full', 'popular', 'whitelist', 'own']),
  /** From where it answers: anywhere, mainland China, the network of its own cloud. */
  network: z.enum(['any', 'cn', 'vpc']),
  /** What public lists say; nobody has probed it from here. */
  state: z.enum(['listed', 'doubtful']),
  since: date.optional(),
  last_seen: date,
  limits: z
    .object({ requests_per_minute: z.int().min(1).max(1_000_000).optional(), connections: z.int().min(1).max(10_000).optional() })
    .optional(),
  /** More host names that are its own. */
  hosts: z.array(hostPattern).max(64).default([]),
  note: shortText.optional(),
  mirrors: z.array(mirror).max(64),
});

const presetsSchema = z
  .object({
    format: z.literal(1),
    /** Grows with every issue; an older one never replaces a newer one. */
    serial: z.int().min(1),
    date,
    registries: z.array(registry).min(1).max(200),
    operators: z.array(operator).max(500),
    dead: z.array(z.object({ host, since: date, reason: shortText })).max(5000),
  })
  .superRefine((data, context) => {
    const once = (texts: readonly string[], key: string): void => {
      const twice = texts.find((text, index) => texts.indexOf(text) !== index);
      if (twice !== undefined) context.addIssue({ code: 'custom', path: [key], message: `names ${twice} twice` });
    };
    const mirrors = data.operators.flatMap((one) => one.mirrors);
    once(
      data.registries.map((one) => one.name),
      'registries',
    );
    once(
      data.operators.map((one) => one.id),
      'operators',
    );
    once(
      data.dead.map((one) => one.host),
      'dead',
    );
    once(
      mirrors.map((one) => `${one.registry} ${one.url}`),
      'operators',
    );
    const known = new Set(data.registries.map((one) => one.name));
    const dead = new Set(data.dead.map((one) => one.host));
    for (const { registry: of, url } of mirrors) {
      if (!known.has(of))
        context.addIssue({ code: 'custom', path: ['operators'], message: `${url} mirrors ${of}, which is not under registries` });
      if (dead.has(new URL(url).hostname))
        context.addIssue({ code: 'custom', path: ['dead'], message: `${url} is a mirror and dead at once` });
    }
  });

export type Presets = z.output<typeof presetsSchema>;
export type PresetOperator = Presets['operators'][number];
export type PresetMirror = PresetOperator['mirrors'][number];

export interface ChosenPresets {
  readonly presets: Presets;
  readonly origin: 'shipped' | 'update';
  /** Why what is kept is not used. */
  readonly problem?: string;
}

/** Larger files are not read. */
const presetsMaxBytes = 1_048_576;

/** The presets in a file's bytes, or what is wrong with it in one line. Pure. */
export function parsePresets(bytes: Uint8Array | string): { readonly presets: Presets } | { readonly problem: string } {
  if (bytes.length > presetsMaxBytes) return { problem: `it is larger than ${presetsMaxBytes} bytes` };
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === 'string' ? bytes : new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return { problem: 'it is no JSON' };
  }
  const parsed = presetsSchema.safeParse(value);
  if (parsed.success) return { presets: parsed.data };
  const [first] = parsed.error.issues;
  return { problem: `${first?.path.map(String).join('.') || 'the file'}: ${first?.message ?? 'is not understood'}` };
}
