// A real browser: Debian's chromium driven by playwright-core, with a profile of its own that goes with it.

import { type Browser, type BrowserContext, chromium } from 'playwright-core';

const startTimeoutMs = 60_000;
const stepTimeoutMs = 30_000;

/** A running browser and one window in it. Needs `chromium` on PATH. */
export async function startChromium(): Promise<{ readonly browser: Browser; context(): Promise<BrowserContext>; stop(): Promise<void> }> {
  const executablePath = Bun.which('chromium');
  if (executablePath === null) throw new Error('chromium is not on PATH');
  // As root its sandbox cannot be had; it only visits servers of the test.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: startTimeoutMs });
  return {
    browser,
    context: async () => {
      const context = await browser.newContext();
      context.setDefaultTimeout(stepTimeoutMs);
      return context;
    },
    stop: () => browser.close(),
  };
}
