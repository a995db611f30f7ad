// Where a credential may be used from: CIDR blocks. Nothing listed means everywhere; with a list, an unknown address is outside.

import { BlockList, isIP } from 'node:net';
import { parseCidr } from '../config/addresses.ts';
import { OciError } from '../oci/errors.ts';

const networksMax = 50;

/** CIDR blocks in their one form. BAD_REQUEST for what is no block. */
export function readNetworks(texts: readonly string[]): string[] {
  if (texts.length > networksMax) throw new OciError('BAD_REQUEST', `networks: at most ${networksMax} are possible`);
  return texts.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new OciError('BAD_REQUEST', `networks: "${text}" is no address or block such as 10.0.0.0/8`);
    return cidr;
  });
}

/** Whether an address is inside one of the blocks; true when there are none. */
export function isInNetworks(networks: readonly string[], address: string | undefined): boolean {
  if (networks.length === 0) return true;
  if (address === undefined) return false;
  const plain = address.toLowerCase().startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  const family = isIP(plain);
  if (family === 0) return false;
  const list = new BlockList();
  for (const cidr of networks) {
    const [block = '', bits = ''] = cidr.split('/');
    list.addSubnet(block, Number(bits), isIP(block) === 6 ? 'ipv6' : 'ipv4');
  }
  return list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}
