// Which names belong to one owner, approximately, without the public suffix list (16,000 lines that age). It must err on the side of
// "not the same owner": the answer only lets an anonymous token request leave, never a secret. wire.md 2.2, "Realm rule".

import { classifyAddress } from './address.ts';

// Second-level labels under which countries let the public register.
// biome-ignore format: a word list
const publicSecondLevels: ReadonlySet<string> = new Set([
  'ac', 'asso', 'biz', 'co', 'com', 'ed', 'edu', 'firm', 'gen', 'go', 'gob', 'gouv', 'gov', 'govt', 'id', 'in', 'ind', 'inf', 'info', 'int',
  'ltd', 'ltda', 'me', 'mil', 'mod', 'name', 'ne', 'net', 'nhs', 'nic', 'nom', 'or', 'org', 'plc', 'police', 'pro', 'pub', 'res', 'sch', 'school', 'web',
]);

// Suffixes where each customer is a stranger to the next: nothing below them counts as one owner.
// biome-ignore format: a word list
const sharedSuffixes: readonly string[] = [
  'akamaized.net', 'akamaihd.net', 'alibabacloud.com', 'aliyuncs.com', 'amazonaws.com', 'amazonaws.com.cn', 'appspot.com', 'awsapps.com', 'azurecr.io',
  'azurecr.cn', 'azureedge.net', 'azurefd.net', 'azurewebsites.net', 'b-cdn.net', 'backblazeb2.com', 'bitbucket.io', 'cdn77.org', 'cloudapp.net', 'cloudflare.net',
  'cloudfront.net', 'cloudfunctions.net', 'codeberg.page', 'ddns.net', 'deno.dev', 'digitaloceanspaces.com', 'duckdns.org', 'dyndns.org', 'edgekey.net',
  'eu.org', 'fastly.net', 'firebaseapp.com', 'fly.dev', 'github.dev', 'github.io', 'gitlab.io', 'googleapis.com', 'hf.space', 'herokuapp.com', 'kiwi.com',
  'myhuaweicloud.com', 'myqcloud.com', 'netlify.app', 'ngrok.app', 'ngrok.io', 'ngrok-free.app', 'no-ip.org', 'nip.io', 'onrender.com', 'oraclecloud.com', 'pages.dev',
  'pkg.dev', 'qcloud.com', 'qiniucs.com', 'r2.dev', 'railway.app', 'run.app', 'sslip.io', 'tencentcs.com', 'tencentcloudcr.com', 'trafficmanager.net', 'ts.net',
  'us.kg', 'vercel.app', 'volces.com', 'web.app', 'windows.net', 'workers.dev', 'xip.io',
];

/**
 * The name under a public suffix that one owner holds (`docker.elastic.co` gives `elastic.co`), or undefined for IP literals, single
 * labels, hosting suffixes and everything malformed. Expects lower case without the root dot.
 */
export function registrableDomain(host: string): string | undefined {
  if (host.length > 253 || classifyAddress(host) !== undefined || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/.test(host)) return undefined;
  if (sharedSuffixes.some((suffix) => host === suffix || host.endsWith(`.${suffix}`))) return undefined;
  const labels = host.split('.');
  const top = labels.at(-1) ?? '';
  const second = labels.at(-2) ?? '';
  if (/^\d+$/.test(top)) return undefined;
  // Two-letter country domains with a generic second level, and short second levels in general (`co.uk`, `gv.at`, `kr.ua`).
  const isDeep = top.length === 2 && (publicSecondLevels.has(second) || second.length <= 2);
  const count = isDeep ? 3 : 2;
  return labels.length < count ? undefined : labels.slice(-count).join('.');
}

export function isSameOwner(one: string, other: string): boolean {
  const domain = registrableDomain(one);
  return domain !== undefined && domain === registrableDomain(other);
}

/** Names that mean a private network by themselves. Expects lower case without the root dot. */
export function isLocalName(host: string): boolean {
  return !host.includes('.') || /\.(?:local|lan|internal|home\.arpa|test|localhost)$/.test(host);
}
