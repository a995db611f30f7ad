// Who asks. Rights bind to ids, never to names.

export type Principal =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly id: number; readonly name: string; readonly isAdmin: boolean };

export const anonymous: Principal = { kind: 'anonymous' };

/** The server at work of its own, such as warming; it has no account, and no client can be it. */
export const serverItself: Principal = { kind: 'user', id: 0, name: 'breakwater', isAdmin: true };

/** A stable text for the principal, for tokens and for the owner of an upload session. */
export function principalKey(principal: Principal): string {
  return principal.kind === 'anonymous' ? 'anonymous' : `user:${principal.id}`;
}
