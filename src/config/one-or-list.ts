// A setting that is one mapping or a list of them, for what nearly always is one. The result is a list.

import { z } from 'zod';

export type OneOrList<T extends z.ZodObject> = z.ZodPipe<z.ZodUnknown, z.ZodTransform<readonly z.output<T>[], unknown>>;

/** The schema of one entry, by the schema made here: for the reference page and the names of keys in problems. */
const entries = new WeakMap<z.core.$ZodType, z.ZodObject>();

/** Accepts what `entry` accepts, or 1 to `max` of it in a list. Problems name their place in the list when it is one. */
export function oneOrList<T extends z.ZodObject>(entry: T, max: number): OneOrList<T> {
  const list = z.array(entry).min(1).max(max);
  const schema = z.unknown().transform((value, context): readonly z.output<T>[] => {
    const parsed = Array.isArray(value) ? list.safeParse(value) : entry.safeParse(value);
    if (parsed.success) return Array.isArray(parsed.data) ? parsed.data : [parsed.data as z.output<T>];
    for (const issue of parsed.error.issues) context.issues.push({ ...issue, input: undefined } as z.core.$ZodRawIssue);
    return z.NEVER;
  });
  entries.set(schema, entry);
  const keys = Object.keys(entry.shape).join(', ');
  z.globalRegistry.add(schema, { description: `One mapping, or a list of up to ${max}, with ${keys}.` });
  return schema;
}

/** The schema of one entry of a schema made by `oneOrList`. */
export function entryOf(schema: z.core.$ZodType): z.ZodObject | undefined {
  return entries.get(schema);
}
