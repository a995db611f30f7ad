// A Map with a bound: the entry used longest ago goes first. Pure data.

export interface LruMap<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
  delete(key: K): void;
  values(): IterableIterator<V>;
}

/** `onEvict` is called with values that had to go, not with deleted ones. */
export function createLruMap<K, V>(entriesMax: number, onEvict?: (value: V) => void): LruMap<K, V> {
  const entries = new Map<K, V>();
  return {
    get: (key) => {
      const value = entries.get(key);
      if (value !== undefined) {
        entries.delete(key);
        entries.set(key, value);
      }
      return value;
    },
    set: (key, value) => {
      entries.delete(key);
      entries.set(key, value);
      for (const [oldest, oldValue] of entries) {
        if (entries.size <= entriesMax) break;
        entries.delete(oldest);
        onEvict?.(oldValue);
      }
    },
    delete: (key) => {
      entries.delete(key);
    },
    values: () => entries.values(),
  };
}
