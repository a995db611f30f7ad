import { describe, expect, test } from 'bun:test';
import type { Login } from '../auth/logins.ts';
import type { WorkloadPrincipal } from '../auth/principal.ts';
import type { ExchangedToken } from '../auth/workloads.ts';
import { createFakeClock } from '../lib/clock.ts';
import { Secret } from '../lib/secret.ts';
import { OciError } from '../oci/errors.ts';
import { createTokenExchange } from './token-exchange.ts';

const principal = { kind: 'workload', ruleId: 1, subject: 's', name: 'workload+deploy:s' } as WorkloadPrincipal;

function setUp(outcome: (token: string, rule: string | undefined) => Promise<Omit<ExchangedToken, 'principal'>>) {
  const noted: { name: string; address: string | undefined; accepted: Login | undefined }[] = [];
  const workloads = {
    exchange: async (token: string, { ruleName }: { ruleName: string | undefined }) => ({ ...(await outcome(token, ruleName)), principal }),
  };
  const clock = createFakeClock();
  const exchange = createTokenExchange({ workloads, clock, noteLogin: (login) => noted.push(login) });
  const send = (form: Record<string, string> | string, headers: Record<string, string> = {}) =>
    exchange.answer(
      new Request('http://here/service/exchange', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: typeof form === 'string' ? form : new URLSearchParams(form),
      }),
      '10.0.0.1',
    );
  return { noted, clock, send };
}
const form = { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: 'eyJ.a.b' };

describe('an exchange of tokens', () => {
  test('answers in the words of RFC 8693 and is noted as a login', async () => {
    const { noted, clock, send } = setUp(async (_token, rule) => ({
      secret: new Secret('bww_x'),
      expiresAtMs: clock.nowMs() + 90_000,
      username: `workload+${rule}`,
    }));
    const answer = await send({ ...form, rule: 'deploy' });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.json()).toEqual({
      access_token: 'bww_x',
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'N_A',
      expires_in: 90,
      username: 'workload+deploy',
    });
    expect(noted).toEqual([{ name: 'workload+deploy', address: '10.0.0.1', accepted: { principal, method: 'workload' } }]);
  });

  test('is noted when the token is refused, and not when nobody could tell', async () => {
    const codes = ['UNAUTHORIZED', 'UNAVAILABLE', 'CONFLICT'] as const;
    const { noted, send } = setUp(async (_token, rule) => {
      throw new OciError(codes[Number(rule)] ?? 'INTERNAL', 'no');
    });
    for (const rule of ['0', '1', '2'])
      await send({ ...form, rule }).then(
        () => expect.unreachable(),
        (error) => expect(error).toBeInstanceOf(OciError),
      );
    expect(noted).toEqual([{ name: 'workload+0', address: '10.0.0.1', accepted: undefined }]);
  });

  test.each<[string, Record<string, string> | string, Record<string, string>]>([
    ['a value that is there twice', 'grant_type=a&grant_type=b', {}],
    ['no grant type', { subject_token: 'x' }, {}],
    ['JSON', '{}', { 'content-type': 'application/json' }],
    ['no content type that it knows', 'a=b', { 'content-type': 'text/plain' }],
    ['a type of token that it does not know', { ...form, subject_token_type: 'urn:x' }, {}],
    ['no token', { grant_type: form.grant_type }, {}],
  ])('is refused with %s, before a token is looked at', async (_what, sent, headers) => {
    const { noted, send } = setUp(async () => expect.unreachable());
    await expect(send(sent, headers)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    expect(noted).toEqual([]);
  });
});
