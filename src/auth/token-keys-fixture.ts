// For tests: keys of tokens that are kept nowhere, or in a list that several servers of a test share.

import type { StoredTokenKey } from '../db/token-keys.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { openTokenKeys, type TokenKeyStore, type TokenKeys } from './token-keys.ts';
import { tokenOverlapMs } from './tokens.ts';

export function memoryKeyStore(clock: Clock = systemClock): TokenKeyStore & { readonly rows: StoredTokenKey[] } {
  const rows: StoredTokenKey[] = [];
  return {
    rows,
    list: async () => rows.toSorted((a, b) => b.createdAtMs - a.createdAtMs),
    add: async ({ id, privateKey, youngest, othersRetireAtMs }) => {
      const [found] = rows.toSorted((a, b) => b.createdAtMs - a.createdAtMs);
      if ((found?.id ?? null) !== youngest) return false;
      const kept = rows.map((row) => ({ ...row, retiresAtMs: Math.min(row.retiresAtMs ?? othersRetireAtMs, othersRetireAtMs) }));
      const createdAtMs = Math.max(clock.nowMs(), (found?.createdAtMs ?? 0) + 1);
      rows.splice(0, rows.length, ...kept, { id, privateKey, createdAtMs, retiresAtMs: null });
      return true;
    },
  };
}

export function temporaryKeys(clock: Clock = systemClock, store: TokenKeyStore = memoryKeyStore(clock)): Promise<TokenKeys> {
  return openTokenKeys({ store, clock, overlapMs: tokenOverlapMs });
}
