// What is open without a login: nothing (one switch), or what projects show everybody, from everywhere or from some networks only.

import { createNetworks } from '../lib/networks.ts';
import type { AccessPolicy } from './access.ts';

/** `networks` are blocks of addresses; none in the list means from everywhere. Who comes from an unknown address comes from none of them. */
export function createAccessPolicy(options: { readonly anonymousPull: boolean; readonly networks: readonly string[] }): AccessPolicy {
  const { anonymousPull } = options;
  if (options.networks.length === 0) return { anonymousPull };
  const networks = createNetworks(options.networks);
  return { anonymousPull, allowsAnonymous: (address) => address !== undefined && networks.has(address) };
}
