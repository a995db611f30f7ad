import { beforeEach, describe, expect, test } from 'bun:test';
import type { Database } from '../db/database.ts';
import type { StoredSession } from '../db/sessions.ts';
import { createFakeClock, type FakeClock } from '../lib/clock.ts';
import { createLog } from '../lib/log.ts';
import { adminGrants, type Principal } from './principal.ts';
import { createSessions, type Sessions } from './sessions.ts';

const minute = 60_000;
const principal: Extract<Principal, { kind: 'user' }> = { kind: 'user', id: 3, name: 'ann', isAdmin: false, grants: adminGrants, epoch: 1 };

let clock: FakeClock;
let rows: Map<string, StoredSession>;
let current: Principal | undefined;
let touches: number;
let idleMs: number;
let sessions: Sessions;

beforeEach(() => {
  clock = createFakeClock();
  rows = new Map();
  current = principal;
  touches = 0;
  idleMs = 60 * minute;
  const database = {
    prepare: () => ({ all: async () => [], first: async ({ secretHash }: { secretHash: string }) => rows.get(secretHash) }),
    run: async (name: string, args: Record<string, never>) => {
      const nowMs = clock.nowMs();
      const { id, secretHash } = args as { id?: number; secretHash?: string };
      const [hash, row] = [...rows].find(([, one]) => one.id === id) ?? [];
      if (name === 'createSession') {
        rows.set(secretHash ?? '', {
          id: rows.size + 1,
          provider: 'local',
          address: null,
          createdAtMs: nowMs,
          seenAtMs: nowMs,
          provedAtMs: nowMs,
          ...(args as unknown as Pick<StoredSession, 'accountId' | 'accountEpoch' | 'userAgent' | 'expiresAtMs'>),
        });
        return rows.size;
      }
      if (row === undefined || hash === undefined) return false;
      if (name === 'touchSession') {
        touches++;
        rows.set(hash, { ...row, seenAtMs: nowMs });
      }
      if (name === 'renewSession') {
        rows.delete(hash);
        rows.set(secretHash ?? '', { ...row, provedAtMs: nowMs, seenAtMs: nowMs });
      }
      return true;
    },
  };
  sessions = createSessions({
    database: database as unknown as Database,
    clock,
    log: createLog({ write: () => undefined }),
    findPrincipal: async () => current,
    idleMs: async () => idleMs,
  });
});

describe('a session', () => {
  test('is found by its secret, which is 256 bits and not what is stored', async () => {
    const { secret } = await sessions.start({ principal });
    expect(Buffer.from(secret.reveal(), 'base64url').length).toBe(32);
    expect([...rows.keys()].some((key) => key.includes(secret.reveal()))).toBe(false);
    expect(await sessions.find(secret.reveal())).toMatchObject({ principal, provedAtMs: clock.nowMs() });
    for (const other of ['', 'x', `${secret.reveal()}x`, 'A'.repeat(43), [...rows.keys()][0] ?? ''])
      expect(await sessions.find(other)).toBeUndefined();
  });

  test('ends an hour after its last use, or after what an administrator set', async () => {
    const { secret } = await sessions.start({ principal });
    for (let use = 0; use < 3; use++) {
      clock.advance(59 * minute);
      expect(await sessions.find(secret.reveal())).toBeDefined();
    }
    clock.advance(60 * minute);
    expect(await sessions.find(secret.reveal())).toBeUndefined();
    const other = await sessions.start({ principal });
    idleMs = 5 * minute;
    clock.advance(5 * minute);
    expect(await sessions.find(other.secret.reveal())).toBeUndefined();
  });

  test('ends twelve hours after its start, however much it is used', async () => {
    const { secret } = await sessions.start({ principal });
    for (let passed = 0; passed < 12 * 60 - 30; passed += 30) {
      clock.advance(30 * minute);
      expect(await sessions.find(secret.reveal())).toBeDefined();
    }
    clock.advance(30 * minute);
    expect(await sessions.find(secret.reveal())).toBeUndefined();
  });

  test('SEC-B15 ends with a password change and with the account', async () => {
    const { secret } = await sessions.start({ principal });
    current = { ...principal, epoch: 2 };
    expect(await sessions.find(secret.reveal())).toBeUndefined();
    current = undefined;
    expect(await sessions.find(secret.reveal())).toBeUndefined();
    current = principal;
    expect(await sessions.find(secret.reveal())).toBeDefined();
  });

  test('is noted as used once a minute, however often it is', async () => {
    const { secret } = await sessions.start({ principal });
    for (let request = 0; request < 180; request++) {
      clock.advance(1000);
      await sessions.find(secret.reveal());
    }
    expect(touches).toBe(3);
  });

  test('proves who it is for ten minutes, and goes on under another secret after a new proof', async () => {
    const { id, secret } = await sessions.start({ principal });
    const proved = async (text: string): Promise<boolean> => sessions.isProved((await sessions.find(text))?.provedAtMs ?? 0);
    clock.advance(10 * minute - 1);
    expect(await proved(secret.reveal())).toBe(true);
    clock.advance(1);
    expect(await proved(secret.reveal())).toBe(false);
    const next = await sessions.renew(id);
    expect(await proved(next?.reveal() ?? '')).toBe(true);
    expect(await sessions.find(secret.reveal())).toBeUndefined();
    expect(await sessions.renew(999)).toBeUndefined();
  });
});
