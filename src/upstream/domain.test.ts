import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { isLocalName, isSameOwner, registrableDomain } from './domain.ts';

describe('the registrable domain', () => {
  test('is the last two labels under plain suffixes and the last three under public second levels', () => {
    expect(registrableDomain('docker.elastic.co')).toBe('elastic.co');
    expect(registrableDomain('docker-auth.elastic.co')).toBe('elastic.co');
    expect(registrableDomain('registry-1.docker.io')).toBe('docker.io');
    expect(registrableDomain('m.daocloud.io')).toBe('daocloud.io');
    expect(registrableDomain('a.b.example.co.uk')).toBe('example.co.uk');
    expect(registrableDomain('hub.example.com.cn')).toBe('example.com.cn');
    expect(registrableDomain('x.y.gv.at')).toBe('y.gv.at');
  });

  test('does not exist for addresses, single labels, bare suffixes, hosting suffixes and malformed names', () => {
    for (const host of [
      '1.2.3.4',
      '::1',
      'localhost',
      'com.cn',
      'co.uk',
      'a.github.io',
      'x.workers.dev',
      'one.r2.dev',
      'acct.dkr.ecr.us-east-1.amazonaws.com',
      'a..b',
      '.a.b',
      'a.b.',
      'a b.c',
      '1.2.3',
      '',
      'x.azurecr.io',
    ]) {
      expect(registrableDomain(host)).toBeUndefined();
    }
  });

  test('two tenants of one hosting suffix are no owner of each other, two hosts of one company are', () => {
    expect(isSameOwner('a.workers.dev', 'b.workers.dev')).toBe(false);
    expect(isSameOwner('good.com.cn', 'evil.com.cn')).toBe(false);
    expect(isSameOwner('docker.io', 'docker.io.evil.com')).toBe(false);
    expect(isSameOwner('evildocker.io', 'docker.io')).toBe(false);
    expect(isSameOwner('10.0.0.1', '10.0.0.1')).toBe(false);
    expect(isSameOwner('registry.gitlab.com', 'gitlab.com')).toBe(true);
  });

  test('is a suffix of the host at a label boundary, whatever the host', () => {
    fc.assert(
      fc.property(fc.oneof(fc.domain(), fc.string()), (host) => {
        const domain = registrableDomain(host);
        if (domain !== undefined) expect(host === domain || host.endsWith(`.${domain}`)).toBe(true);
      }),
    );
  });
});

test('names of private networks are told by their form', () => {
  for (const host of ['registry', 'nas.local', 'hub.lan', 'metadata.google.internal', 'x.home.arpa', 'a.test', 'x.localhost'])
    expect(isLocalName(host)).toBe(true);
  for (const host of ['docker.io', 'local.example.com', 'lan.io', 'xlocal.com']) expect(isLocalName(host)).toBe(false);
});
