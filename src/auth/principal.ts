// Who asks. Rights bind to ids, never to names.

export type Principal =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly id: number; readonly name: string; readonly isAdmin: boolean };

export const anonymous: Principal = { kind: 'anonymous' };

/** A stable text for the principal, for tokens and for the owner of an upload session. */
export function principalKey(principal: Principal): string {
  return principal.kind === 'anonymous' ? 'anonymous' : `user:${principal.id}`;
}
