// containerd's hosts.toml, one per registry in certs.d/<host>/: hosts in the order they are asked, with what each may be asked for.
// containerd docs/hosts.md.

import { dirname, resolve } from 'node:path';
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
import { readToml } from './toml.ts';

/** `registry` is the name of the folder it lies in, as containerd writes it; undefined when that says nothing. */
export function readHostsToml(text: string, file: string, folder: string | undefined): Found {
  const root = readToml(text);
  const server = asText(root['server']);
  const registry =
    folder === undefined || folder === '' ? (server === undefined ? undefined : registryOfServer(server)) : registryOfFolder(folder);
  const endpoints: FoundEndpoint[] = [];
  const skipped: (Remark & { registry?: string; url?: string })[] = [];
  const remarks: Remark[] = [];
  if (registry === undefined) {
    return { endpoints, skipped, remarks: [{ place: file, text: 'neither its folder nor `server` says for which registry it is' }] };
  }
  const take = (address: string, table: Readonly<Record<string, unknown>>, role: FoundEndpoint['role'], place: string): void => {
    const read = readEndpointUrl(address);
    if ('problem' in read) {
      skipped.push({ place, text: read.problem, registry });
      return;
    }
    const capabilities = table['capabilities'] === undefined ? ['pull', 'resolve', 'push'] : asTexts(table['capabilities']);
    if (!capabilities.includes('pull')) {
      skipped.push({ place, text: 'it is not used for pulls', registry, url: read.url });
      return;
    }
    const url = table['override_path'] === true ? fromWholePath(read.url) : (fromWholePath(read.url) ?? read.url);
    // Without override_path, /name becomes /name/v2, and what starts with /v2/ becomes /v2/name/v2.
    if (url === undefined || (table['override_path'] !== true && new URL(read.url).pathname.startsWith('/v2/'))) {
      skipped.push({
        place,
        text: `a source cannot have this path: ${new URL(read.url).pathname} is used as it is`,
        registry,
        url: read.url,
      });
      return;
    }
    const ca = table['ca'];
    const caFile = asText(ca) ?? asTexts(ca)[0];
    const login = loginOf(asTable(table['header']));
    const notes = [
      ...(asTexts(ca).length > 1 ? ['it has several CA files; only the first is taken'] : []),
      ...(asTable(table['header']) !== undefined && login === undefined ? ['it sends headers of its own, which are not imported'] : []),
    ];
    endpoints.push({
      registry,
      url,
      place,
      role,
      resolvesTags: capabilities.includes('resolve'),
      skipsVerification: table['skip_verify'] === true,
      ...(caFile === undefined ? {} : { caFile: resolve(dirname(file), caFile) }),
      ...(table['client'] === undefined ? {} : { hasClientCertificate: true }),
      ...(read.credentials === undefined ? (login === undefined ? {} : { credentials: login }) : { credentials: read.credentials }),
      notes,
    });
  };
  for (const [address, value] of Object.entries(asTable(root['host']) ?? {})) {
    take(address, asTable(value) ?? {}, 'mirror', `${file}: host."${hideLogin(address)}"`);
  }
  if (server !== undefined) take(server, root, 'server', `${file}: server`);
  return { endpoints, skipped, remarks };
}

/** `docker.io`, `host:5000`, `host_5000_`; `_default` is every registry. */
function registryOfFolder(folder: string): string {
  if (folder === '_default') return '*';
  return folder.replace(/_(\d+)_$/, ':$1').replace(/:443$/, '');
}

function registryOfServer(server: string): string | undefined {
  const read = readEndpointUrl(server);
  if ('problem' in read) return undefined;
  const { host } = new URL(read.url);
  return host === 'registry-1.docker.io' ? 'docker.io' : host;
}

function loginOf(headers: Readonly<Record<string, unknown>> | undefined): FoundEndpoint['credentials'] {
  const entry = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
  const text = asText(entry) ?? asTexts(entry)[0];
  const basic = text === undefined ? null : /^basic +([A-Za-z0-9+/=]+)$/i.exec(text);
  return basic?.[1] === undefined ? undefined : readBasic(basic[1]);
}

function hideLogin(address: string): string {
  return address.replace(/\/\/[^/]*@/, '//***@');
}
