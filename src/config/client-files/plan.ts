// What an import would do: each endpoint found in clients' files becomes a source to add or is skipped, with the reason. A mirror is trusted with
// bytes, which their digest proves, and never with tags: only a registry's own endpoint becomes an authority. Pure.

import type { Presets } from '../preset-data.ts';
import { findHost, type KnownHost, readLimits } from '../presets.ts';
import { type Found, type FoundEndpoint, isPublicHost, type Remark } from './found.ts';

export interface PlannedSource {
  readonly action: 'add' | 'skip';
  readonly registry: string;
  /** As found, when it could not be understood. */
  readonly url: string;
  readonly place: string;
  readonly trust: 'authority' | 'digest-only';
  readonly priority: number;
  /** Why it is skipped. */
  readonly reason?: string;
  /** `dead`, `dangerous`, `loop`: why it is skipped, for programs. */
  readonly flag?: 'dead' | 'dangerous' | 'loop';
  readonly warnings: readonly string[];
  readonly operator?: string;
  readonly insecure: boolean;
  readonly caFile?: string;
  readonly proxy?: string;
  readonly realms: readonly string[];
  readonly repositories?: readonly string[];
  readonly limits?: { readonly connections?: number; readonly requestsPerMinute?: number };
  readonly credentials?: FoundEndpoint['credentials'];
}

export interface ImportPlan {
  readonly sources: readonly PlannedSource[];
  readonly remarks: readonly Remark[];
}

export interface PlanOptions {
  readonly presets: Presets;
  /** `HOST:PORT` under which this server is reached; what leads there would make it ask itself. */
  readonly self: ReadonlySet<string>;
  /** Registries that have an authority already. */
  readonly registries: ReadonlySet<string>;
  readonly withCredentials: boolean;
  /** Add what is dangerous, too. */
  readonly dangerous: boolean;
}

const priorityStep = 10;
const ownEndpointPriority = 100;

export function planImport(found: readonly Found[], options: PlanOptions): ImportPlan {
  const sources: PlannedSource[] = [];
  for (const { endpoints, skipped } of found) {
    for (const endpoint of endpoints) sources.push(planEndpoint(endpoint, sources, options));
    for (const { registry = '', url = '', place, text } of skipped) {
      sources.push({
        action: 'skip',
        registry,
        url,
        place,
        trust: 'digest-only',
        priority: 0,
        reason: text,
        warnings: [],
        insecure: false,
        realms: [],
      });
    }
  }
  return { sources: [...sources, ...ownEndpoints(sources, options)], remarks: found.flatMap((one) => one.remarks) };
}

