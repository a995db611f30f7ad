// podman's, skopeo's, buildah's and CRI-O's registries.conf, version 2 ([[registry]], [[registry.mirror]]) and version 1 ([registries.search]).
// containers-registries.conf(5).

import { asTable, asText, asTexts, type Found, type FoundEndpoint, fromLocation, guessInsecureScheme, type Remark } from './found.ts';
import { readToml } from './toml.ts';

type Table = Readonly<Record<string, unknown>>;

export function readRegistriesConf(text: string, file: string): Found {
  const root = readToml(text);
  const found: Mutable = { endpoints: [], skipped: [], remarks: [] };
  readVersion1(root, file, found);
  readSearch(asTexts(root['unqualified-search-registries']), `${file}: unqualified-search-registries`, found);
  const tables = Array.isArray(root['registry']) ? root['registry'].map(asTable) : [];
  for (const [index, table] of tables.entries()) {
    if (table !== undefined) readRegistry(table, `${file}: registry[${index}]`, found);
  }
  return found;
}

interface Mutable {
  readonly endpoints: FoundEndpoint[];
  readonly skipped: (Remark & { registry?: string; url?: string })[];
  readonly remarks: Remark[];
}

function readRegistry(table: Table, place: string, found: Mutable): void {
  const location = asText(table['location']);
  const prefix = asText(table['prefix']) ?? location;
  if (prefix === undefined) {
    found.remarks.push({ place, text: 'has neither prefix nor location' });
    return;
  }
  const [registry = '', ...path] = prefix.replace(/\/+$/, '').split('/');
  if (registry.includes('*')) {
    found.skipped.push({ place, text: `the prefix ${prefix} stands for many registries; name each of them`, registry });
    return;
  }
  if (table['blocked'] === true) {
    found.remarks.push({ place, text: `${prefix} is blocked; egress.registries.deny does that for ${registry} here` });
    return;
  }
  const below = path.join('/');
  const mirrorsByDigest = table['mirror-by-digest-only'] === true;
  const mirrors = Array.isArray(table['mirror']) ? table['mirror'].map(asTable) : [];
  for (const [index, mirror] of mirrors.entries()) {
    if (mirror === undefined) continue;
    const use = asText(mirror['pull-from-mirror']) ?? (mirrorsByDigest ? 'digest-only' : 'all');
    take(mirror, { registry, below, place: `${place}.mirror[${index}]`, role: 'mirror', use }, found);
  }
  const isItself = location === undefined || location.replace(/\/+$/, '') === prefix.replace(/\/+$/, '');
  if (!isItself || table['insecure'] === true) take(table, { registry, below, place, role: 'server', use: 'all' }, found);
}

/** `below`: the path of the prefix behind the registry, which the location replaces. */
function take(
  table: Table,
  at: { registry: string; below: string; place: string; role: FoundEndpoint['role']; use: string },
  found: Mutable,
): void {
  const { registry, below, place, role, use } = at;
  const location = asText(table['location']) ?? (role === 'server' ? asText(table['prefix']) : undefined);
  const skip = (text: string) => found.skipped.push({ place, text, registry, ...(location === undefined ? {} : { url: location }) });
  if (location === undefined) {
    skip('has no location');
    return;
  }
  const insecure = table['insecure'] === true;
  const plain = location.replace(/\/+$/, '');
  // What the prefix names is cut off and the location put in its place: a source can say that when the location ends in the same path.
  if (below !== '' && !plain.endsWith(`/${below}`)) {
    skip(`it renames ${registry}/${below}; a source keeps the names of repositories`);
    return;
  }
  const base = below === '' ? plain : plain.slice(0, -(below.length + 1));
  const scheme = insecure ? guessInsecureScheme(base) : 'https';
  const url = fromLocation(base, scheme);
  if (url === undefined) {
    skip('it is no HOST[:PORT][/PATH]');
    return;
  }
  found.endpoints.push({
    registry,
    url,
    place,
    role,
    resolvesTags: use !== 'digest-only',
    skipsVerification: insecure && scheme === 'https',
    ...(below === '' ? {} : { repositories: [`${below}/**`] }),
    notes: [
      ...(insecure ? [`insecure means TLS without checking, or none: taken as ${scheme}`] : []),
      ...(use === 'tag-only' ? ['the client asks it for tags only; here it is asked for content'] : []),
    ],
  });
}

function readVersion1(root: Table, file: string, found: Mutable): void {
  const registries = asTable(root['registries']);
  if (registries === undefined) return;
  const list = (key: string): readonly string[] => asTexts(asTable(registries[key])?.['registries']);
  readSearch(list('search'), `${file}: registries.search`, found);
  for (const name of list('insecure'))
    found.remarks.push({ place: `${file}: registries.insecure`, text: `${name} is no mirror; there is nothing to import from it` });
  for (const name of list('block'))
    found.remarks.push({ place: `${file}: registries.block`, text: `${name} is blocked; egress.registries.deny does that here` });
}

function readSearch(names: readonly string[], place: string, found: Mutable): void {
  if (names.length === 0 || names.every((name) => name === 'docker.io')) return;
  found.remarks.push({ place, text: `short names are looked up in ${names.join(', ')}; here they mean mirror.root, one registry` });
}
