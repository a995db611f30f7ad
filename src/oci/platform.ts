// Platforms of an index's children: what each child is for, and which of them a wish such as `linux/amd64,linux/arm64` means.
// image-spec v1.1 "image-index.md" (`platform`); BuildKit's attestations are children for `unknown/unknown`. It does no I/O.

import { type Digest, parseDigest } from './digest.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}
/** Every child of an index, attestations included, or those for certain platforms (at least one). */
export type PlatformChoice = 'all' | readonly Platform[];

export interface IndexChild {
  readonly digest: Digest;
  /** Absent where the index does not say. */
  readonly platform?: Platform;
  /** A statement about another child (SBOM, provenance), not something to run. */
  readonly isAttestation: boolean;
}

const part = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const platformsMax = 32;

/** `all`, or `os/architecture[/variant]` joined by commas; undefined for anything else. */
export function parsePlatforms(text: string): PlatformChoice | undefined {
  if (text.trim() === 'all') return 'all';
  const platforms: Platform[] = [];
  for (const item of text.split(',')) {
    const [os = '', architecture = '', variant, ...rest] = item.trim().split('/');
    if (!part.test(os) || !part.test(architecture) || rest.length > 0) return undefined;
    if (variant !== undefined && !part.test(variant)) return undefined;
    platforms.push({ os, architecture, ...(variant === undefined ? {} : { variant }) });
  }
  return platforms.length > platformsMax ? undefined : platforms;
}

/** The inverse of `parsePlatforms`. */
export function formatPlatforms(choice: PlatformChoice): string {
  return choice === 'all' ? 'all' : choice.map(formatPlatform).join(',');
}

function formatPlatform({ os, architecture, variant }: Platform): string {
  return `${os}/${architecture}${variant === undefined ? '' : `/${variant}`}`;
}

/** The children of an index that `parseManifest` has accepted, in order. */
export function readIndexChildren(index: Uint8Array): IndexChild[] {
  const value: unknown = JSON.parse(new TextDecoder().decode(index));
  const listed = isRecord(value) && Array.isArray(value['manifests']) ? value['manifests'] : [];
  return listed.flatMap((item): IndexChild[] => {
    const digest = isRecord(item) && typeof item['digest'] === 'string' ? parseDigest(item['digest']) : undefined;
    if (digest === undefined || !isRecord(item)) return [];
    const platform = readPlatform(item['platform']);
    const annotations = isRecord(item['annotations']) ? item['annotations'] : {};
    const isAttestation = platform?.os === 'unknown' || typeof annotations['vnd.docker.reference.type'] === 'string';
    return [{ digest, isAttestation, ...(platform === undefined ? {} : { platform }) }];
  });
}

/**
 * The children that a choice means, each once, and the wished platforms that none of them is for. A child without a platform goes with every
 * choice; a wish without a variant takes all variants.
 */
export function chooseChildren(
  children: readonly IndexChild[],
  choice: PlatformChoice,
): { readonly chosen: readonly Digest[]; readonly unmet: readonly Platform[] } {
  if (choice === 'all') return { chosen: [...new Set(children.map((child) => child.digest))], unmet: [] };
  const runnable = children.filter((child) => !child.isAttestation);
  const chosen = runnable.filter(({ platform }) => platform === undefined || choice.some((wish) => isFor(platform, wish)));
  const isSilent = runnable.some((child) => child.platform === undefined);
  const unmet = isSilent ? [] : choice.filter((wish) => !runnable.some(({ platform }) => platform !== undefined && isFor(platform, wish)));
  return { chosen: [...new Set(chosen.map((child) => child.digest))], unmet };
}

function isFor(platform: Platform, wish: Platform): boolean {
  if (platform.os !== wish.os || platform.architecture !== wish.architecture) return false;
  // arm64 has one variant that is mostly left out.
  const variant = platform.variant ?? (platform.architecture === 'arm64' ? 'v8' : undefined);
  return wish.variant === undefined || wish.variant === variant;
}

function readPlatform(value: unknown): Platform | undefined {
  if (!isRecord(value)) return undefined;
  const { os, architecture, variant } = value;
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
  return { os, architecture, ...(typeof variant === 'string' && variant !== '' ? { variant } : {}) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