function planEndpoint(endpoint: FoundEndpoint, before: readonly PlannedSource[], options: PlanOptions): PlannedSource {
  const { url, place, proxy, caFile, repositories } = endpoint;
  const registry = canonical(endpoint.registry);
  const known = findHost(options.presets, new URL(url).hostname);
  const isOwn = isOwnEndpoint(registry, url, known);
  const { refusal, warnings } = judge({ ...endpoint, registry }, { known, isOwn, before, options });
  const added = before.filter((one) => one.registry === registry && one.action === 'add').length;
  const credentials = options.withCredentials ? endpoint.credentials : undefined;
  const limits = known?.kind === 'mirror' ? known.operator.limits : undefined;
  return {
    action: refusal === undefined ? 'add' : 'skip',
    registry,
    url,
    place,
    trust: isOwn ? 'authority' : 'digest-only',
    priority: isOwn ? ownEndpointPriority : priorityStep * (added + 1),
    ...(refusal === undefined ? {} : refusal),
    warnings,
    insecure: endpoint.skipsVerification,
    realms: isOwn && known?.kind === 'official' ? known.realms : [],
    ...(known?.kind === 'mirror' ? { operator: known.operator.id } : {}),
    ...(caFile === undefined ? {} : { caFile }),
    ...(proxy === undefined ? {} : { proxy }),
    ...(repositories === undefined ? {} : { repositories }),
    ...(limits === undefined ? {} : { limits: readLimits(limits) }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

interface Refusal {
  readonly reason: string;
  readonly flag?: 'dead' | 'dangerous' | 'loop';
}

function judge(
  endpoint: FoundEndpoint,
  at: { known: KnownHost | undefined; isOwn: boolean; before: readonly PlannedSource[]; options: PlanOptions },
): { readonly refusal?: Refusal; readonly warnings: readonly string[] } {
  const { registry, url } = endpoint;
  const { known, isOwn, before, options } = at;
  const warnings = [...endpoint.notes];
  const skip = (reason: string, flag?: Refusal['flag']) => ({ refusal: { reason, ...(flag === undefined ? {} : { flag }) }, warnings });
  if (options.self.has(hostAndPort(url))) return skip('it is this server: a source that leads back here would make it ask itself', 'loop');
  if (registry === '*')
    return skip('it is for every registry, told by ?ns=, which a source is not asked with; name the registries it is for');
  if (!/^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(registry)) return skip('a registry has no port in its name here');
  if (known?.kind === 'dead') {
    return skip(
      `it is dead: ${known.reason} (${known.since}). Take it out of the client's file as well: whoever registers the name next answers there`,
      'dead',
    );
  }
  const twin = before.find((one) => one.registry === registry && one.url === url);
  if (twin !== undefined) return skip(`it is listed already (${twin.place})`);
  if (isOwn && options.registries.has(registry)) return skip(`it is ${registry} itself, which is its authority already`);
  if (endpoint.hasClientCertificate === true) return skip('it wants a client certificate, which a source cannot have');
  const host = new URL(url).hostname;
  const isOpen = isPublicHost(host) && (url.startsWith('http:') || endpoint.skipsVerification);
  const how = url.startsWith('http:') ? 'plain http' : 'TLS without a checked certificate';
  if (isOpen && !options.dangerous)
    return skip(`${how} over the internet: anybody on the way reads and changes it; --dangerous adds it all the same`, 'dangerous');
  if (isOpen) warnings.push(`${how} over the internet: anybody on the way reads what is pulled`);
  if (known?.kind === 'mirror') {
    const { operator, mirror } = known;
    if (mirror !== undefined && mirror.registry !== registry)
      warnings.push(`it is known as a mirror of ${mirror.registry}, not of ${registry}`);
    const login = mirror?.login ?? operator.login;
    if (login !== 'none' && endpoint.credentials === undefined)
      warnings.push(login === 'paid' ? 'it wants a paid login' : 'it wants a login');
    if (operator.state === 'doubtful') warnings.push(`lists disagree whether it still works (${operator.last_seen})`);
    if (operator.note !== undefined) warnings.push(operator.note);
  }
  if (!isOwn && endpoint.resolvesTags) {
    warnings.push(
      known === undefined && isPublicHost(host)
        ? 'the client believes it about tags and nobody knows who runs it; here only its bytes count, which their digest proves'
        : 'the client believes it about tags; here only its bytes count, which their digest proves',
    );
  }
  if (endpoint.credentials !== undefined && !options.withCredentials)
    warnings.push('its login is left out; --with-credentials takes it along');
  return { warnings };
}

/** The client falls back to a registry's own endpoint; a registry that was not known here needs it as the authority on its tags. */
function ownEndpoints(sources: readonly PlannedSource[], { registries, presets }: PlanOptions): readonly PlannedSource[] {
  const added = sources.filter((one) => one.action === 'add');
  const lacking = new Set(added.map((one) => one.registry).filter((name) => !registries.has(name)));
  for (const { registry, trust } of added) if (trust === 'authority') lacking.delete(registry);
  return [...lacking].map((registry) => {
    const known = presets.registries.find((one) => one.name === registry);
    return {
      action: 'add',
      registry,
      url: known?.url ?? `https://${registry}`,
      place: 'the registry itself, to which clients fall back',
      trust: 'authority',
      priority: ownEndpointPriority,
      warnings: [],
      insecure: false,
      realms: known?.realms ?? [],
    };
  });
}

function isOwnEndpoint(registry: string, url: string, known: KnownHost | undefined): boolean {
  const { hostname, pathname } = new URL(url);
  if (pathname !== '/') return false;
  return known?.kind === 'official' ? known.registry === registry && known.url === url : hostname === registry && url.startsWith('https:');
}

const dockerHubNames: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']);

function canonical(registry: string): string {
  const name = registry.toLowerCase();
  return dockerHubNames.has(name) ? 'docker.io' : name;
}

/** Lower case, with the port of the scheme when none is written. */
export function hostAndPort(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  const number = port === '' ? (protocol === 'https:' ? '443' : '80') : port;
  return `${hostname.toLowerCase()}:${number}`;
}
