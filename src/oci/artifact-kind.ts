// What kind of artifact a manifest is, in the words Harbor's clients know: pure look-ups by media type and tag. Media types as registered by
// the projects that write them (image-spec, Helm, CNAB, WebAssembly, cosign, Notation, Harbor's own SBOM and Nydus).

import { type Digest, parseDigest } from './digest.ts';
import { isIndexMediaType } from './media-types.ts';

const knownTypes: Readonly<Record<string, string>> = {
  'application/vnd.oci.image.config.v1+json': 'IMAGE',
  'application/vnd.docker.container.image.v1+json': 'IMAGE',
  'application/vnd.cncf.helm.config.v1+json': 'CHART',
  'application/vnd.cnab.manifest.v1': 'CNAB',
  'application/vnd.wasm.config.v1+json': 'WASM',
  'application/vnd.goharbor.harbor.sbom.v1': 'SBOM',
  'application/vnd.cncf.model.manifest.v1+json': 'CNAI',
};
/** `application/vnd.<organisation>.<kind>.config.<version>+json`: what Harbor names others by. */
const configType = /^application\/vnd\.[^.]{1,100}\.([^.]{1,100})\.config\.[^.]{1,100}\+json$/;

/** `IMAGE`, `CHART`, ...; `UNKNOWN` for a media type that says nothing. */
export function artifactKind(manifest: { readonly mediaType: string; readonly configMediaType?: string }): string {
  const known = knownTypes[manifest.configMediaType ?? manifest.mediaType];
  if (known !== undefined) return known;
  if (isIndexMediaType(manifest.mediaType)) return 'IMAGE';
  return configType.exec(manifest.configMediaType ?? '')?.[1]?.toUpperCase() ?? 'UNKNOWN';
}

const accessoryTypes: Readonly<Record<string, string>> = {
  'application/vnd.dev.cosign.artifact.sig.v1+json': 'signature.cosign',
  'application/vnd.dev.cosign.simplesigning.v1+json': 'signature.cosign',
  'application/vnd.dev.sigstore.bundle.v0.3+json': 'signature.cosign',
  'application/vnd.cncf.notary.signature': 'signature.notation',
  'application/vnd.goharbor.harbor.sbom.v1': 'harbor.sbom',
  'application/vnd.nydus.image.manifest.v1+json': 'accelerator.nydus',
};

/** Harbor's type of an accessory, by its artifact type; one found by cosign's tag is a signature unless the tag says otherwise. */
export function accessoryKind(accessory: { readonly artifactType: string | null; readonly tag?: string }): string {
  const known = accessoryTypes[accessory.artifactType ?? ''];
  if (known !== undefined) return known;
  return accessory.tag?.endsWith('.sig') === true ? 'signature.cosign' : 'subject.accessory';
}

const cosignTag = /^(sha256|sha512)-([0-9a-f]{64,128})\.(sig|att|sbom)$/;

/** The digest that a tag of cosign's scheme (`sha256-<hex>.sig`) speaks of; undefined for any other tag. */
export function cosignSubject(tag: string): Digest | undefined {
  const match = cosignTag.exec(tag);
  return match === null ? undefined : parseDigest(`${match[1]}:${match[2]}`);
}
