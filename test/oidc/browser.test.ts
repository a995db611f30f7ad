// The real way of a person: Debian's chromium, the login page, the provider's own pages, back again, and then the session at work.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { startChromium } from '../support/chromium.ts';
import { requireTools } from '../support/requirements.ts';
import { startTwoIssuers, type TwoIssuers } from './two-issuers.ts';

describe.skipIf(!requireTools('chromium'))('a browser', () => {
  let running: TwoIssuers;
  let chromium: Awaited<ReturnType<typeof startChromium>>;
  beforeAll(async () => {
    [running, chromium] = await Promise.all([startTwoIssuers(), startChromium()]);
  }, 120_000);
  afterAll(async () => {
    await chromium?.stop();
    await running?.stop();
  }, 60_000);

  test('logs in at a provider, uses the session, confirms it, and is logged out at both', async () => {
    const { server, corp } = running;
    const context = await chromium.context();
    const page = await context.newPage();
    const policyBreaks: string[] = [];
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy') && page.url().startsWith(server.url)) policyBreaks.push(message.text());
    });
    const logInThere = async (): Promise<void> => {
      await page.waitForURL(`${corp.issuer}/interaction/**`);
      await page.fill('input[name=login]', 'alice');
      await page.fill('input[name=password]', 'any');
      await page.click('button[type=submit]');
    };
    const agreeThere = async (): Promise<void> => {
      await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
      await page.click('button[type=submit]');
    };
    await page.goto(`${server.url}/login`);
    await page.click('text=Corp & Co');
    await logInThere();
    await agreeThere();
    await page.waitForURL(`${server.url}/account`);
    expect(await page.textContent('#who')).toBe('alice');

    const cookies = await context.cookies(server.url);
    const session = cookies.find((cookie) => cookie.name === 'breakwater');
    expect([session?.httpOnly, session?.sameSite]).toEqual([true, 'Lax']);
    const used = await page.evaluate<unknown>(`(async () => {
      const listed = await fetch('/api/v2.0/users/current/sessions');
      const [mine] = await listed.json();
      const ended = await fetch('/api/v2.0/users/current/sessions', {
        method: 'DELETE', headers: { 'x-harbor-csrf-token': listed.headers.get('x-harbor-csrf-token') },
      });
      return [mine.username, mine.provider, mine.current, ended.status, document.cookie];
    })()`);
    expect(used).toEqual(['alice', 'corp', true, 200, '']);

    // A proof for dangerous actions: the provider asks for the password again.
    await page.goto(`${server.url}/c/oidc/login?provider=corp&step_up=1`);
    await logInThere();
    await page.waitForURL(`${server.url}/account`);
    const after = (await context.cookies(server.url)).find((cookie) => cookie.name === 'breakwater');
    expect(after?.value).not.toBe(session?.value);

    await page.click('form button');
    await page.waitForURL(`${corp.issuer}/session/end**`);
    await page.goto(`${server.url}/account`);
    expect(new URL(page.url()).pathname).toBe('/login');
    expect(policyBreaks).toEqual([]);
    await context.close();
  }, 180_000);
});
