// The tables as types: the truth of the registry. Bytes of blobs are not here, bytes of manifests are.
//
//   project 1─n repository 1─n tag ──> manifest (same repository) 1─n manifest_ref ──> digest of a blob or a child manifest
//                          1─n repository_blob ──> blob        membership: the only right to read a blob
//                          1─n upload                          open push sessions; their bytes are a file, its length is the offset
//   blob: one live row per digest; `storage_key` names the physical object and is never used again (generation keys)
//   account n─n user_group; project 1─n project_member (account or group, with a role); robot 0..1 project
//   manifest 1─1 artifact               what lists show of it, kept by the commands that change content
//   source_registry 1─n source           where mirrors fetch from; source_seed: what of it the configuration said, by hash
//   gc_queue: digests that lost a reference and wait for review
//
// All times are milliseconds since 1970, all sizes bytes. Booleans are 0/1 so that both databases agree.
// Text that is sorted or compared has the C collation on PostgreSQL, as SQLite compares bytes.

import type { Generated } from 'kysely';

export type ProjectKind = 'local' | 'mirror' | 'overlay';
export type BlobState = 'live' | 'condemned' | 'corrupt';
/** Where the bytes came from: only what anybody may fetch anonymously upstream may be linked into another mirror repository. */
export type BlobOrigin = 'public' | 'restricted';
export type TagTrust = 'confirmed' | 'unconfirmed';
/** Who made a registry or source: the config file, what ships as data, or the admin API. */
export type SourceOrigin = 'config' | 'preset' | 'api';
export type LoginPurpose = 'login' | 'step-up' | 'onboard';
export type WarmupState = 'active' | 'done' | 'failed' | 'cancelled';

