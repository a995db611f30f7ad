// A map that keeps the entries used last and forgets the others. It knows no time: an entry that can expire holds its own expiry.

export interface Lru<K, V> {
  /** The value, or undefined; makes the entry the youngest. */
  get(key: K): V | undefined;
  /** Adds or replaces an entry as the youngest; the oldest one leaves when there are more than `maxEntries`. */
  set(key: K, value: V): void;
  /** True when there was such an entry. */
  delete(key: K): boolean;
  clear(): void;
  values(): IterableIterator<V>;
  /** Entries held now, at most `maxEntries`. */
  readonly size: number;
}

/**
 * An empty cache of at most `maxEntries` (a whole number from 1, else RangeError); every operation takes constant time.
 * `onEvict` is called with the values that had to go, not with deleted ones.
 */
export function createLru<K, V>(options: { readonly maxEntries: number; readonly onEvict?: (value: V) => void }): Lru<K, V> {
  const { maxEntries, onEvict } = options;
  if (!Number.isSafeInteger(maxEntries) || maxEntries < 1) throw new RangeError('maxEntries must be a whole number from 1');
  // A Map iterates in the order of insertion, so its first key is the entry unused for longest.
  const entries = new Map<K, V>();
  return {
    get: (key) => {
      const value = entries.get(key);
      if (value === undefined && !entries.has(key)) return undefined;
      entries.delete(key);
      entries.set(key, value as V);
      return value;
    },
    set: (key, value) => {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size > maxEntries) {
        for (const [oldest, oldestValue] of entries) {
          entries.delete(oldest);
          onEvict?.(oldestValue);
          break;
        }
      }
    },
    delete: (key) => entries.delete(key),
    clear: () => entries.clear(),
    values: () => entries.values(),
    get size() {
      return entries.size;
    },
  };
}
