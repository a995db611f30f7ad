import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { createEgressPolicy, type EgressRules, parseEgressHost, parseEgressRegistry } from './egress.ts';
import { blockedSources } from './egress-check.ts';

const none = { allow: [], deny: [] };

function policyOf(rules: Partial<EgressRules>) {
  return createEgressPolicy({ registries: none, hosts: none, ...rules });
}

/** The reason, or `allowed`. */
function urlOf(rules: Partial<EgressRules>, url: string, addresses?: readonly string[]): string {
  const policy = policyOf(rules);
  const first = policy.check('docker.io', new URL(url));
  if (!first.allowed) return first.reason;
  if (addresses === undefined) return 'allowed';
  const second = policy.checkAddresses('docker.io', new URL(url), addresses);
  return second.allowed ? 'allowed' : second.reason;
}

describe('registries', () => {
  test('all may be contacted without rules', () => {
    expect(policyOf({}).checkRegistry('docker.io')).toEqual({ allowed: true });
  });

  test('a deny that matches wins over an allow, and is named', () => {
    const policy = policyOf({ registries: { allow: ['*'], deny: ['*.pkg.dev'] } });
    expect(policy.checkRegistry('europe-docker.pkg.dev')).toEqual({
      allowed: false,
      reason: 'the registry europe-docker.pkg.dev may not be contacted (egress.registries.deny: *.pkg.dev)',
    });
    expect(policy.checkRegistry('ghcr.io')).toEqual({ allowed: true });
  });

  test('with an allow nothing else may be contacted, whatever the host', () => {
    const policy = policyOf({ registries: { allow: ['ghcr.io'], deny: [] } });
    expect(policy.checkRegistry('ghcr.io')).toEqual({ allowed: true });
    expect(policy.checkRegistry('ghcr.io.example').allowed).toBe(false);
    expect(policy.check('docker.io', new URL('https://anything.example')).allowed).toBe(false);
  });
});

describe('hosts', () => {
  test('a name, a pattern and an address can be denied', () => {
    expect(urlOf({ hosts: { allow: [], deny: ['*.example'] } }, 'https://a.b.example/v2/')).toContain('egress.hosts.deny: *.example');
    expect(urlOf({ hosts: { allow: [], deny: ['m.example'] } }, 'https://M.example.:5000/')).toContain('egress.hosts.deny: m.example');
    expect(urlOf({ hosts: { allow: [], deny: ['10.0.0.0/8'] } }, 'http://10.1.2.3/')).toContain('egress.hosts.deny: 10.0.0.0/8');
    expect(urlOf({ hosts: { allow: [], deny: ['10.0.0.0/8'] } }, 'http://[::ffff:10.1.2.3]/')).toContain('egress.hosts.deny: 10.0.0.0/8');
    expect(urlOf({ hosts: { allow: [], deny: ['fd00::/8'] } }, 'http://[fd12::1]/')).toContain('egress.hosts.deny: fd00::/8');
    expect(urlOf({ hosts: { allow: [], deny: ['m.example'] } }, 'https://xm.example/')).toBe('allowed');
  });

  test('a network can be denied by what a name resolves to', () => {
    const rules = { hosts: { allow: [], deny: ['192.0.2.0/24'] } };
    expect(urlOf(rules, 'https://m.example/', ['198.51.100.1'])).toBe('allowed');
    expect(urlOf(rules, 'https://m.example/', ['198.51.100.1', '192.0.2.7'])).toContain('m.example (192.0.2.7) may not be contacted');
  });

  test('a block of addresses allows a name when all its addresses are inside', () => {
    const rules = { hosts: { allow: ['10.0.0.0/8', 'auth.example'], deny: [] } };
    expect(urlOf(rules, 'https://mirror.lan/', ['10.1.1.1'])).toBe('allowed');
    expect(urlOf(rules, 'https://mirror.lan/', ['10.1.1.1', '11.1.1.1'])).toContain('egress.hosts.allow does not list it');
    expect(urlOf(rules, 'https://mirror.lan/', [])).toContain('may not be contacted');
    expect(urlOf(rules, 'https://auth.example/', ['11.1.1.1'])).toBe('allowed');
    expect(urlOf(rules, 'https://11.1.1.1/')).toContain('egress.hosts.allow does not list it');
  });

  test('a list of names alone refuses another name before it is resolved', () => {
    expect(urlOf({ hosts: { allow: ['m.example'], deny: [] } }, 'https://other.example/')).toContain('egress.hosts.allow does not list it');
  });

  test('a name that a proxy resolves must be allowed by name', () => {
    const policy = policyOf({ hosts: { allow: ['10.0.0.0/8'], deny: [] } });
    expect(policy.checkAddresses('docker.io', new URL('https://m.example/'), undefined)).toMatchObject({ allowed: false });
    expect(policyOf({}).checkAddresses('docker.io', new URL('https://m.example/'), undefined)).toEqual({ allowed: true });
  });

  test('what a deny names is never allowed, whatever else is listed', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const address = fc.tuple(octet, octet, octet, octet).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 32 }), fc.array(fc.constantFrom('*', '0.0.0.0/0', '::/0')), (denied, bits, allow) => {
        const rules = { hosts: { allow, deny: [`${denied}/${bits}`] } };
        expect(urlOf(rules, `http://${denied}/`)).not.toBe('allowed');
        expect(urlOf(rules, 'http://name.example/', [denied])).not.toBe('allowed');
      }),
    );
  });
});

describe('patterns', () => {
  test('of hosts are names, addresses and blocks', () => {
    expect(parseEgressHost('*.Docker.com')).toBe('*.docker.com');
    expect(parseEgressHost('10.0.0.0/8')).toBe('10.0.0.0/8');
    expect(parseEgressHost('[::1]')).toBe('::1');
    for (const wrong of ['', 'a b', 'https://a', 'a/b', '10.0.0.0/33', '10.0.0/8', '10.0.0', 'a:5000', '::1/129', 'fe80::1%eth0'])
      expect([wrong, parseEgressHost(wrong)]).toEqual([wrong, undefined]);
  });

  test('of registries are names', () => {
    expect(parseEgressRegistry('*.pkg.dev')).toBe('*.pkg.dev');
    for (const wrong of ['', 'a/b', 'a:5000', '.a', 'a.']) expect([wrong, parseEgressRegistry(wrong)]).toEqual([wrong, undefined]);
  });
});

describe('what the policy keeps from working', () => {
  const source = {
    url: 'https://m.example',
    trust: 'authority',
    priority: 1,
    realms: ['https://auth.example'],
    allowPrivate: false,
  } as const;
  const registries = new Map([
    ['docker.io', { sources: [{ ...source, proxy: 'http://proxy.lan:3128' }] }],
    ['ghcr.io', { sources: [source] }],
  ]);

  test('is one line for a registry, and one for each place of a source', () => {
    const egress = { registries: { allow: [], deny: ['ghcr.io'] }, hosts: { allow: ['m.example'], deny: [] } };
    expect(blockedSources({ registries, egress })).toEqual([
      'docker.io: token service https://auth.example of the source https://m.example: the host auth.example may not be contacted (egress.hosts.allow does not list it)',
      'docker.io: proxy of the source https://m.example: the host proxy.lan may not be contacted (egress.hosts.allow does not list it)',
      'the registry ghcr.io may not be contacted (egress.registries.deny: ghcr.io)',
    ]);
    expect(blockedSources({ registries, egress: { registries: none, hosts: none } })).toEqual([]);
  });
});
