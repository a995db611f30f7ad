import { expect, test } from 'bun:test';
import { drawBadge } from './badge.ts';

test('what could be markup is escaped', () => {
  const svg = drawBadge({ label: `<script>"&'`, message: 'up', state: 'up' });
  expect(svg).not.toContain('<script>');
  expect(svg).toContain('&#60;script&#62;&#34;&#38;&#39;');
});

test('each state has a colour of its own', () => {
  const fills = (['up', 'degraded', 'down', 'unknown'] as const).map(
    (state) => /fill="(#[0-9a-f]{6})"\/><\/g>/.exec(drawBadge({ label: 'a', message: 'b', state }))?.[1],
  );
  expect(new Set(fills).size).toBe(4);
});

test('the picture is as wide as its words', () => {
  const width = (label: string): number => Number(/width="(\d+)"/.exec(drawBadge({ label, message: 'up', state: 'up' }))?.[1]);
  expect(width('registry.example.com')).toBeGreaterThan(width('a') + 100);
});