export interface Schema {
  meta: { key: string; value: string };
  project: {
    id: Generated<number>;
    name: string;
    kind: ProjectKind;
    is_public: number;
    /** The upstream identity of a mirror or overlay, e.g. docker.io. */
    registry: string | null;
    allows_sparse: number;
    /** Counts up when tokens made for it before must end. */
    epoch: Generated<number>;
    /** The account that made it; null for what the server made. */
    owner_id: number | null;
    created_at_ms: number;
    updated_at_ms: number;
    /** JSON: which vulnerabilities are accepted here; null when nothing was said. */
    cve_allowlist: Generated<string | null>;
  };
  /** What Harbor's clients say about a project beside its visibility, as text. */
  project_metadata: { project_id: number; name: string; value: string };
  label: {
    id: Generated<number>;
    name: string;
    description: string;
    color: string;
    /** Null: a global one. */
    project_id: number | null;
    created_at_ms: number;
    updated_at_ms: number;
  };
  /** Settings that differ from their defaults; JSON values. */
  setting: { name: string; value: string; updated_at_ms: number };
  repository: {
    id: Generated<number>;
    project_id: number;
    /** The full name, project included. */
    name: string;
    created_at_ms: number;
    /** Null until it has held a manifest: it is in no list before. */
    pushed_at_ms: number | null;
    pulled_at_ms: number | null;
    /** Written by people. */
    description: Generated<string>;
    /** Its listed artifacts. */
    artifact_count: Generated<number>;
    /** Manifests pulled, as counted in batches. */
    pull_count: Generated<number>;
    /** When its content or description changed last. */
    updated_at_ms: Generated<number | null>;
  };
  blob: {
    digest: string;
    generation: number;
    storage_key: string;
    size_bytes: number;
    state: BlobState;
    origin: BlobOrigin;
    lease_until_ms: number;
    touch_epoch: number;
    created_at_ms: number;
    /** When it was last pulled, to within ten minutes; null when that was never noted. */
    used_at_ms: number | null;
  };
  repository_blob: {
    repository_id: number;
    digest: string;
    linked_at_ms: number;
    /** JSON: how a mirror got the bytes (attempts and byte intervals); null for pushed ones. */
    trail: string | null;
  };
  manifest: {
    id: Generated<number>;
    repository_id: number;
    digest: string;
    media_type: string;
    artifact_type: string | null;
    subject_digest: string | null;
    /** JSON object, shown by the referrers API. */
    annotations: string;
    size_bytes: number;
    state: BlobState;
    lease_until_ms: number;
    pushed_at_ms: number;
    pulled_at_ms: number | null;
    trail: string | null;
    bytes: Uint8Array;
  };
  artifact: {
    manifest_id: number;
    project_id: number;
    repository_id: number;
    /** IMAGE, CHART, ...: Harbor's words. */
    kind: string;
    /** Of the config of an image manifest, else of the manifest. */
    config_media_type: string;
    /** The manifest, its config and layers; of an index with its children. */
    size_bytes: number;
    /** What it is an accessory of: by its subject, or by cosign's tag. */
    subject_digest: string | null;
    /** Tags that are not removed upstream. */
    tag_count: number;
    /** 1: an index of the repository refers to it. */
    is_held: number;
    /** 1: lists show it: it is no accessory, and tagged or not held. */
    is_listed: number;
    pushed_at_ms: number;
    pulled_at_ms: number | null;
  };
  artifact_label: { manifest_id: number; label_id: number };
  manifest_ref: {
    manifest_id: number;
    /** The manifest's: so that a digest that every repository refers to is found in one of them at once. */
    repository_id: number;
    digest: string;
    kind: 'config' | 'layer' | 'manifest';
    size_bytes: number;
    /** 0 while a mirror or a sparse index has not got it. */
    is_present: number;
  };
  tag: {
    id: Generated<number>;
    repository_id: number;
    name: string;
    /** Lower case: the spec's listing order is case-insensitive. */
    name_folded: string;
    digest: string;
    created_at_ms: number;
    pushed_at_ms: number;
    pulled_at_ms: number | null;
    /** When an upstream last vouched for the digest; null for pushed tags. */
    verified_at_ms: number | null;
    /** When an upstream was last asked, with or without success. */
    checked_at_ms: number | null;
    trust: TagTrust;
    /** When the registry of a mirror was last heard to say that it has no such tag any more; null while it has. */
    removed_at_ms: number | null;
    /** JSON: why this digest (source, verdicts); null for pushed tags. */
    trail: string | null;
  };
  listed_referrers: {
    repository_id: number;
    subject_digest: string;
    /** JSON: what the registry of a mirror last listed as referrers. */
    descriptors: string;
    listed_at_ms: number;
  };
  upload: {
    id: string;
    repository_id: number;
    /** Who opened it; nobody else may use it. */
    principal: string;
    algorithm: 'sha256' | 'sha512';
    created_at_ms: number;
    expires_at_ms: number;
  };
  /** Somebody who can log in, known by one provider. */
  account: {
    id: Generated<number>;
    name: string;
    /** Lower case: names that differ in case alone are one name. */
    name_folded: string;
    display_name: string;
    email: string | null;
    comment: string;
    /** `local`, or the id of the identity provider that alone may let this name in. */
    provider: string;
    /** How the provider knows it: a DN, or issuer and subject; null for local ones. */
    external_id: string | null;
    /** Null for those without a password here. */
    password_hash: string | null;
    is_admin: number;
    is_auditor: number;
    is_disabled: number;
    must_change_password: number;
    /** Counts up when what was signed for it before must end. */
    epoch: number;
    created_at_ms: number;
    updated_at_ms: number;
    last_login_at_ms: number | null;
    /** `directory`: switched off because its directory no longer knows it; null when an administrator did it. */
    disabled_by: Generated<string | null>;
  };
  /** Custom roles only: those of Harbor are in auth/roles.ts, with ids below 100. */
  role: {
    id: Generated<number>;
    name: string;
    /** JSON list. */
    actions: string;
    description: string;
    created_at_ms: number;
    updated_at_ms: number;
  };
  user_group: {
    id: Generated<number>;
    name: string;
    /** `local`, or an identity provider. */
    provider: string;
    /** How the provider names it: a DN or a claim's value; a local one's own name. */
    external_name: string;
    created_at_ms: number;
  };
  account_group: { account_id: number; group_id: number };
  project_member: {
    id: Generated<number>;
    project_id: number;
    /** Of an account or a group, exactly one. */
    account_id: number | null;
    group_id: number | null;
    role_id: number;
    created_at_ms: number;
  };
  /** A role that somebody holds elsewhere than in one project. */
  grant_rule: {
    id: Generated<number>;
    account_id: number | null;
    group_id: number | null;
    kind: 'system' | 'everywhere' | 'all-projects' | 'projects' | 'repositories';
    /** A glob; empty where the kind needs none. */
    pattern: string;
    role_id: number;
    created_at_ms: number;
  };
  robot: {
    id: Generated<number>;
    /** Without the prefix and the project: `ci`. Unique in its project, or among those of the server. */
    name: string;
    /** Null: of the server. */
    project_id: number | null;
    /** `principalKey` of who made it. */
    creator: string;
    description: string;
    secret_hash: string;
    is_disabled: number;
    /** -1: for ever. */
    duration_days: number;
    expires_at_ms: number | null;
    /** JSON list of grants: `{ where, actions }`, projects by id. */
    permissions: string;
    /** JSON list of CIDR blocks it may log in from; empty: from everywhere. */
    networks: string;
    epoch: number;
    created_at_ms: number;
    updated_at_ms: number;
    last_used_at_ms: number | null;
    last_used_address: string | null;
  };
  /** Directories and issuers that people come from; those of the config file are not here. */
  identity_provider: {
    id: Generated<number>;
    /** What `account.provider` and `user_group.provider` hold. */
    name: string;
    kind: 'ldap' | 'oidc';
    is_enabled: number;
    /** Lower is asked first. */
    position: number;
    /** JSON, without secrets. */
    settings: string;
    /** Sealed: the password of the bind DN, the secret of the client. */
    secret: string | null;
    /** Counts up with every change. */
    revision: number;
    created_at_ms: number;
    updated_at_ms: number;
  };
  /** What a user made for a program, beside the password. */
  account_secret: {
    id: Generated<number>;
    account_id: number;
    name: string;
    /** What it opens: the registry only, or the admin API, too. */
    reach: 'registry' | 'api';
    secret_hash: string;
    created_at_ms: number;
    expires_at_ms: number | null;
    last_used_at_ms: number | null;
    last_used_address: string | null;
  };
  /** What tokens of a CI system open here. */
  workload_rule: {
    id: Generated<number>;
    name: string;
    description: string;
    issuer: string;
    audience: string;
    /** JSON list of conditions. */
    claims: string;
    /** JSON list of grants, as a robot's. */
    permissions: string;
    lifetime_ms: number;
    is_disabled: number;
    is_single_use: number;
    /** JSON: where the issuer's keys come from. */
    keys: string;
    creator: string;
    epoch: number;
    created_at_ms: number;
    updated_at_ms: number;
    last_used_at_ms: number | null;
    last_used_address: string | null;
  };
  /** What such a token was exchanged for, until it expires. */
  workload_login: {
    secret_hash: string;
    rule_id: number;
    subject: string;
    /** Of the token, where it may be exchanged once only. */
    token_hash: string | null;
    created_at_ms: number;
    expires_at_ms: number;
  };
  /** Keys that sign registry tokens. */
  token_key: {
    id: string;
    /** Sealed. */
    private_key: string;
    created_at_ms: number;
    retires_at_ms: number | null;
  };
  /** Failed and good logins, by account and network or by network alone. */
  login_trace: {
    place: string;
    failures: number;
    failed_at_ms: number;
    succeeded_at_ms: number;
    expires_at_ms: number;
  };
  gc_queue: {
    digest: string;
    review_after_ms: number;
    reason: string;
  };
  source_registry: {
    name: string;
    /** Null: public unless it is restricted. */
    is_public: number | null;
    /** 1: a source has, or had, credentials. */
    is_restricted: number;
    origin: SourceOrigin;
    created_at_ms: number;
    updated_at_ms: number;
  };
  /** A registry as Harbor's clients know it: by number, with a name of their choice. */
  registry_entry: {
    id: Generated<number>;
    registry: string;
    title: string | null;
    type: string;
    description: string;
  };
  source: {
    id: Generated<number>;
    registry: string;
    url: string;
    trust: 'authority' | 'digest-only';
    priority: number;
    is_enabled: number;
    /** JSON list; may hold passwords. */
    credentials: string;
    /** JSON object: everything that nothing is searched by. */
    details: string;
    origin: SourceOrigin;
    created_at_ms: number;
    updated_at_ms: number;
  };
  source_seed: {
    registry: string;
    /** Empty: the registry itself. */
    url: string;
    /** Of the entry as it was in the configuration. */
    hash: string;
  };
  /** Images that are kept and warmed whatever else is cleared away, in named sets. */
  pin: {
    set_name: string;
    /** As it was asked for. */
    image: string;
    platforms: string;
    /** What it means here: the repository's full name, and a tag or digest. */
    repository: string;
    reference: string;
    created_at_ms: number;
  };
  warmup: {
    id: string;
    /** Of a schedule. */
    name: string | null;
    state: WarmupState;
    /** JSON: what was asked for, enough to begin again after a restart. */
    spec: string;
    /** JSON: what came of each image; null while it is active. */
    result: string | null;
    created_at_ms: number;
    ended_at_ms: number | null;
  };
  /** How a source did in a minute (`span_ms` 60,000, kept for a day) or an hour (3,600,000, kept for 90 days). */
  source_history: {
    /** Registry and URL: outlives the row of the source. */
    source: string;
    span_ms: number;
    at_ms: number;
    requests: number;
    ok: number;
    bytes: number;
    /** JSON: counts by class of the time to the first byte. */
    latencies: string;
    /** JSON: failures by kind. */
    verdicts: string;
  };
  /** One row for each thing that happened, or for several alike (`count`). Rows are added and, when old, removed from the front. */
  audit_event: {
    id: number;
    at_ms: number;
    since_ms: number | null;
    count: number;
    actor_kind: string;
    actor_id: string | null;
    actor_name: string;
    method: string;
    address: string | null;
    user_agent: string | null;
    request_id: string | null;
    operation: string;
    resource_type: string;
    resource: string;
    /** Kept when the project is gone; no reference for that reason. */
    project_id: number | null;
    outcome: 'success' | 'denied' | 'failed';
    /** JSON. */
    detail: string | null;
    /** Over the row and the hash before it (audit-chain.ts). */
    hash: string;
  };
  /** `head`: the last row. `anchor`: the last row that was removed. */
  audit_chain: { name: 'head' | 'anchor'; id: number; hash: string; at_ms: number };
  /** A browser that is logged in. */
  session: {
    id: Generated<number>;
    /** SHA-256 of what its cookie holds. */
    secret_hash: string;
    account_id: number;
    /** The account's when it began; another one now ends it. */
    account_epoch: number;
    provider: string;
    address: string | null;
    user_agent: string;
    created_at_ms: number;
    seen_at_ms: number;
    /** When its person last showed a password, or logged in at the provider. */
    proved_at_ms: number;
    expires_at_ms: number;
  };
  /** A login through an identity provider that is under way. */
  login_attempt: {
    state_hash: string;
    browser_hash: string;
    provider: string;
    purpose: LoginPurpose;
    session_id: number | null;
    return_to: string;
    identity: string | null;
    expires_at_ms: number;
  };
}
