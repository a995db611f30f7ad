// BuildKit's buildkitd.toml: `[registry."docker.io"] mirrors = [...]`, and how each host is reached. moby/buildkit docs/buildkitd.toml.md.

import { dirname, resolve } from 'node:path';
import { asTable, asTexts, type Found, type FoundEndpoint, fromLocation, type Remark } from './found.ts';
import { readToml } from './toml.ts';

export function readBuildkitdToml(text: string, file: string): Found {
  const registries = asTable(readToml(text)['registry']) ?? {};
  const endpoints: FoundEndpoint[] = [];
  const skipped: (Remark & { registry?: string; url?: string })[] = [];
  for (const [registry, value] of Object.entries(registries)) {
    for (const [index, mirror] of asTexts(asTable(value)?.['mirrors']).entries()) {
      const place = `${file}: registry."${registry}".mirrors[${index}]`;
      const host = asTable(registries[mirror.split('/')[0] ?? '']) ?? {};
      const url = fromLocation(mirror.replace(/^https?:\/\//, ''), host['http'] === true ? 'http' : 'https');
      if (url === undefined) {
        skipped.push({ place, text: 'it is no HOST[:PORT][/PATH]', registry, url: mirror });
        continue;
      }
      const caFile = asTexts(host['ca'])[0];
      endpoints.push({
        registry,
        url,
        place,
        role: 'mirror',
        resolvesTags: true,
        skipsVerification: host['insecure'] === true && url.startsWith('https:'),
        ...(caFile === undefined ? {} : { caFile: resolve(dirname(file), caFile) }),
        ...(host['keypair'] === undefined ? {} : { hasClientCertificate: true }),
        notes: [],
      });
    }
  }
  return { endpoints, skipped, remarks: [] };
}
