// `POST /service/exchange`: a CI's token for a short secret of ours, which is a password for the user `workload` until it expires. Nobody has to log in
// for it: the token is the login. RFC 8693 sections 2.1 and 2.2.

import type { Login } from '../auth/logins.ts';
import type { ExchangedToken, Workloads } from '../auth/workloads.ts';
import type { Clock } from '../lib/clock.ts';
import { OciError } from '../oci/errors.ts';
import { readBody } from './body.ts';

export interface TokenExchange {
  /** The answer to a request for an exchange. UNAUTHORIZED when no rule lets the token in; BAD_REQUEST. */
  answer(request: Request, address: string | undefined): Promise<Response>;
}

const bodyMaxBytes = 16 * 1024;
/** A form that trickles is given up. */
const pace = { windowMs: 5_000, minBytesPerS: 1024 };
const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const tokenTypes = ['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token'];

export function createTokenExchange(options: {
  workloads: Pick<Workloads, 'exchange'>;
  clock: Clock;
  /** Told of every token that was shown, for the audit. */
  noteLogin: (login: { name: string; address: string | undefined; accepted: Login | undefined }) => void;
}): TokenExchange {
  const { workloads, clock, noteLogin } = options;
  const exchange = async (token: string, ruleName: string | undefined, address: string | undefined): Promise<ExchangedToken> => {
    const name = ruleName === undefined ? 'workload' : `workload+${ruleName}`;
    try {
      const exchanged = await workloads.exchange(token, { ruleName, address });
      noteLogin({ name, address, accepted: { principal: exchanged.principal, method: 'workload' } });
      return exchanged;
    } catch (error) {
      if (error instanceof OciError && error.code === 'UNAUTHORIZED') noteLogin({ name, address, accepted: undefined });
      throw error;
    }
  };
  return {
    answer: async (request, address) => {
      if (request.method !== 'POST')
        throw new OciError('METHOD_NOT_ALLOWED', 'exchange a token with POST', { detail: { allowed: ['POST'] } });
      const type = request.headers.get('content-type') ?? '';
      if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type))
        throw new OciError('BAD_REQUEST', 'send a form (application/x-www-form-urlencoded)');
      const bytes = await readBody(request, bodyMaxBytes, tooLarge, pace);
      const form = new URLSearchParams(Buffer.from(bytes).toString('utf8'));
      const { token, ruleName } = readWish(form);
      const { secret, expiresAtMs, username } = await exchange(token, ruleName, address);
      const body = {
        access_token: secret.reveal(),
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        // It is a password, no Bearer token: RFC 8693 section 2.2.1 names this type for what is used in another way.
        token_type: 'N_A',
        expires_in: Math.floor((expiresAtMs - clock.nowMs()) / 1000),
        username,
      };
      return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } });
    },
  };
}

function readWish(form: URLSearchParams): { readonly token: string; readonly ruleName: string | undefined } {
  const one = (name: string): string | undefined => {
    const values = form.getAll(name);
    if (values.length > 1) throw new OciError('BAD_REQUEST', `${name}: it is there more than once`);
    return values[0] === '' ? undefined : values[0];
  };
  if (one('grant_type') !== grantType) throw new OciError('BAD_REQUEST', `grant_type: expected ${grantType}`);
  const type = one('subject_token_type');
  if (type !== undefined && !tokenTypes.includes(type))
    throw new OciError('BAD_REQUEST', `subject_token_type: expected ${tokenTypes.join(' or ')}`);
  const token = one('subject_token');
  if (token === undefined) throw new OciError('BAD_REQUEST', 'subject_token: expected the token of the CI system');
  return { token, ruleName: one('rule') };
}

function tooLarge(): OciError {
  return new OciError('BODY_TOO_LARGE', `the form may have at most ${bodyMaxBytes} bytes`);
}
