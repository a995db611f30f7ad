import { describe, expect, test } from 'bun:test';
import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { classifyAddress, parseIPv4, parseIPv6 } from './address.ts';

const table: Readonly<Record<string, readonly string[]>> = {
  public: [
    '1.1.1.1',
    '93.184.216.34',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.0.1',
    '172.32.0.1',
    '223.255.255.255',
    '198.17.255.255',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2002:0808:0808::1',
  ],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '100.127.255.255',
    '198.18.0.1',
    '198.19.255.255',
    'fc00::1',
    'fd12:3456::1',
    'fec0::1',
    '::ffff:10.1.2.3',
    '::ffff:0a01:0203',
    '64:ff9b::192.168.0.1',
    '64:ff9b:1::1',
    '2002:c0a8:0101::1',
    '2606:4700::5efe:10.0.0.1',
    '::ffff:0:10.0.0.1',
  ],
  loopback: [
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:0001::',
    '2001:0:0808:0808::80ff:fffe',
  ],
  forbidden: [
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.2.1',
    '198.51.100.7',
    '203.0.113.9',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    'fe80::1',
    'fe80::1%eth0',
    '::1%lo',
    'ff02::1',
    '2001:db8::1',
    'fd00:ec2::254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '100::1',
    '4000::1',
    '2001:0:a9fe:a9fe::f7f7:f7f7',
  ],
};

describe('the class of an address', () => {
  for (const [kind, addresses] of Object.entries(table)) {
    for (const address of addresses) {
      test(`${address} is ${kind}`, () => {
        expect(classifyAddress(address)).toBe(kind as never);
      });
    }
  }

  test('what is no address literal has no class', () => {
    for (const text of [
      '',
      'localhost',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '256.1.1.1',
      '0x7f.0.0.1',
      '2130706433',
      ':::',
      '1::2::3',
      '12345::',
      '::1.2.3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1.2.3.4::',
      'g::1',
      '%eth0',
    ]) {
      expect(classifyAddress(text)).toBeUndefined();
    }
  });

  test('IPv6 literals are taken exactly where the runtime takes them', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0123456789abcdef:.'), maxLength: 40 })), (text) => {
        expect(parseIPv6(text) !== undefined).toBe(isIPv6(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test('IPv4 literals are taken exactly where the runtime takes them', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.string({ unit: fc.constantFrom(...'0123456789.'), maxLength: 16 })), (text) => {
        expect(parseIPv4(text) !== undefined).toBe(isIPv4(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test('an IPv4 address keeps its class in every IPv6 form that carries it', () => {
    fc.assert(
      fc.property(fc.ipV4(), (four) => {
        const hex = four.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
        const groups = `${hex[0]}${hex[1]}:${hex[2]}${hex[3]}`;
        const kind = classifyAddress(four);
        for (const form of [`::ffff:${four}`, `::ffff:${groups}`, `::ffff:0:${four}`, `64:ff9b::${four}`, `2002:${groups}::1`]) {
          expect(`${form} ${classifyAddress(form)}`).toBe(`${form} ${kind}`);
        }
      }),
    );
  });
});
