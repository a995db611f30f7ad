// The whole configuration as the rest of the server sees it: parsed, defaulted, in milliseconds and bytes, read-only.
// It must never hold a raw text that still has to be understood, nor a password that is not a `Secret`.

import type { Secret } from '../lib/secret.ts';
import type { ListenAddress } from './addresses.ts';
import type { AuditConfig } from './audit-schema.ts';
import type { EgressRules } from './egress.ts';
import type { EquivalentConfig } from './equivalents.ts';
import type { ProviderSettings } from './identity-schema.ts';
import type { ChosenPresets } from './preset-data.ts';
import type { WarmScheduleConfig } from './warm-schema.ts';

export interface Config {
  readonly listen: ListenAddress;
  /** Absolute path. */
  readonly dataDir: string;
  /** Absolute path of the master key; absent: in the data folder. */
  readonly masterKeyFile?: string;
  /** Origin under which clients reach the server, e.g. `https://registry.example.com`; without it the request's own Host counts. */
  readonly externalUrl?: string;
  /** CIDR blocks (`10.0.0.0/8`) whose X-Forwarded-* headers are believed. */
  readonly trustedProxies: readonly string[];
  readonly anonymousPull: boolean;
  /** CIDR blocks; empty: from everywhere. */
  readonly anonymousNetworks: readonly string[];
  readonly logins: {
    /** CIDR blocks of addresses that many people share. */
    readonly sharedNetworks: readonly string[];
  };
  readonly tls?: { readonly certificateFile: string; readonly privateKeyFile: string };
  readonly mirror: MirrorConfig;
  /** By registry name (`docker.io`), presets included. */
  readonly registries: ReadonlyMap<string, RegistryConfig>;
  readonly egress: EgressRules;
  readonly presets: PresetsConfig;
  readonly metrics: MetricsConfig;
  readonly status: { readonly isPublic: boolean };
  readonly probes: ProbesConfig;
  readonly audit: AuditConfig;
  readonly apiCredentials: ApiCredentialsConfig;
  readonly warm: readonly WarmScheduleConfig[];
  readonly limits: LimitsConfig;
  readonly identity: IdentityConfig;
}

export interface IdentityConfig {
  readonly syncIntervalMs: number;
  readonly providers: readonly ProviderConfig[];
}

/** A directory or an issuer; `ca` holds the text of its `ca_file`. */
export type ProviderConfig = ProviderSettings & { readonly name: string; readonly isEnabled: boolean; readonly secret?: Secret };

export interface PresetsConfig {
  /** Their registries are mirrored. */
  readonly isMirrored: boolean;
  /** Those that hold at the start. */
  readonly chosen: ChosenPresets;
  readonly updates?: { readonly file?: string; readonly url?: string; readonly publicKey: string; readonly intervalMs: number };
}

export interface MirrorConfig {
  /** The registry asked for names whose first part is no project. Absent: such names are unknown. Always a key of `registries`. */
  readonly rootRegistry?: string;
  readonly tagTtlMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly onUpstreamDelete: 'remove' | 'keep';
  readonly withoutAuthority: 'unconfirmed' | 'quorum' | 'known';
  readonly notFoundTtlMs: number;
  readonly revalidateTimeoutMs: number;
  /** The first that matches `registry/repository:tag` counts; what it leaves out is as above. */
  readonly rules: readonly TagRuleConfig[];
  /** Besides those that ship with the program. */
  readonly equivalents: readonly EquivalentConfig[];
  /** Origins from which layers with `urls` may be fetched. */
  readonly foreignLayers: readonly string[];
}

export interface TagRuleConfig {
  /** Pattern of lib/glob.ts on `registry/repository:tag`. */
  readonly match: string;
  readonly tagTtlMs?: number;
  readonly staleWhileRevalidateMs?: number;
  readonly staleIfErrorMs?: number;
  readonly onUpstreamDelete?: 'remove' | 'keep';
  readonly withoutAuthority?: 'unconfirmed' | 'quorum' | 'known';
}

export interface RegistryConfig {
  /** At least one. */
  readonly sources: readonly SourceConfig[];
  /** Whether everybody may pull; undefined: unless a source has credentials. */
  readonly isPublic?: boolean;
  /** Absent: the config file names it. */
  readonly origin?: 'preset';
}

export interface SourceConfig {
  /** http or https, without user, query, fragment and trailing slash; may have a path. */
  readonly url: string;
  /** Only an authority is believed about what a tag means; from any other source the digest is the proof. */
  readonly trust: 'authority' | 'digest-only';
  /** Lower is asked first. */
  readonly priority: number;
  /** False: nothing is asked of it. Absent: true. */
  readonly enabled?: boolean;
  /** `http://HOST:PORT` or `socks5://HOST:PORT` of the egress proxy. */
  readonly proxy?: string;
  /** At least one when there; each is another login to the same content. */
  readonly credentials?: readonly CredentialConfig[];
  /** Origins, beside the source's own, that may be named as token realm. */
  readonly realms: readonly string[];
  /** It may be, and lead to, private and loopback addresses although its name looks public. */
  readonly allowPrivate: boolean;
  readonly tls?: {
    /** PEM text of the certificate authorities to trust. */
    readonly ca?: string;
    /** Absolute path of the file `ca` was read from. */
    readonly caFile?: string;
    /** True: the certificate is not checked. */
    readonly insecure: boolean;
  };
  readonly limits?: { readonly connections?: number; readonly requestsPerMinute?: number; readonly bytesPerSecond?: number };
  /** Glob patterns on repository names; an empty `allow` means all, `deny` wins. */
  readonly scope?: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  /** Who runs it. */
  readonly operator?: string;
}

/** Where a login comes from: a user name with exactly one of the three passwords, or a helper program that prints both. */
export interface CredentialConfig {
  readonly username?: string;
  readonly password?: Secret;
  /** A file that is read when the login is needed. */
  readonly passwordFile?: string;
  /** An environment variable, likewise. */
  readonly passwordEnv?: string;
  /** Program and arguments. */
  readonly helper?: readonly string[];
}

/** What credentials given by the admin API may name on this machine. Nothing, unless the operator lists it. */
export interface ApiCredentialsConfig {
  /** Absolute paths of folders. */
  readonly folders: readonly string[];
  readonly environment: readonly string[];
  readonly helpers: readonly string[];
}

export interface MetricsConfig {
  /** No login is needed for /metrics. */
  readonly isPublic: boolean;
  /** A second address for /metrics alone. */
  readonly listen?: ListenAddress;
  /** A bearer token that opens it. */
  readonly token?: Secret;
}

export interface ProbesConfig {
  readonly isEnabled: boolean;
  readonly intervalMs: number;
  readonly deepIntervalMs: number;
  /** By registry; `REPOSITORY[:TAG]` inside it. */
  readonly canaries: ReadonlyMap<string, { readonly popular?: string; readonly rare?: string }>;
}

export interface LimitsConfig {
  readonly manifestBytes: number;
  readonly blobBytes: number;
  readonly uploadsPerRepository: number;
  readonly uploadsTotal: number;
  readonly uploadsPerPrincipal: number;
  readonly uploadIdleExpiryMs: number;
  readonly uploadAbsoluteExpiryMs: number;
  readonly pageSizeDefault: number;
  readonly pageSizeMax: number;
  /** Writes are refused when less than the larger of the two is free. */
  readonly minimumFree: { readonly percent: number; readonly bytes: number };
  readonly upstream: { readonly connectionsPerHost: number; readonly fills: number };
}
