// Structured logging: one JSON object per line. Fields are cut to 1 KiB (structured ones to 4 KiB); values that know how to hide themselves
// (Secret) do. It must never throw: a failure is often what is being logged.

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log that adds these fields to every line. */
  with(fields: LogFields): Log;
}

/** Of a text, in characters. */
export const fieldMaxLength = 1024;
/** Of a list or an object as JSON, in characters; a longer one is logged as the beginning of that text. */
export const structureMaxLength = 4096;

/** A log writing to `write` (default: stderr). No field replaces time, level or event. */
export function createLog(options: { write?: (line: string) => void; now?: () => number } = {}): Log {
  const write = options.write ?? ((line: string) => process.stderr.write(line));
  const now = options.now ?? Date.now;
  const make = (base: LogFields): Log => {
    const emit = (level: string, event: string, fields: LogFields = {}): void => {
      const parts = [`"time":${toJson(new Date(now()).toISOString())}`, `"level":${toJson(level)}`, `"event":${toJson(event)}`];
      for (const [name, value] of Object.entries({ ...base, ...fields })) {
        if (name === 'time' || name === 'level' || name === 'event') continue;
        const json = toJson(value);
        if (json !== undefined) parts.push(`${toJson(name)}:${json}`);
      }
      write(`${escapeControls(`{${parts.join(',')}}`)}\n`);
    };
    return {
      info: (event, fields) => emit('info', event, fields),
      warn: (event, fields) => emit('warn', event, fields),
      error: (event, fields) => emit('error', event, fields),
      with: (fields) => make({ ...base, ...fields }),
    };
  };
  return make({});
}

/** The value as JSON of bounded length; undefined for what JSON leaves out. */
function toJson(value: unknown): string | undefined {
  if (typeof value === 'string') return JSON.stringify(cut(value));
  if (typeof value === 'number') return JSON.stringify(value);
  let json: string | undefined;
  try {
    json = JSON.stringify(value, shorten);
  } catch {
    return '"(cannot be written as JSON)"';
  }
  return json !== undefined && json.length > structureMaxLength ? JSON.stringify(cut(json)) : json;
}

function shorten(_key: string, value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'string' ? cut(value) : value;
}

function describeError(error: Error): Record<string, unknown> {
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    name: error.name,
    ...(typeof code === 'string' ? { code } : {}),
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: String(error.cause).slice(0, 200) }),
  };
}

function cut(text: string): string {
  return text.length > fieldMaxLength ? `${text.slice(0, fieldMaxLength)}…` : text;
}

/** JSON leaves DEL, the C1 controls and the Unicode line ends as they are; a terminal or a line-based reader acts on them. */
function escapeControls(line: string): string {
  return line.replace(/[\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
