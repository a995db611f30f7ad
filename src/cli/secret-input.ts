// Passwords that a person or a script hands to a command: a file, standard input, or a question on the terminal. Never an option: others see the
// command line of a process.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Secret } from '../lib/secret.ts';
import { CommandFailure } from './failure.ts';
import type { Terminal } from './terminal.ts';

/** The text of a file, or of standard input for `-`, without the newline at its end. */
export async function readSecretInput(file: string, option: string): Promise<Secret> {
  try {
    const text = file === '-' ? await Bun.stdin.text() : readFileSync(file, 'utf8');
    return new Secret(text.replace(/\r?\n$/, ''));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(`${option}: ${file} cannot be read (${message})`, { cause });
  }
}

/** What the person types, unseen. CommandFailure when nobody is there to ask. */
export async function askSecret(question: string, terminal: Terminal, hint: string): Promise<Secret> {
  if (terminal.askSecret === undefined) throw new CommandFailure('no password was given, and there is no terminal to ask on', { hint });
  const answer = await terminal.askSecret(question);
  if (answer === '') throw new CommandFailure('no password was given', { hint });
  return new Secret(answer);
}

/** 128 random bits. */
export function makePassword(): Secret {
  return new Secret(randomBytes(16).toString('base64url'));
}
