// A source's health on a clock that tests move, for the tests of health.ts and rank.ts only.

import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { createSourceHealth, type Outcome, type SourceHealth } from './health.ts';
import type { Source } from './source.ts';

export const source = (id: string, priority = 10): Source => ({
  id,
  registry: 'docker.io',
  url: `https://${id}.example`,
  trust: 'digest-only',
  priority,
  realms: [],
});
export const outcome = (verdict: Outcome['verdict'], more: Partial<Outcome> = {}): Outcome => ({ verdict, ms: 10, ...more });

/** `report` is about the source `a`. */
export function setUp(): {
  clock: FakeClock;
  health: SourceHealth;
  report: (verdict: Outcome['verdict'], more?: Partial<Outcome>) => void;
} {
  const clock = createFakeClock();
  const health = createSourceHealth({ clock });
  return { clock, health, report: (verdict, more) => health.report('a', outcome(verdict, more)) };
}
