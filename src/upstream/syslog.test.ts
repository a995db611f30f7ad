import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { parseSyslogUrl } from './syslog.ts';

test('an address of a syslog server says how, where and at which port', () => {
  expect(parseSyslogUrl('udp://log.test')).toEqual({ transport: 'udp', host: 'log.test', port: 514 });
  expect(parseSyslogUrl('tcp://10.0.0.5:1514')).toEqual({ transport: 'tcp', host: '10.0.0.5', port: 1514 });
  expect(parseSyslogUrl('tls://Log.Test/')).toEqual({ transport: 'tls', host: 'log.test', port: 6514 });
  expect(parseSyslogUrl('tls://[2001:db8::1]:443')).toEqual({ transport: 'tls', host: '2001:db8::1', port: 443 });
  // As Harbor's setting has it.
  expect(parseSyslogUrl('harbor-log:10514')).toEqual({ transport: 'tcp', host: 'harbor-log', port: 10514 });
  for (const wrong of [
    '',
    'log.test',
    'http://log.test:1',
    'tcp://a@b:1',
    'tcp://',
    'tcp://x:0',
    'tcp://x:99999',
    'tcp://x/path',
    'a b:1',
    'tcp://x?y',
  ])
    expect([wrong, parseSyslogUrl(wrong)]).toEqual([wrong, undefined]);
});

test('any text gives an address with a port, or none', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webAuthority(),
        fc.string().map((text) => `tcp://${text}`),
      ),
      (text) => {
        const parsed = parseSyslogUrl(text);
        if (parsed === undefined) return;
        expect(parsed.host).not.toBe('');
        expect(parsed.port).toBeWithin(1, 65_536);
      },
    ),
  );
});
