// Docker's daemon.json: `registry-mirrors` (of docker.io only), `insecure-registries`, `proxies`. docs.docker.com "dockerd".

import { isIP } from 'node:net';
import { parseProxyUrl } from '../addresses.ts';
import {
  asTable,
  asText,
  asTexts,
  ClientFileError,
  type Found,
  type FoundEndpoint,
  isPublicHost,
  type Remark,
  readEndpointUrl,
} from './found.ts';

/** Throws ClientFileError for what is no JSON object. */
export function readDaemonJson(text: string, file: string): Found {
  const root = parseObject(text);
  const endpoints: FoundEndpoint[] = [];
  const skipped: (Remark & { registry?: string; url?: string })[] = [];
  const remarks: Remark[] = [];
  const insecure = asTexts(root['insecure-registries']);
  const used = new Set<string>();
  const proxies = readProxies(root['proxies'], file, remarks);
  for (const [index, mirror] of asTexts(root['registry-mirrors']).entries()) {
    const place = `${file}: registry-mirrors[${index}]`;
    const read = readEndpointUrl(mirror);
    if ('problem' in read) {
      skipped.push({ place, text: read.problem, registry: 'docker.io' });
      continue;
    }
    const url = new URL(read.url);
    const entry = insecure.find((one) => isInsecure(one, url));
    if (entry !== undefined) used.add(entry);
    const proxy = proxies.for(url);
    endpoints.push({
      registry: 'docker.io',
      url: read.url,
      place,
      role: 'mirror',
      resolvesTags: true,
      skipsVerification: entry !== undefined && url.protocol === 'https:',
      ...(read.credentials === undefined ? {} : { credentials: read.credentials }),
      ...(proxy === undefined ? {} : { proxy }),
      notes: [],
    });
  }
  for (const entry of insecure) {
    if (!used.has(entry))
      remarks.push({ place: `${file}: insecure-registries`, text: `${entry} is no mirror; there is nothing to import from it` });
  }
  return { endpoints, skipped, remarks };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new ClientFileError(
      `it is no JSON, so Docker does not start with it either (${cause instanceof Error ? cause.message : 'broken'})`,
      { cause },
    );
  }
  const table = asTable(value);
  if (table === undefined) throw new ClientFileError('it is no JSON object');
  return table;
}

/** `host`, `host:port` or a block of addresses. */
function isInsecure(entry: string, url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const plain = entry.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  if (plain === url.host || plain === host) return true;
  const [network = '', bits] = plain.split('/');
  if (bits === undefined || isIP(network) !== 4 || isIP(host) !== 4) return false;
  const size = 2 ** (32 - Number(bits));
  return Math.floor(numberOf(network) / size) === Math.floor(numberOf(host) / size);
}

function numberOf(address: string): number {
  return address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}

function readProxies(value: unknown, file: string, remarks: Remark[]): { for(url: URL): string | undefined } {
  const table = asTable(value) ?? {};
  const read = (key: string): string | undefined => {
    const text = asText(table[key]);
    if (text === undefined) return undefined;
    const proxy = parseProxyUrl(text);
    if (proxy === undefined) {
      remarks.push({
        place: `${file}: proxies.${key}`,
        text: 'is no http://HOST:PORT or socks5://HOST:PORT without a login; sources are imported without a proxy',
      });
    }
    return proxy;
  };
  const [plain, secure] = [read('http-proxy'), read('https-proxy')];
  const direct = (asText(table['no-proxy']) ?? '').split(',').map((one) => one.trim().toLowerCase());
  return {
    for: (url) => {
      const host = url.hostname.toLowerCase();
      const isDirect = direct.some(
        (one) => one === '*' || (one !== '' && (host === one.replace(/^\*?\./, '') || host.endsWith(`.${one.replace(/^\*?\./, '')}`))),
      );
      if (isDirect || !isPublicHost(host)) return undefined;
      return url.protocol === 'https:' ? secure : plain;
    },
  };
}
