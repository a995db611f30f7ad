// Why a directory gave no answer. It must never be mixed up with "wrong password": that is an answer.

/**
 * `dns`: a host has no address; `denied`: the address or the egress policy forbids it; `unreachable`: no connection, or a lost one;
 * `timeout`; `tls`: no TLS, or a certificate that is not accepted; `bind`: the directory refuses the bind DN; `settings`: it does not
 * understand base, filter or attribute; `busy`: too many logins at once here.
 */
export type LdapFailureKind = 'dns' | 'denied' | 'unreachable' | 'timeout' | 'tls' | 'bind' | 'settings' | 'busy';

/** The message is for the server's log, never for a client. */
export class LdapFailure extends Error {
  override readonly name = 'LdapFailure';
  readonly kind: LdapFailureKind;

  constructor(kind: LdapFailureKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
  }

  /** Whether another server of the directory may do better. */
  get isOfServer(): boolean {
    return this.kind !== 'bind' && this.kind !== 'settings' && this.kind !== 'busy';
  }
}
