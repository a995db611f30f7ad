import { describe, expect, test } from 'bun:test';
import type { SourceHealth } from './health.ts';
import { outcome, setUp, source } from './health-fixture.ts';
import type { Source } from './source.ts';

describe('a host that redirects lead to', () => {
  const cdn = 'https://cdn.example';
  const sources = [source('a', 1), source('b', 2)];
  const setUpCdn = (): ReturnType<typeof setUp> & { order: (kind: 'manifest' | 'blob') => string } => {
    const parts = setUp();
    const order = (kind: 'manifest' | 'blob'): string =>
      parts.health
        .rank(sources, 'x', { kind })
        .map((entry) => entry.id)
        .join(' ');
    order('blob');
    return { ...parts, order };
  };

  test('that is dead takes the source’s blobs out, not its manifests', () => {
    const { health, report, order } = setUpCdn();
    report('connect-timeout', { kind: 'blob', finalOrigin: cdn, repository: 'x' });
    expect([order('blob'), order('manifest')]).toEqual(['b a', 'a b']);
    expect([health.allow('a', 'x', 'blob'), health.allow('a', 'x', 'manifest'), health.allow('a', 'x', 'head')]).toEqual([
      'no',
      'yes',
      'yes',
    ]);
    expect(health.snapshot('a')).toMatchObject({ state: 'up', failed: 1, hosts: [{ origin: cdn, state: 'open', blockedForMs: 5_000 }] });
  });

  test('that refuses three times in a row takes its blobs out; one refusal is neither that nor a refusal of the repository', () => {
    const { health, report } = setUpCdn();
    const refuse = (): void => report('denied', { kind: 'blob', finalOrigin: cdn, repository: 'x' });
    refuse();
    refuse();
    report('ok', { kind: 'blob', finalOrigin: cdn, repository: 'y' });
    refuse();
    refuse();
    expect(health.allow('a', 'x', 'blob')).toBe('yes');
    refuse();
    expect([health.allow('a', 'x', 'blob'), health.allow('a', 'x', 'manifest')]).toEqual(['no', 'yes']);
  });

  test('that asks to be left alone is, as long as it says', () => {
    const { clock, health, report, order } = setUpCdn();
    report('rate-limited', { kind: 'blob', finalOrigin: cdn, retryAfterMs: 30_000 });
    expect([order('blob'), order('manifest')]).toEqual(['b a', 'a b']);
    expect(health.snapshot('a')).toMatchObject({ state: 'up', hosts: [{ origin: cdn, state: 'open', blockedForMs: 30_000 }] });
    clock.advance(29_999);
    expect(health.allow('a', 'x', 'blob')).toBe('no');
    clock.advance(1);
    expect(health.allow('a', 'x', 'blob')).toBe('yes');
    expect(health.snapshot('a').hosts).toBeUndefined();
  });

  test('is tried again after its wait, one at a time, and is good again after one success', () => {
    const { clock, health, report, order } = setUpCdn();
    report('timeout', { kind: 'blob', finalOrigin: cdn });
    clock.advance(5_000);
    expect(order('blob')).toBe('a b');
    expect([health.allow('a', 'x', 'blob'), health.allow('a', 'x', 'blob')]).toEqual(['trial', 'no']);
    report('timeout', { kind: 'blob', finalOrigin: cdn });
    clock.advance(9_999);
    expect(health.allow('a', 'x', 'blob')).toBe('no');
    clock.advance(1);
    expect(health.allow('a', 'x', 'blob')).toBe('trial');
    report('ok', { kind: 'blob', finalOrigin: cdn });
    expect(health.allow('a', 'x', 'blob')).toBe('yes');
    expect(health.snapshot('a').hosts).toBeUndefined();
  });

  test('is good again also when the report does not say where the answer came from, but the client saw it', () => {
    const { clock, health, report } = setUpCdn();
    report('timeout', { kind: 'manifest', finalOrigin: cdn });
    expect(health.allow('a', 'x', 'manifest')).toBe('no');
    clock.advance(5_000);
    expect(health.allow('a', 'x', 'manifest')).toBe('trial');
    health.answered('a', { kind: 'manifest', status: 200, firstByteMs: 5, finalOrigin: cdn, credentialId: 'anonymous' });
    report('ok', { kind: 'manifest' });
    expect(health.allow('a', 'x', 'manifest')).toBe('yes');
  });

  test('is forgotten as soon as the source leads elsewhere', () => {
    const { clock, health, report } = setUpCdn();
    report('timeout', { kind: 'blob', finalOrigin: cdn });
    clock.advance(5_000);
    expect(health.allow('a', 'x', 'blob')).toBe('trial');
    report('ok', { kind: 'blob', finalOrigin: 'https://other.example' });
    expect(health.allow('a', 'x', 'blob')).toBe('yes');
  });

  test('does not hide that the source itself is down', () => {
    const { health, report, order } = setUpCdn();
    report('timeout', { kind: 'blob', finalOrigin: 'https://a.example' });
    expect([order('blob'), order('manifest')]).toEqual(['b a', 'b a']);
    expect(health.snapshot('a').state).toBe('open');
  });
});

describe('the rank by what is known', () => {
  const ids = (health: SourceHealth, sources: readonly Source[], question: Parameters<SourceHealth['rank']>[2]): string =>
    health
      .rank(sources, 'x', question)
      .map((entry) => entry.id)
      .join(' ');

  test('puts a source that never answered behind known good ones of its priority, and before those of the next', () => {
    const { health } = setUp();
    health.report('known', outcome('ok', { ms: 900 }));
    expect(ids(health, [source('new'), source('known'), source('last', 20)], {})).toBe('known new last');
  });

  test('weighs first byte against throughput by the size that is wanted', () => {
    const { health } = setUp();
    const answer = (id: string, firstByteMs: number): void =>
      health.answered(id, { kind: 'blob', status: 200, firstByteMs, finalOrigin: 'https://x', credentialId: 'anonymous' });
    for (const [id, firstByteMs, mibPerSecond] of [
      ['near', 10, 1],
      ['far', 400, 50],
    ] as const) {
      health.report(id, outcome('ok'));
      answer(id, firstByteMs);
      health.transferred(id, { bytes: 100_000, ms: 1 });
      health.transferred(id, { bytes: mibPerSecond * 1024 * 1024 * 10, ms: 10_000 });
    }
    const sources = [source('near'), source('far')];
    expect(ids(health, sources, { kind: 'blob', sizeBytes: 20_000 })).toBe('near far');
    expect(ids(health, sources, { kind: 'blob', sizeBytes: 60 * 1024 * 1024 })).toBe('far near');
  });

  test('a spent quota stops manifests only, until the source shows quota again', () => {
    const { clock, health, report } = setUp();
    report('quota-spent', { retryAfterMs: 600_000 });
    expect((['manifest', 'head', 'blob'] as const).map((kind) => health.allow('a', 'x', kind))).toEqual(['no', 'yes', 'yes']);
    expect(health.snapshot('a')).toMatchObject({ state: 'up', spentForMs: 600_000 });
    health.answered('a', {
      kind: 'head',
      status: 200,
      firstByteMs: 1,
      finalOrigin: 'https://a.example',
      credentialId: 'u',
      quota: { limit: 100, remaining: 40, windowSeconds: 21_600 },
    });
    expect(health.allow('a', 'x', 'manifest')).toBe('yes');
    report('quota-spent');
    clock.advance(15 * 60_000);
    expect(health.allow('a', 'x', 'manifest')).toBe('yes');
  });
});
