// Blocks of addresses such as `10.0.0.0/8`, and whether an address lies in one of them.

import { BlockList, isIP } from 'node:net';

export interface Networks {
  /** False for anything that is no address. */
  has(address: string): boolean;
}

/** Of blocks, or single addresses, of both families. */
export function createNetworks(cidrs: readonly string[]): Networks {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  }
  return {
    has: (address) => {
      const plain = plainAddress(address);
      const family = isIP(plain);
      return family !== 0 && cidrs.length > 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
    },
  };
}

/** An IPv4 address that came over IPv6, as IPv4. */
export function plainAddress(address: string): string {
  return /^::ffff:\d/i.test(address) ? address.slice(7) : address;
}
