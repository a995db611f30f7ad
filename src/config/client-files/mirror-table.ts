// `mirrors` and `configs` by host, as containerd's old configuration and k3s have them: endpoints whose path is used as it is, logins and TLS in
// a second table, and (k3s) rewrites of repository names.

import { resolve } from 'node:path';
import { Secret } from '../../lib/secret.ts';
import {
  asTable,
  asText,
  asTexts,
  type Found,
  type FoundEndpoint,
  fromWholePath,
  type Remark,
  readBasic,
  readEndpointUrl,
} from './found.ts';

type Table = Readonly<Record<string, unknown>>;

/** `root` holds both tables; relative paths of certificates start at `folder`. */
export function readMirrorTable(root: Table, at: { file: string; key: string; folder: string }): Found {
  const endpoints: FoundEndpoint[] = [];
  const skipped: (Remark & { registry?: string; url?: string })[] = [];
  const remarks: Remark[] = [];
  const configs = asTable(root['configs']) ?? {};
  const used = new Set<string>();
  const prefix = `${at.file}: ${at.key === '' ? '' : `${at.key}.`}`;
  for (const [registry, value] of Object.entries(asTable(root['mirrors']) ?? {})) {
    const table = asTable(value) ?? {};
    const rewrite = readRewrite(asTable(table['rewrite']));
    const given = typeof table['endpoint'] === 'string' ? [table['endpoint']] : asTexts(table['endpoint']);
    for (const [index, address] of given.entries()) {
      const place = `${prefix}mirrors."${registry}".endpoint[${index}]`;
      const read = readEndpointUrl(address);
      const whole = 'problem' in read ? undefined : fromWholePath(read.url);
      if ('problem' in read || whole === undefined) {
        const text = 'problem' in read ? read.problem : `a source cannot have this path: ${new URL(read.url).pathname} is used as it is`;
        skipped.push({ place, text, registry, ...('problem' in read ? {} : { url: read.url }) });
        continue;
      }
      const url = rewrite === undefined ? whole : rewrite === 'other' ? undefined : withPrefix(whole, rewrite);
      if (url === undefined) {
        skipped.push({
          place,
          text: 'its rewrite changes names in a way a source cannot; only a prefix before all names can be kept',
          registry,
          url: whole,
        });
        continue;
      }
      const { host } = new URL(whole);
      const key = [host, whole, new URL(whole).origin].find((one) => configs[one] !== undefined);
      if (key !== undefined) used.add(key);
      const config = asTable(key === undefined ? undefined : configs[key]) ?? {};
      const tls = asTable(config['tls']) ?? {};
      const caFile = asText(tls['ca_file']);
      const credentials = read.credentials ?? loginOf(asTable(config['auth']));
      endpoints.push({
        registry,
        url,
        place,
        role: 'mirror',
        resolvesTags: true,
        skipsVerification: tls['insecure_skip_verify'] === true,
        ...(caFile === undefined ? {} : { caFile: resolve(at.folder, caFile) }),
        ...(tls['cert_file'] === undefined ? {} : { hasClientCertificate: true }),
        ...(credentials === undefined ? {} : { credentials }),
        notes: [],
      });
    }
  }
  for (const host of Object.keys(configs)) {
    if (!used.has(host))
      remarks.push({ place: `${prefix}configs."${host}"`, text: 'is for no mirror of this file; there is nothing to import from it' });
  }
  return { endpoints, skipped, remarks };
}

/** The prefix that a rewrite of every name puts before it; `other` for rewrites of another kind. */
function readRewrite(table: Table | undefined): string | 'other' | undefined {
  const rules = Object.entries(table ?? {});
  const [rule] = rules;
  if (rule === undefined) return undefined;
  const [pattern, replacement] = rule;
  const isAll = pattern === '^(.*)$' || pattern === '(.*)' || pattern === '^(.*)' || pattern === '(.*)$';
  if (rules.length > 1 || !isAll || typeof replacement !== 'string' || !replacement.endsWith('/$1')) return 'other';
  const path = replacement.slice(0, -'/$1'.length);
  return /^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/.test(path) ? path : 'other';
}

function withPrefix(url: string, path: string): string | undefined {
  const { origin, pathname } = new URL(url);
  if (pathname === '/') return `${origin}/v2/${path}`;
  return pathname.startsWith('/v2/') ? `${url}/${path}` : undefined;
}

function loginOf(auth: Table | undefined): FoundEndpoint['credentials'] {
  if (auth === undefined) return undefined;
  const [username, password, both] = [asText(auth['username']), asText(auth['password']), asText(auth['auth'])];
  if (username !== undefined && password !== undefined) return { username, password: new Secret(password) };
  return both === undefined ? undefined : readBasic(both);
}
