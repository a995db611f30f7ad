// Logins that are told to the audit log, whichever way in they took. A password never gets there.

import type { Audit } from './audit.ts';
import type { Logins } from './logins.ts';

export function auditedLogins(logins: Logins, audit: Pick<Audit, 'noteLogin'>): Logins {
  return {
    ...logins,
    login: async (name, password, origin) => {
      const accepted = await logins.login(name, password, origin);
      audit.noteLogin({ name, address: origin?.address, accepted });
      return accepted;
    },
  };
}
