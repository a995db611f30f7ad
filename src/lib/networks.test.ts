import { expect, test } from 'bun:test';
import { createNetworks } from './networks.ts';

test('an address lies in a block of its family, also when it came over IPv6', () => {
  const networks = createNetworks(['10.0.0.0/8', '192.0.2.7', 'fd00::/8']);
  for (const inside of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7', 'fd12::1'])
    expect([inside, networks.has(inside)]).toEqual([inside, true]);
  for (const outside of ['11.0.0.1', '192.0.2.8', 'fe80::1', '::ffff:11.0.0.1', '', 'x', '10.1.2'])
    expect([outside, networks.has(outside)]).toEqual([outside, false]);
});

test('no block holds nothing', () => {
  expect(createNetworks([]).has('10.1.2.3')).toBe(false);
});
