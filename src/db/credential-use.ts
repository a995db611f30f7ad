// When robots, tokens of users and workload rules were last used, and from where: written in batches, off every request's way.

import type { CommandContext } from './context.ts';

export interface CredentialUse {
  readonly kind: 'robot' | 'account_secret' | 'workload_rule';
  readonly id: number;
  readonly atMs: number;
  readonly from: string | undefined;
}

/** Notes on what is gone meanwhile are dropped; an older note never replaces a newer one. */
export async function recordCredentialUse({ trx }: CommandContext, args: { uses: readonly CredentialUse[] }): Promise<void> {
  for (const { kind, id, atMs, from } of args.uses) {
    await trx
      .updateTable(kind)
      .set({ last_used_at_ms: atMs, last_used_address: from ?? null })
      .where('id', '=', id)
      .where((where) => where.or([where('last_used_at_ms', 'is', null), where('last_used_at_ms', '<', atMs)]))
      .execute();
  }
}
