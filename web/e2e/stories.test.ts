import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveStories } from '../scripts/stories.js';
import { faultsFor, overhang } from './support/audit';
import { launch } from './support/browser';

const WEB = resolve(import.meta.dirname, '..');
const PHONE = { hasTouch: true, isMobile: true };
interface Screen {
  options: BrowserContextOptions;
  /** Words are longest in German and French: there it is seen that they fit where there is least room. */
  tight: { width: number; height: number; language: 'de' | 'fr' };
}
const screens: Record<string, Screen> = {
  'wide and dark, and at 920 px in German': {
    options: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
    tight: { width: 920, height: 700, language: 'de' },
  },
  'on a phone, and on the smallest one in French': {
    options: { viewport: { width: 390, height: 844 }, ...PHONE, colorScheme: 'light' },
    tight: { width: 360, height: 740, language: 'fr' },
  },
};

let browser: Browser;
let site: { url: string; stop: () => void };
const folder = mkdtempSync(join(tmpdir(), 'roundtable-stories-'));

beforeAll(async () => {
  await build({ root: WEB, mode: 'stories', logLevel: 'error', build: { outDir: folder, emptyOutDir: true } });
  site = await serveStories(folder);
  browser = await launch();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  site?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The stories that this kind of screen can show, by their names. */
async function listed(page: Page, isPhone: boolean): Promise<string[]> {
  await page.goto(`${site.url}/stories`);
  const items = page.locator('li');
  await items.first().waitFor();
  return items.evaluateAll((all, phone) => all.filter((one) => (one as HTMLElement).dataset['only'] !== (phone ? 'wide' : 'phone')).map((one) => one.textContent!.trim()), isPhone);
}

/** Looks at a story. Returns what is wrong with it. */
async function visited(page: Page, story: string, { options, tight }: Screen): Promise<string[]> {
  const broken: string[] = [];
  page.removeAllListeners();
  page.on('pageerror', (error) => broken.push(String(error)));
  page.on('console', (message) => {
    if (/content security|refused to/i.test(message.text())) broken.push(message.text());
  });
  await page.setViewportSize(options.viewport!);
  await page.goto(`${site.url}/stories?story=${story}`);
  const stands = await page.locator('html[data-story]').waitFor({ state: 'attached', timeout: 15_000 }).then(
    () => true,
    () => false,
  );
  if (!stands) return [...broken, 'did not stand'];
  // What fades in is measured when it is there.
  await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.effect?.getTiming().iterations === Infinity || one.finished.catch(() => {}))));
  const wide = await overhang(page);
  const faults = [...(await faultsFor(page)), ...(wide > 0 ? [`${wide} px too wide`] : [])];
  await page.setViewportSize(tight);
  await page.evaluate(async (language) => {
    await (globalThis as unknown as { speak(language: string): Promise<void> }).speak(language);
    for (let frame = 0; frame < 3; frame++) await new Promise((next) => requestAnimationFrame(next));
  }, tight.language);
  const tooWide = await overhang(page);
  return [...broken, ...faults, ...(tooWide > 0 ? [`${tooWide} px too wide in ${tight.language} at ${tight.width} px`] : [])];
}

describe('every screen in every state', () => {
  for (const [name, screen] of Object.entries(screens)) {
    const { options } = screen;
    it(`keeps the rules of the server, fits, and has no serious fault for those who need help (${name})`, { timeout: 300_000 }, async () => {
      const context = await browser.newContext(options);
      const pages = await Promise.all([context.newPage(), context.newPage()]);
      const left = await listed(pages[0], options.isMobile ?? false);
      expect(left.length).toBeGreaterThan(50);
      const found: Record<string, string[]> = {};
      await Promise.all(
        pages.map(async (page) => {
          for (let story = left.shift(); story !== undefined; story = left.shift()) {
            const faults = await visited(page, story, screen);
            if (faults.length > 0) found[story] = faults;
          }
        }),
      );
      await context.close();
      expect(found).toEqual({});
    });
  }
});
