import { describe, expect, test } from 'bun:test';
import { accountNameProblem, requireAccountName, requirePlainName } from './account-names.ts';

describe('names of users', () => {
  test('letters of any script, dots, dashes, spaces inside and addresses are names, in NFC', () => {
    for (const name of ['anna', 'Anna.Schmidt-2', 'a', '王芳', 'anna schmidt', 'anna@example.org', 'anna+ci@example.org', 'x'.repeat(255)])
      expect(accountNameProblem(name)).toBeUndefined();
    expect(requireAccountName('Zoe\u0308')).toBe('Zo\u00eb');
  });

  test('what means somebody else, cannot be seen or ends a name in Basic is none', () => {
    const refused = [
      '',
      ' anna',
      'anna ',
      'robot$ci',
      'a:b',
      'a,b',
      'a/b',
      'a\\b',
      'a"b',
      '<b>',
      'a#b',
      'a%b',
      'a~b',
      'workload+ci',
      'x'.repeat(256),
    ];
    refused.push(
      'system',
      'SYSTEM',
      'anonymous',
      'Breakwater',
      'workload',
      'a\u0000b',
      'a\nb',
      'a\u200bb',
      'a\u202eb',
      '\ufeffa',
      'a\ud800',
    );
    for (const name of refused) {
      expect(accountNameProblem(name)).toBeString();
      expect(() => requireAccountName(name)).toThrow('username');
    }
  });

  test('groups and roles may have what users may not, and still nothing unseen', () => {
    expect(requirePlainName('team/devs: all', 'group_name')).toBe('team/devs: all');
    for (const name of ['', ' x', 'a\u0007']) expect(() => requirePlainName(name, 'group_name')).toThrow('group_name');
  });
});
