// The page that shows the API: what it is made of comes from this server alone, and a real browser shows the operations without breaking its policy.

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type RunningBreakwater, startBreakwater } from '../support/breakwater.ts';
import { startChromium } from '../support/chromium.ts';
import { requireTools } from '../support/requirements.ts';

let server: RunningBreakwater;
beforeAll(async () => {
  server = await startBreakwater({ config: 'presets: false\n' });
});
afterAll(async () => {
  await server?.stop();
});

test('is public, with files of its own and nothing from elsewhere', async () => {
  const moved = await fetch(`${server.url}/devcenter-api-2.0`, { redirect: 'manual' });
  expect([moved.status, moved.headers.get('location')]).toEqual([302, '/api/docs']);
  const page = await fetch(`${server.url}/api/docs`);
  const html = await page.text();
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
  expect(html).not.toMatch(/https?:\/\//);
  const files = [...html.matchAll(/(?:src|href)="(docs\/[^"]+)"/g)].map(([, file]) => file);
  expect(files).toEqual(['docs/swagger-ui.css', 'docs/swagger-ui-bundle.js', 'docs/start.js']);
  for (const file of files) {
    const found = await fetch(`${server.url}/api/${file}`);
    expect([file, found.status, found.headers.get('x-content-type-options')]).toEqual([file, 200, 'nosniff']);
    expect((await found.text()).length).toBeGreaterThan(100);
  }
  for (const file of ['package.json', '..%2Fpackage.json', 'swagger-ui-bundle.js.map', '__proto__'])
    expect((await fetch(`${server.url}/api/docs/${file}`)).status).toBe(404);
});

test.skipIf(!requireTools('chromium'))(
  'a browser shows every group of operations, and nothing breaks the policy of the page',
  async () => {
    const chromium = await startChromium();
    try {
      const page = await (await chromium.context()).newPage();
      const complaints: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      const asked: string[] = [];
      page.on('request', (request) => asked.push(new URL(request.url()).origin));
      await page.goto(`${server.url}/api/docs`);
      await page.waitForSelector('.opblock-tag[data-tag="project"]');
      const document = (await (await fetch(`${server.url}/api/v2.0/openapi.json`)).json()) as {
        paths: Record<string, Record<string, { tags: string[] }>>;
      };
      const tags = new Set(Object.values(document.paths).flatMap((path) => Object.values(path).flatMap((operation) => operation.tags)));
      expect(await page.locator('.opblock-tag').count()).toBe(tags.size);
      await page.click('.opblock-tag[data-tag="project"]');
      await page.waitForSelector('.opblock-summary');
      expect(complaints).toEqual([]);
      expect([...new Set(asked)].filter((origin) => origin !== new URL(server.url).origin && origin !== 'null')).toEqual([]);
    } finally {
      await chromium.stop();
    }
  },
  180_000,
);
