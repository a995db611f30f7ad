// The login page in a real browser: it works without script, keeps to its own policy, and what it opens is a session.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { startChromium } from '../support/chromium.ts';
import { requireTools } from '../support/requirements.ts';

describe.skipIf(!requireTools('chromium'))('a browser', () => {
  let server: RunningBreakwater;
  let chromium: Awaited<ReturnType<typeof startChromium>>;
  beforeAll(async () => {
    [server, chromium] = await Promise.all([startBreakwater({ config: 'presets: false\n' }), startChromium()]);
  }, 120_000);
  afterAll(async () => {
    await chromium?.stop();
    await server?.stop();
  }, 60_000);

  test('logs in and out by the form, and its pages break no rule of their policy', async () => {
    const context = await chromium.context();
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    await page.goto(`${server.url}/login`);
    expect(await page.evaluate<string>(`getComputedStyle(document.querySelector('main')).borderRadius`)).toBe('8px');
    await page.fill('input[name=principal]', 'admin');
    await page.fill('input[name=password]', server.adminPassword);
    await page.click('form button');
    await page.waitForURL(`${server.url}/account`);
    expect(await page.textContent('#who')).toBe('admin');
    expect(complaints).toEqual([]);

    // A page of ours reads its token from an answer and changes something with it; the cookie itself no script sees.
    const inPage = await page.evaluate<unknown>(`(async () => {
      const token = (await fetch('/api/v2.0/users/current/sessions')).headers.get('x-harbor-csrf-token');
      const send = async (headers) => (await fetch('/api/v2.0/projects', {
        method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ project_name: 'by-browser' }),
      })).status;
      return [document.cookie, await send({}), await send({ 'x-harbor-csrf-token': token })];
    })()`);
    expect(inPage).toEqual(['', 403, 201]);

    await page.goto(`${server.url}/account`);
    await page.click('form button');
    await page.waitForURL(`${server.url}/login`);
    await page.goto(`${server.url}/account`);
    expect(new URL(page.url()).pathname).toBe('/login');
    await context.close();
  }, 120_000);

  test('SEC-H02 SEC-H04 is neither framed nor logged out nor made to change anything by a page elsewhere', async () => {
    const context = await chromium.context();
    const page = await context.newPage();
    await page.goto(`${server.url}/login`);
    await page.fill('input[name=principal]', 'admin');
    await page.fill('input[name=password]', server.adminPassword);
    await page.click('form button');
    await page.waitForURL(`${server.url}/account`);
    using elsewhere = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () =>
        new Response(
          `<iframe src="${server.url}/account"></iframe><form method="post" action="${server.url}/c/log_out"><button>x</button></form>`,
          {
            headers: { 'content-type': 'text/html' },
          },
        ),
    });
    const other = await context.newPage();
    // Another site, not only another origin: localhost is none of 127.0.0.1.
    await other.goto(`http://localhost:${elsewhere.port}/`);
    const frame = other.frames().find((one) => one !== other.mainFrame());
    expect(await frame?.locator('#who').count()).toBe(0);
    // Sent with the cookie or not, and answered: what it asked for is not there afterwards.
    const sent = `fetch('${server.url}/api/v2.0/projects', { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"project_name":"stolen"}' })`;
    await other.evaluate(`${sent}.catch(() => undefined).then(() => undefined)`);
    expect((await context.request.head(`${server.url}/api/v2.0/projects?project_name=stolen`)).status()).toBe(404);
    const [answer] = await Promise.all([other.waitForResponse(`${server.url}/c/log_out`), other.click('form button')]);
    expect(answer.status()).toBe(403);
    await page.goto(`${server.url}/account`);
    expect(await page.textContent('#who')).toBe('admin');
    await context.close();
  }, 120_000);
});
