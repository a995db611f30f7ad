// The media types a registry must tell apart. image-spec v1.1 "Media Types"; Docker's Image Manifest V2, Schema 2.

export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

export type ManifestMediaType =
  | typeof mediaTypes.ociManifest
  | typeof mediaTypes.ociIndex
  | typeof mediaTypes.dockerManifest
  | typeof mediaTypes.dockerList;

const manifestTypes: ReadonlySet<string> = new Set([
  mediaTypes.ociManifest,
  mediaTypes.ociIndex,
  mediaTypes.dockerManifest,
  mediaTypes.dockerList,
]);

export function isManifestMediaType(text: string): text is ManifestMediaType {
  return manifestTypes.has(text);
}

export function isIndexMediaType(text: string): boolean {
  return text === mediaTypes.ociIndex || text === mediaTypes.dockerList;
}

export function isSchema1MediaType(text: string): boolean {
  return text === mediaTypes.dockerSchema1 || text === mediaTypes.dockerSchema1Signed;
}

/** The type without parameters, trimmed and in lower case: `application/json; charset=utf-8` gives `application/json`. */
export function bareMediaType(header: string): string {
  const end = header.indexOf(';');
  return (end === -1 ? header : header.slice(0, end)).trim().toLowerCase();
}
