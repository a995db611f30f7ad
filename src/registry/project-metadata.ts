// What Harbor's clients may say about a project: its metadata keys and their values, all text. `public` is the project's visibility; the others are
// kept and given back. A value that would promise a protection that this server does not give is refused instead of kept.

import { OciError } from '../oci/errors.ts';

const truth = (value: string): string | undefined => (value === 'true' || value === 'false' ? undefined : 'is "true" or "false"');
const untrue = (what: string) => (value: string) =>
  truth(value) ?? (value === 'true' ? `cannot be "true" here: this server does not ${what}, and nothing would be held back` : undefined);
const count = (value: string): string | undefined => (/^(-1|\d{1,15})$/.test(value) ? undefined : 'is a whole number in quotes, or "-1"');
const severities = ['unknown', 'none', 'negligible', 'low', 'medium', 'high', 'critical'];

/** By key: what is wrong with a value; undefined when nothing is. */
const metadataKeys = {
  public: truth,
  enable_content_trust: untrue('check signatures'),
  enable_content_trust_cosign: untrue('check signatures'),
  prevent_vul: untrue('scan for vulnerabilities'),
  severity: (value: string) => (severities.includes(value.toLowerCase()) ? undefined : `is one of ${severities.join(', ')}`),
  auto_scan: truth,
  auto_sbom_generation: truth,
  reuse_sys_cve_allowlist: truth,
  retention_id: count,
  proxy_speed_kb: count,
  max_upstream_conn: count,
  proxy_cache_local_on_not_found: truth,
  proxy_referrer_api: truth,
  proxy_cache_filter_pattern: shortText,
  proxy_cache_filter_kind: shortText,
} as const;

type MetadataKey = keyof typeof metadataKeys;
export const metadataNames = Object.keys(metadataKeys) as MetadataKey[];

function isMetadataKey(name: string): name is MetadataKey {
  return Object.hasOwn(metadataKeys, name);
}

/** BAD_REQUEST says what is wrong with a key or its value. */
export function checkMetadata(name: string, value: string): void {
  if (!isMetadataKey(name))
    throw new OciError('BAD_REQUEST', `metadata: there is no ${JSON.stringify(name.slice(0, 60))}; known are ${metadataNames.join(', ')}`);
  const refusal = metadataKeys[name](value);
  if (refusal !== undefined) throw new OciError('BAD_REQUEST', `metadata: ${name} ${refusal}`);
}

function shortText(value: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  return value.length <= 512 && value.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(value)
    ? undefined
    : 'has at most 512 characters, none of control';
}
