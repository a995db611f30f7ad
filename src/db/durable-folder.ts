// Makes folders that survive a power cut: a commit is worth nothing in a folder that is gone afterwards.

import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** The folder and those above it that are missing (mode 0700), each durable in the one above. */
export function makeDurableFolder(path: string): void {
  const wanted = resolve(path);
  const first = mkdirSync(wanted, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = wanted; ; made = dirname(made)) {
    const parent = openSync(dirname(made), 'r');
    try {
      fsyncSync(parent);
    } finally {
      closeSync(parent);
    }
    if (made === resolve(first) || made === dirname(made)) return;
  }
}
