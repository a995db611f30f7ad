// Who is told to come back later is told so after a moment: a client that guesses and asks again at once would else keep the server busy saying no, and
// pulls would wait behind it. The moments differ, so that those who came together do not come back together. A right login never waits here.

import { randomInt } from 'node:crypto';
import { OciError } from '../oci/errors.ts';
import type { Logins } from './logins.ts';

const shortestMs = 250;
const longestMs = 1000;
/** Answers that are held back at the same time; more are given at once, so that nobody fills the memory with them. */
const heldMax = 2000;

export interface PutOffOptions {
  readonly sleep: (ms: number) => Promise<void>;
  /** Milliseconds. */
  readonly chooseMs?: () => number;
}

/** These logins, whose TOOMANYREQUESTS comes after a moment. */
export function puttingOff(logins: Logins, { sleep, chooseMs = () => randomInt(shortestMs, longestMs) }: PutOffOptions): Logins {
  let held = 0;
  return {
    ...logins,
    login: async (name, password, origin) => {
      try {
        return await logins.login(name, password, origin);
      } catch (error) {
        if (error instanceof OciError && error.code === 'TOOMANYREQUESTS' && held < heldMax) {
          held++;
          await sleep(chooseMs()).finally(() => held--);
        }
        throw error;
      }
    },
  };
}
