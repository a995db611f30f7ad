// Counters, gauges and histograms for Prometheus. Counting is a few nanoseconds (a child is looked up once and kept by its caller); the texts
// are made at a scrape by prom-client, in both formats. It must never know what is counted, and never grow without a limit: each family has
// at most so many label sets, and what comes after is counted under `other`.
// https://prometheus.io/docs/instrumenting/exposition_formats/ · OpenMetrics 1.0

import type { Metric, OpenMetricsContentType, PrometheusContentType, Registry } from 'prom-client';

export interface Counter {
  add(amount?: number): void;
}
export interface Histogram {
  /** In the unit of the metric's name. */
  observe(value: number): void;
}
/** One metric with its label sets. `at` takes the label values in the order of `labels`; keep the child where it is used often. */
export interface Family<Child> {
  at(...labelValues: readonly string[]): Child;
  /** Forgets label sets whose subject is gone. */
  retain(isAlive: (labelValues: readonly string[]) => boolean): void;
}
export interface MetricWords {
  /** With unit and, for a counter, `_total` at its end. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}
/** The value of a gauge at a scrape, or one for each label set. */
export type GaugeReading = readonly (readonly [labelValues: readonly string[], value: number])[];

export interface Metrics {
  counter(words: MetricWords): Family<Counter>;
  /** `bounds` ascending; `+Inf` is added. */
  histogram(words: MetricWords & { readonly bounds: readonly number[] }): Family<Histogram>;
  /** Read at each scrape only. A reading that fails leaves the metric empty, not the scrape. */
  gauge(words: MetricWords & { readonly read: () => GaugeReading | Promise<GaugeReading> }): void;
  /** Like a gauge, for totals that are counted elsewhere. */
  counted(words: MetricWords & { readonly read: () => GaugeReading | Promise<GaugeReading> }): void;
  /** Name, type, labels and help of everything that is registered. */
  describe(): readonly (MetricWords & { readonly type: string })[];
  /** The exposition in OpenMetrics text when the Accept header asks for it, else in Prometheus text 0.0.4. */
  expose(accept: string | null): Promise<{ readonly contentType: string; readonly text: string }>;
}

const childrenMax = 5_000;
const overflowLabel = 'other';

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export function createMetrics(options: { childrenMax?: number } = {}): Metrics {
  const limit = options.childrenMax ?? childrenMax;
  const registered: Registered[] = [];
  let registries: Promise<Registries> | undefined;
  const described: (MetricWords & { readonly type: string })[] = [];

  const register = (words: MetricWords, type: 'counter' | 'gauge' | 'histogram', samples: () => Promise<Sample[]>): void => {
    described.push({ name: words.name, help: words.help, labels: words.labels ?? [], type });
    registered.push({ name: words.name, help: words.help, type, samples });
    registries = undefined;
  };

  const family = <Child>(
    words: MetricWords,
    make: () => Child,
  ): Family<Child> & { readonly children: ReadonlyMap<string, Entry<Child>> } => {
    const labels = words.labels ?? [];
    const children = new Map<string, Entry<Child>>();
    const find = (values: readonly string[]): Child => {
      const key = values.join('\n');
      const known = children.get(key);
      if (known !== undefined) return known.child;
      if (values.length !== labels.length) throw new Error(`${words.name} has ${labels.length} labels`);
      const other = labels.map(() => overflowLabel);
      if (children.size >= limit && key !== other.join('\n')) return find(other);
      const child = make();
      children.set(key, { values, child });
      return child;
    };
    return {
      children,
      at: (...values) => find(values),
      retain: (isAlive) => {
        for (const [key, { values }] of children) if (!isAlive(values)) children.delete(key);
      },
    };
  };

  const registerReading = (type: 'counter' | 'gauge', words: MetricWords & { read: () => GaugeReading | Promise<GaugeReading> }): void =>
    register(words, type, async () => {
      try {
        return (await words.read()).map(([values, value]) => ({ labels: labelled(words.labels, values), value }));
      } catch {
        return [];
      }
    });

  return {
    counter: (words) => {
      const made = family(words, () => {
        const state = {
          value: 0,
          add: (amount = 1): void => {
            state.value += amount;
          },
        };
        return state;
      });
      register(words, 'counter', async () =>
        [...made.children.values()].map(({ values, child }) => ({ labels: labelled(words.labels, values), value: child.value })),
      );
      return made;
    },
    histogram: (words) => {
      const made = family(words, () => createBuckets(words.bounds));
      register(words, 'histogram', async () =>
        [...made.children.values()].flatMap(({ values, child }) => bucketSamples(words, labelled(words.labels, values), child)),
      );
      return made;
    },
    gauge: (words) => registerReading('gauge', words),
    counted: (words) => registerReading('counter', words),
    describe: () => described,
    expose: async (accept) => {
      registries ??= createRegistries(registered);
      const { open, plain } = await registries;
      const registry = accept?.includes('application/openmetrics-text') === true ? open : plain;
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

interface Registered {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: () => Promise<Sample[]>;
}
interface Registries {
  readonly plain: Registry<PrometheusContentType>;
  readonly open: Registry<OpenMetricsContentType>;
}

/** The library is loaded at the first scrape: it costs 5 MB of memory, and many servers are never scraped. */
async function createRegistries(registered: readonly Registered[]): Promise<Registries> {
  const library = await import('prom-client');
  const plain = new library.Registry<PrometheusContentType>();
  const open = new library.Registry<OpenMetricsContentType>();
  open.setContentType(library.Registry.OPENMETRICS_CONTENT_TYPE);
  for (const { name, help, type, samples } of registered) {
    const named = (as: string): Metric =>
      ({ name: as, get: async () => ({ name: as, help, type, values: await samples(), aggregator: 'sum' }) }) as unknown as Metric;
    plain.registerMetric(named(name));
    // OpenMetrics names the family without the suffix of its samples, which the library puts back.
    open.registerMetric(named(type === 'counter' ? name.replace(/_total$/, '') : name));
  }
  return { plain, open };
}

interface Entry<Child> {
  readonly values: readonly string[];
  readonly child: Child;
}

interface Buckets extends Histogram {
  readonly bounds: readonly number[];
  /** One more than bounds: the last is what is above all of them. Not cumulative. */
  readonly counts: Float64Array;
  sum: number;
}

function createBuckets(bounds: readonly number[]): Buckets {
  const counts = new Float64Array(bounds.length + 1);
  const state: Buckets = {
    bounds,
    counts,
    sum: 0,
    observe: (value) => {
      let index = 0;
      while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
      counts[index] = (counts[index] ?? 0) + 1;
      state.sum += value;
    },
  };
  return state;
}

function bucketSamples(words: MetricWords, labels: Readonly<Record<string, string>>, buckets: Buckets): Sample[] {
  let count = 0;
  const cumulative = [...buckets.counts].map((value, index): Sample => {
    count += value;
    return { metricName: `${words.name}_bucket`, labels: { ...labels, le: buckets.bounds[index] ?? '+Inf' }, value: count };
  });
  return [
    ...cumulative,
    { metricName: `${words.name}_sum`, labels, value: buckets.sum },
    { metricName: `${words.name}_count`, labels, value: count },
  ];
}

function labelled(names: readonly string[] | undefined, values: readonly string[]): Record<string, string> {
  return Object.fromEntries((names ?? []).map((name, index) => [name, values[index] ?? '']));
}
