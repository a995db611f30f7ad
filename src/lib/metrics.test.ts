import { expect, test } from 'bun:test';
import { createMetrics } from './metrics.ts';

test('counters, gauges and histograms are exposed in Prometheus text with their help and type', async () => {
  const metrics = createMetrics();
  const asked = metrics.counter({ name: 'asked_total', help: 'Questions.', labels: ['who', 'verdict'] });
  asked.at('a', 'ok').add();
  asked.at('a', 'ok').add(2);
  asked.at('b "x"\n', 'no').add();
  const time = metrics.histogram({ name: 'time_seconds', help: 'Time.', labels: ['who'], bounds: [0.1, 1] });
  for (const value of [0.05, 0.1, 0.5, 7]) time.at('a').observe(value);
  metrics.gauge({ name: 'up', help: 'Up.', labels: ['who'], read: () => [[['a'], 1]] });
  const { text, contentType } = await metrics.expose(null);
  expect(contentType).toContain('text/plain');
  const lines = text.split('\n');
  expect(lines).toContain('# HELP asked_total Questions.');
  expect(lines).toContain('# TYPE asked_total counter');
  expect(lines).toContain('asked_total{who="a",verdict="ok"} 3');
  expect(lines).toContain('asked_total{who="b \\"x\\"\\n",verdict="no"} 1');
  expect(lines).toContain('time_seconds_bucket{who="a",le="0.1"} 2');
  expect(lines).toContain('time_seconds_bucket{who="a",le="1"} 3');
  expect(lines).toContain('time_seconds_bucket{who="a",le="+Inf"} 4');
  expect(lines).toContain('time_seconds_count{who="a"} 4');
  expect(lines).toContain('time_seconds_sum{who="a"} 7.65');
  expect(lines).toContain('up{who="a"} 1');
});

test('OpenMetrics is given to who asks for it, and ends in # EOF', async () => {
  const metrics = createMetrics();
  metrics.counter({ name: 'asked_total', help: 'Questions.' }).at().add(5);
  const { text, contentType } = await metrics.expose('application/openmetrics-text; version=1.0.0,text/plain;q=0.5');
  expect(contentType).toContain('application/openmetrics-text');
  expect(text).toContain('# TYPE asked counter');
  expect(text).toContain('asked_total 5');
  expect(text.trimEnd().endsWith('# EOF')).toBe(true);
});

test('label sets beyond the limit are counted together under `other`', async () => {
  const metrics = createMetrics({ childrenMax: 2 });
  const asked = metrics.counter({ name: 'asked_total', help: 'Questions.', labels: ['who'] });
  for (const who of ['a', 'b', 'c', 'd', 'c']) asked.at(who).add();
  const { text } = await metrics.expose(null);
  expect(text).toContain('asked_total{who="a"} 1');
  expect(text).toContain('asked_total{who="b"} 1');
  expect(text).toContain('asked_total{who="other"} 3');
  expect(text).not.toContain('who="c"');
});

test('a subject that is gone is forgotten, one that stays keeps its count', async () => {
  const metrics = createMetrics();
  const asked = metrics.counter({ name: 'asked_total', help: 'Questions.', labels: ['who'] });
  asked.at('a').add();
  asked.at('b').add();
  asked.retain(([who]) => who === 'a');
  const { text } = await metrics.expose(null);
  expect(text).toContain('asked_total{who="a"} 1');
  expect(text).not.toContain('who="b"');
});

test('a reading that fails leaves the other metrics in the scrape', async () => {
  const metrics = createMetrics();
  metrics.gauge({
    name: 'broken',
    help: 'Broken.',
    read: () => {
      throw new Error('no');
    },
  });
  metrics.gauge({ name: 'well', help: 'Well.', read: async () => [[[], 3]] });
  const { text } = await metrics.expose(null);
  expect(text).toContain('well 3');
  expect(text).not.toContain('broken 0');
});

test('a child with the wrong number of labels is a bug', () => {
  const metrics = createMetrics();
  const asked = metrics.counter({ name: 'asked_total', help: 'Questions.', labels: ['who'] });
  expect(() => asked.at()).toThrow('1 labels');
});
