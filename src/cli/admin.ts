// `breakwater admin reset-password`: for whoever holds the machine when nobody can log in any more. It is in the audit log. Works on the data folder itself, beside a running
// server or without one: one transaction on the database, which SQLite serialises with those of the server, whose rights follow within a second.

import { existsSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { requireAccountName } from '../auth/account-names.ts';
import { rowOf } from '../auth/audit-event.ts';
import { passwordProblem } from '../auth/password-rules.ts';
import { hashPassword } from '../auth/passwords.ts';
import { loadConfig } from '../config/load.ts';
import { runOnHost } from '../db/host-access.ts';
import { adminPasswordFile } from './connection.ts';
import { CommandFailure } from './failure.ts';
import { makePassword, readSecretInput } from './secret-input.ts';
import { type Terminal, toJson } from './terminal.ts';
import { plain } from './text.ts';

export interface ResetOptions {
  readonly account: string;
  readonly newPasswordFile?: string;
  readonly config?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** JSON: `{account, made, wasAdmin, wasDisabled, mustChangePassword, password}`; `password` only when it was made here. */
export async function resetPassword(options: ResetOptions, terminal: Terminal): Promise<void> {
  const config = loadConfig({ file: options.config, env: terminal.env, overrides: { data: options.data } });
  const name = requireAccountName(options.account);
  const given = options.newPasswordFile === undefined ? undefined : await readSecretInput(options.newPasswordFile, '--new-password-file');
  const password = given ?? makePassword();
  const problem = passwordProblem(password.reveal(), name);
  if (problem !== undefined) throw new CommandFailure(`the password ${problem}`);
  const mustChangePassword = given === undefined;
  const passwordHash = await hashPassword(password.reveal());
  const path = join(config.dataDir, 'db', 'breakwater.sqlite');
  const result = await runOnHost(path, async (run, nowMs) => {
    const rescued = await run('rescueAccount', { name, passwordHash, mustChangePassword });
    const event = rowOf({
      atMs: nowMs,
      actor: { kind: 'system', name: userInfo().username, method: 'host' },
      operation: rescued.wasMade ? 'create' : 'update',
      resourceType: 'user',
      resource: name,
      outcome: 'success',
      before: { sysadmin_flag: rescued.wasAdmin, disabled: rescued.wasDisabled },
      after: { sysadmin_flag: true, disabled: false, changed: 'login' },
    });
    await run('recordAudit', { rows: [event] });
    return rescued;
  });
  // The file of the first boot opens nothing any more.
  const firstFile = join(config.dataDir, adminPasswordFile);
  if (name.toLowerCase() === 'admin' && existsSync(firstFile)) rmSync(firstFile);
  if (options.json === true) {
    const { wasMade: made, wasAdmin, wasDisabled } = result;
    const shown = given === undefined ? { password: password.reveal() } : {};
    return terminal.write(toJson({ account: name, made, wasAdmin, wasDisabled, mustChangePassword, ...shown }));
  }
  const lines = [
    result.wasMade ? `made the administrator ${plain(name)}` : `${plain(name)} has a new password${wordsOf(result)}`,
    ...(given === undefined
      ? [`password: ${password.reveal()}`, 'it must be changed after the next login: `breakwater user password`']
      : []),
    'its sessions have ended, and the tokens that it made are deleted',
  ];
  await terminal.write(`${lines.join('\n')}\n`);
}

function wordsOf({ wasAdmin, wasDisabled }: { wasAdmin: boolean; wasDisabled: boolean }): string {
  return `${wasAdmin ? '' : ', and is an administrator again'}${wasDisabled ? ', and is switched on again' : ''}`;
}
