// Reads Prometheus text 0.0.4 strictly, as a scraper would: for tests that look at what `/metrics` says.
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Throws for anything that is not by the format: an unknown line, a sample without its family, a label set that occurs twice. */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, Family>();
  const helps = new Map<string, string>();
  const seen = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) helps.set(help[1] ?? '', help[2] ?? '');
    else if (type !== null) {
      const [, name = '', kind = ''] = type;
      if (families.has(name)) throw new Error(`${name} is declared twice`);
      families.set(name, { type: kind, help: helps.get(name) ?? '', samples: [] });
    } else {
      const sample = parseSample(line);
      const identity = `${sample.name} ${JSON.stringify(sample.labels)}`;
      if (seen.has(identity)) throw new Error(`twice: ${identity}`);
      seen.add(identity);
      const family = families.get(sample.name) ?? families.get(sample.name.replace(/_(bucket|sum|count)$/, ''));
      if (family === undefined) throw new Error(`${sample.name} was not declared`);
      family.samples.push(sample);
    }
  }
  return families;
}

/** The value of the one sample with these labels (others may be there too); undefined when there is none. */
export function readValue(families: Map<string, Family>, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const found = (family?.samples ?? []).filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  if (found.length > 1) throw new Error(`several samples of ${name} fit`);
  return found[0]?.value;
}

function parseSample(line: string): Sample {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([-+\w.]+)$/.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const [, name = '', text = '', number = ''] = match;
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const label = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest);
    if (label === null) throw new Error(`not labels: ${text}`);
    labels[label[1] ?? ''] = (label[2] ?? '').replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(label[0].length);
  }
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : number === '-Inf' ? Number.NEGATIVE_INFINITY : Number(number);
  if (Number.isNaN(value) && number !== 'NaN' && number !== 'Nan') throw new Error(`not a number: ${line}`);
  return { name, labels, value };
}
