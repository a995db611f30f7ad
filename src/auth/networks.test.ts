import { expect, test } from 'bun:test';
import { isInNetworks, readNetworks } from './networks.ts';

test.each([
  ['10.1.2.3', true],
  ['::ffff:10.1.2.3', true],
  ['11.0.0.1', false],
  ['fd00::5', true],
  ['fe80::1', false],
  ['192.0.2.7', true],
  ['192.0.2.8', false],
  [undefined, false],
  ['', false],
  ['not an address', false],
  ['10.1.2.3.4', false],
])('the address %p is inside 10.0.0.0/8, fd00::/8 and 192.0.2.7: %p', (address, isInside) => {
  expect(isInNetworks(readNetworks(['10.0.0.0/8', 'FD00::/8', '192.0.2.7']), address)).toBe(isInside);
});

test('without networks every address is inside, an unknown one too', () => {
  expect(isInNetworks([], undefined)).toBe(true);
  expect(isInNetworks([], '10.0.0.1')).toBe(true);
});

test.each(['', '10.0.0.0/33', 'host.example', '10.0.0.0/8/8', 'fe80::1%eth0/64'])('%p is refused as a network', (text) => {
  expect(() => readNetworks([text])).toThrow(/no address or block/);
});
