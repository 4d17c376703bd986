// Takes pictures of every story, and of the real screens when there is a server:
//   node scripts/pictures.js [STORY ...] [--as=LOOK ...]
// They lie in web/pictures, which git ignores; the two for the README (STORY `real`) in docs/pictures.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { serveStories } from './stories.js';

const root = resolve(import.meta.dirname, '../..');
const out = join(root, 'web/pictures');
const site = join(out, 'site');
const binary = process.env.ROUNDTABLE_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug/roundtable');
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--as='));
const looksWanted = process.argv.slice(2).flatMap((word) => (word.startsWith('--as=') ? [word.slice(5)] : []));

const sizes = {
  wide: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
};
const narrow = { viewport: { width: 1000, height: 760 } };
const small = { ...sizes.phone, viewport: { width: 360, height: 740 } };
/** Each story is taken in each of these. */
const looks = {
  'wide-light': { ...sizes.wide, colorScheme: 'light' },
  'wide-dark': { ...sizes.wide, colorScheme: 'dark' },
  'phone-light': { ...sizes.phone, colorScheme: 'light' },
  'phone-dark': { ...sizes.phone, colorScheme: 'dark' },
  'wide-contrast': { ...sizes.wide, colorScheme: 'dark', theme: 'contrast' },
  'narrow-de': { ...narrow, colorScheme: 'light', language: 'de', locale: 'de-DE' },
  'wide-fr': { ...sizes.wide, colorScheme: 'light', language: 'fr', locale: 'fr-FR' },
  'small-de': { ...small, colorScheme: 'light', language: 'de', locale: 'de-DE' },
  'small-fr': { ...small, colorScheme: 'dark', language: 'fr', locale: 'fr-FR' },
};
const faults = [];
const watch = (page, name) => {
  page.on('pageerror', (error) => faults.push(`${name}: ${error}`));
  page.on('console', (message) => {
    if (/content security|refused to/i.test(message.text())) faults.push(`${name}: ${message.text()}`);
  });
};

/** Ends what moves, so that two runs give the same picture. */
async function settle(page) {
  await page.evaluate(() => document.fonts.ready);
  await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.effect.getTiming().iterations === Infinity || one.finished.catch(() => {}))));
}

async function stories(browser) {
  const { url: origin, stop } = await serveStories(site);
  const index = await browser.newPage();
  await index.goto(`${origin}/stories`);
  await index.locator('li').first().waitFor();
  const all = await index.locator('li').evaluateAll((items) => items.map((one) => ({ id: one.textContent.trim(), only: one.dataset.only })));
  await index.close();
  for (const [look, { theme = '', language = '', ...options }] of Object.entries(looks)) {
    if (looksWanted.length > 0 && !looksWanted.includes(look)) continue;
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const fitting = all.filter(({ only }) => only === undefined || (only === 'phone') === (options.isMobile ?? false)).map(({ id }) => id);
    for (const id of fitting.filter((one) => wanted.length === 0 || wanted.includes(one))) {
      const name = `${id}-${look}`;
      page.removeAllListeners();
      watch(page, name);
      await page.goto(`${origin}/stories?story=${id}&theme=${theme}&language=${language}`);
      const stands = await page.locator('html[data-story]').waitFor({ state: 'attached', timeout: 8000 }).then(
        () => true,
        () => false,
      );
      if (!stands) {
        faults.push(`${name}: did not stand`);
        continue;
      }
      await page.waitForTimeout(200);
      await settle(page);
      await page.screenshot({ path: join(out, `${name}.png`), fullPage: id === 'components' });
    }
    await context.close();
  }
  stop();
}

/** The real page on a real server, for the README. */
async function real(browser) {
  const data = mkdtempSync(join(tmpdir(), 'roundtable-pictures-'));
  // Only what a stranger's machine would tell it: no settings of this one, no keys.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^ROUNDTABLE_|_API_KEY$/.test(name)));
  const args = ['serve', '--listen', '127.0.0.1:0', '--data', join(data, 'data')];
  const child = spawn(binary, args, { cwd: data, env, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const origin = await new Promise((found, failed) => {
      child.once('exit', () => failed(new Error('the server did not start')));
      child.stdout.on('data', (text) => {
        const address = /http:\/\/127\.0\.0\.1:\d+/.exec(String(text))?.[0];
        if (address) found(address);
      });
    });
    const arrive = async (name, size, colorScheme) => {
      const context = await browser.newContext({ ...sizes[size], colorScheme });
      const page = await context.newPage();
      watch(page, name);
      return page;
    };
    const say = async (page, text, to) => {
      const select = page.getByLabel('To:');
      if (await select.count()) await select.selectOption(to).catch(() => {});
      await page.getByLabel('Message', { exact: true }).fill(text);
      await page.getByLabel('Message', { exact: true }).press('Enter');
    };
    const ana = await arrive('Ana Lima', 'wide', 'light');
    await ana.goto(origin);
    await ana.getByLabel('Your name').fill('Ana Lima');
    await ana.getByRole('button', { name: 'Start a session' }).click();
    await ana.locator('.connection[data-live="true"]').waitFor();
    await ana.locator('header').getByRole('button', { name: 'Share', exact: true }).click();
    await ana.waitForFunction(() => document.querySelector('[data-share-url]')?.value.includes('/join#'));
    const link = await ana.locator('[data-share-url]').inputValue();
    await ana.keyboard.press('Escape');
    const ben = await arrive('Ben Okafor', 'phone', 'dark');
    await ben.goto(link);
    await ben.getByLabel('Your name').fill('Ben Okafor');
    await ben.getByRole('button', { name: 'Join', exact: true }).click();
    await ben.locator('.connection[data-live="true"]').waitFor();
    await say(ana, 'Good morning. We need a table for six, and we have until Friday.', 'everyone');
    await say(ben, 'Let us ask how this works first.', 'everyone');
    await say(ben, 'How does the queue work?', 'assistant');
    await ana.locator('[data-answer="completed"]').first().waitFor();
    await ana.locator('header h1 button').click();
    await ana.getByRole('menuitem', { name: 'Rename the session' }).click();
    await ana.getByLabel('Title of the session').fill('A table for six');
    await ana.keyboard.press('Enter');
    await ben.locator('header [data-title]', { hasText: 'A table for six' }).waitFor();
    await say(ana, 'How do I connect a model?', 'assistant');
    await ana.locator('[data-answer="streaming"]').waitFor();
    await ana.waitForFunction(() => (document.querySelector('[data-answer="streaming"]')?.textContent?.length ?? 0) > 260);
    await ben.waitForFunction(() => (document.querySelector('[data-answer="streaming"]')?.textContent?.length ?? 0) > 260);
    await ben.getByRole('button', { name: 'Stop' }).waitFor();
    // No finger rests anywhere.
    await Promise.all([ana, ben].map((page) => page.mouse.move(300, 4)));
    mkdirSync(join(root, 'docs/pictures'), { recursive: true });
    await ana.screenshot({ path: join(root, 'docs/pictures/session.png') });
    await ben.screenshot({ path: join(root, 'docs/pictures/phone.png') });
  } finally {
    child.kill('SIGKILL');
    rmSync(data, { recursive: true, force: true });
  }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
await stories(browser);
if (wanted.length === 0 || wanted.includes('real')) {
  if (existsSync(binary)) await real(browser);
  else console.log(`no server at ${binary}: no pictures for the README`);
}
await browser.close();
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
