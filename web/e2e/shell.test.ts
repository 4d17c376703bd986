import { describe, expect, it } from 'vitest';
import { audit, overhang, shifts, smallTargets, watchShifts, watchShiftsFromStart } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';

const here = house();
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const two = () => here.two();

describe('own sessions', () => {
  it('are listed, searched, renamed for all, ended and deleted after asking', async () => {
    const [ana, ben] = await two();
    await ana.chooseFromTitle('Rename the session');
    await ana.page.getByLabel('Title of the session').fill('A table for six');
    await ana.page.keyboard.press('Enter');
    for (const person of [ana, ben]) await eventually(() => person.page.locator('header [data-title]').textContent()).toBe('A table for six');
    await eventually(() => ben.page.title()).toBe('A table for six - Roundtable');

    await ana.page.locator('nav').getByRole('button', { name: 'New session', exact: true }).click();
    await eventually(() => ana.page.locator('[data-session]').count()).toBe(2);
    await ana.isLive();
    await ana.page.getByLabel('Search sessions').fill('TABLE');
    await eventually(() => ana.page.locator('[data-session] a').allInnerTexts()).toHaveLength(1);
    await ana.page.getByLabel('Search sessions').fill('chair');
    await ana.page.getByText('No session is called so').waitFor();
    await ana.page.getByLabel('Search sessions').fill('');
    await ana.page.locator('[data-session]', { hasText: 'A table for six' }).locator('a').click();
    await eventually(() => ana.page.locator('header [data-title]').textContent()).toBe('A table for six');

    const item = ana.page.locator('[data-session]', { hasText: 'A table for six' });
    await item.hover();
    await item.getByRole('button').click();
    await ana.page.getByRole('menuitem', { name: 'End session' }).click();
    await ana.page.getByText('Nobody can write in it any more').waitFor();
    await ana.page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).last().click();
    await item.hover();
    await item.getByRole('button').click();
    await ana.page.getByRole('menuitem', { name: 'Delete session' }).click();
    await ana.page.getByText('This cannot be undone').waitFor();
    await ana.page.getByRole('dialog').getByRole('button', { name: 'Delete it' }).click();
    await ben.page.getByText('This session has been deleted.').waitFor();
    await eventually(() => ana.page.locator('.sessions [data-session]').count()).toBe(1);
  });
});

describe('sharing', () => {
  it('copies the link on opening, once however often it is opened, with its QR code and what joiners will see', async () => {
    const ana = await here.arrive('Ana', { permissions: ['clipboard-read', 'clipboard-write'] });
    await ana.start(here.server.url);
    const share = await ana.openShare();
    await share.getByText('Link copied').waitFor();
    const link = await share.locator('[data-share-url]').inputValue();
    expect(await ana.page.evaluate(() => navigator.clipboard.readText())).toBe(link);
    await share.getByRole('img', { name: 'QR code of the link' }).waitFor();
    await share.getByText('Joiners see everything since').waitFor();
    await share.getByText('Only this machine can open the link').waitFor();
    expect(await share.locator('[data-link]').count()).toBe(1);
    await audit(ana.page);
    await ana.page.keyboard.press('Escape');
    await share.waitFor({ state: 'detached' });
    await ana.openShare();
    await eventually(() => share.locator('[data-share-url]').inputValue()).toBe(link);
    await eventually(() => share.locator('[data-link]').count()).toBe(1);
  });

  it('shows the link to be copied by hand where the browser refuses', async () => {
    const ana = await here.arrive('Ana');
    await ana.page.addInitScript(() => {
      navigator.clipboard.writeText = () => Promise.reject(new DOMException('refused', 'NotAllowedError'));
      document.execCommand = () => false;
    });
    await ana.start(here.server.url);
    const share = await ana.openShare();
    await share.getByText('This browser does not let pages copy.').waitFor();
    const field = share.locator('[data-share-url]');
    const [selected, whole] = await field.evaluate((f: HTMLInputElement) => [f.selectionEnd! - f.selectionStart!, f.value.length]);
    expect(selected).toBe(whole);
  });

  it('a code said aloud lets somebody read, from the boxes of the first page; a new one ends it', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    const eve = await here.arrive('Eve');
    await ana.start(here.server.url);
    await ana.say('hello');
    const share = await ana.openShare();
    const spoken = share.locator('[data-share-code]');
    await spoken.waitFor();
    const code = (await spoken.getAttribute('data-share-code'))!;
    expect(await spoken.innerText()).toBe(`${code.slice(0, 3)} ${code.slice(3)}`);

    await ben.page.goto(here.server.url);
    await ben.page.getByLabel('Your name').fill('Ben');
    await ben.page.getByLabel('Code of six characters').pressSequentially(`${code.slice(0, 3).toLowerCase()} ${code.slice(3)}`);
    await ben.isLive();
    await eventually(() => ben.texts()).toEqual(['hello']);
    await ben.page.getByText('You may read here.').first().waitFor();

    await share.getByRole('button', { name: 'New code' }).click();
    await eventually(() => spoken.getAttribute('data-share-code')).not.toBe(code);
    await eve.page.goto(`${here.server.url}/join#${code}`);
    await eve.page.getByLabel('Your name').fill('Eve');
    await eve.page.getByRole('button', { name: 'Join', exact: true }).click();
    await eve.page.locator('.problem[data-code="code_not_found"]').waitFor();
    await share.getByRole('button', { name: 'Turn the code off' }).click();
    await share.getByText('No code is on.').waitFor();
  });

  it('says who can come in and by which way, who is here, and takes nobody in once that is switched off', async () => {
    const [ana, ben] = [await here.arrive('Ana'), await here.arrive('Ben')];
    await ana.start(here.server.url);
    await ben.join(await ana.share());
    const eve = await here.arrive('Eve');
    const link = await ana.share();
    const share = await ana.openShare();
    const who = share.locator('[data-who]');
    await eventually(() => who.locator('[data-way]').allInnerTexts()).toHaveLength(2);
    const ways = await who.locator('[data-way]').allInnerTexts();
    expect(ways[0]).toMatch(/Anyone with the link\s+can write and prompt/);
    expect(ways[1]).toMatch(/Anyone who knows the code\s+can read/);
    await who.getByText('the address of this page alone lets nobody in').waitFor();
    await who.getByText('2 people are here').waitFor();
    await share.getByLabel('Whoever opens the link').selectOption('viewer');
    await eventually(() => who.locator('[data-way="link-viewer"]').count()).toBe(1);

    await who.getByRole('switch', { name: 'Take in new people' }).click();
    await who.getByText('Nobody new').waitFor();
    await audit(ana.page);
    await eve.page.goto(link);
    await eve.page.getByLabel('Your name').fill('Eve');
    await eve.page.getByRole('button', { name: 'Join', exact: true }).click();
    await eve.page.locator('.problem[data-code="join_closed"]').getByText('Ask its owner').waitFor();
    await who.getByRole('switch', { name: 'Take in new people' }).click();
    await who.locator('[data-way]').first().waitFor();
    await eve.page.getByRole('button', { name: 'Join', exact: true }).click();
    await eve.isLive();
    await who.getByText('3 people are here').waitFor();
    expect(await ben.page.locator('.people .name').allInnerTexts()).toContain('Eve');
  });

  it('a whole link pasted into the boxes is a link', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben', { permissions: ['clipboard-read', 'clipboard-write'] });
    await ana.start(here.server.url);
    const link = await ana.share();
    await ben.page.goto(here.server.url);
    await ben.page.evaluate((text) => navigator.clipboard.writeText(text), link);
    await ben.page.getByLabel('Code of six characters').focus();
    await ben.page.keyboard.press('Control+v');
    await ben.page.getByRole('heading', { name: 'Join a session' }).waitFor();
    await ben.page.getByLabel('Your name').fill('Ben');
    await ben.page.keyboard.press('Enter');
    await ben.isLive();
    expect(new URL(ben.page.url()).hash).toBe('');
  });
});

describe('what a person chooses', () => {
  it('holds: the theme from the first paint on, the language, after a reload too', async () => {
    const ana = await here.arrive('Ana', { colorScheme: 'light' });
    await ana.start(here.server.url);
    await ana.chooseFromTitle('Your settings');
    await ana.page.getByLabel('Theme').selectOption('dark');
    await ana.page.getByLabel('Language').selectOption('de');
    await ana.page.getByRole('heading', { name: 'Einstellungen' }).waitFor();
    await ana.page.keyboard.press('Escape');
    await ana.page.getByRole('button', { name: 'Teilen', exact: true }).first().waitFor();
    const first = ana.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
    expect(await first).toBe('dark');
    await ana.page.addInitScript(() => {
      const seen: (string | undefined)[] = [];
      Object.assign(globalThis, { seen });
      new MutationObserver(() => document.body && seen.push(document.documentElement.dataset['theme'])).observe(document, { childList: true, subtree: true });
    });
    await ana.page.reload();
    await ana.page.getByRole('button', { name: 'Teilen', exact: true }).first().waitFor();
    expect(await ana.page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen.every((theme) => theme === 'dark'))).toBe(true);
    expect(await ana.page.locator('html').getAttribute('lang')).toBe('de');
  });

  it('is reached by keys: palette and help, from anywhere but a text', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await ana.page.getByLabel('Message', { exact: true }).fill('?');
    await ana.page.keyboard.press('Control+k');
    const palette = ana.page.getByRole('combobox', { name: 'Search for a command or a session' });
    await palette.fill('dark');
    await audit(ana.page);
    await ana.page.keyboard.press('Enter');
    await eventually(() => ana.page.locator('html').getAttribute('data-theme')).toBe('dark');
    await palette.waitFor({ state: 'detached' });
    await ana.page.locator('header h1 button').focus();
    await ana.page.keyboard.press('?');
    await ana.page.getByRole('heading', { name: 'Keyboard' }).waitFor();
    await audit(ana.page);
    await ana.page.keyboard.press('Escape');
    await ana.page.getByRole('heading', { name: 'Keyboard' }).waitFor({ state: 'detached' });
    // The menu of the session: its groups have names, and the arrows go through all of them.
    await ana.page.locator('header h1 button').focus();
    await ana.page.keyboard.press('Enter');
    for (const name of ['Look back', 'Pause and end', 'You']) await ana.page.getByRole('group', { name, exact: true }).waitFor();
    const focused = () => ana.page.evaluate(() => document.activeElement?.textContent?.trim());
    await eventually(focused).toBe('Rename the session');
    const entries = await ana.page.getByRole('menuitem').count();
    for (let i = 1; i < entries; i++) await ana.page.keyboard.press('ArrowDown');
    await eventually(focused).toBe('Your settings');
    await ana.page.keyboard.press('Enter');
    await ana.page.getByRole('heading', { name: 'Settings', exact: true }).waitFor();
    await ana.page.keyboard.press('Escape');
    await ana.page.getByRole('heading', { name: 'Settings', exact: true }).waitFor({ state: 'detached' });
    await ana.page.keyboard.press('/');
    expect(await ana.page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Message');
  });
});

describe('what is new', () => {
  it('a name and a colour change for everybody at once, and hold for sessions to come', async () => {
    const [ana, ben] = await two();
    await ana.chooseFromTitle('Your settings');
    await ana.page.getByRole('dialog').getByLabel('Your name').fill('Anastasia');
    await ana.page.keyboard.press('Enter');
    await ana.page.getByLabel('Colour 4', { exact: true }).click();
    await ben.page.locator('.people .name', { hasText: 'Anastasia' }).waitFor();
    await eventually(() => ben.page.locator('.people [data-participant]', { hasText: 'Anastasia' }).locator('[data-colour="3"]').count()).toBe(1);
    await ana.page.keyboard.press('Escape');
    await ana.page.locator('nav').getByRole('button', { name: 'New session', exact: true }).click();
    await ana.page.locator('.people .name', { hasText: 'Anastasia (you)' }).waitFor();
  });

  it('in the side chat is counted until it is looked at, and what names somebody also in the title of the tab', async () => {
    const [ana, ben] = await two();
    await ben.whisper('one');
    await ben.whisper('two');
    const tab = ana.page.getByRole('tab', { name: 'Side chat' });
    await eventually(() => tab.locator('[data-count]').innerText()).toContain('2');
    await audit(ana.page);
    await tab.click();
    await eventually(() => tab.locator('[data-count]').count()).toBe(0);
    const look = (state: 'hidden' | 'visible') =>
      ana.page.evaluate((is) => {
        Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => is });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await look('hidden');
    await ben.say('@Ana, look at this');
    await eventually(() => ana.page.title()).toMatch(/^\(1\) /);
    await look('visible');
    await eventually(() => ana.page.title()).not.toMatch(/^\(/);
  });
});

describe('the first minute', () => {
  it('is done by keyboard alone, by two people', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    const keys = ana.page.keyboard;
    /** Tabs on until that has the focus. */
    const tabTo = async (person: Person, selector: string) => {
      for (let i = 0; i < 80; i++) {
        if (await person.page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) return;
        await person.page.keyboard.press('Tab');
      }
      throw new Error(`no way by keyboard to ${selector}`);
    };
    await ana.page.goto(here.server.url);
    await ana.page.getByLabel('Your name').waitFor();
    await tabTo(ana, 'input[name="display_name"]');
    await keys.type('Ana');
    await keys.press('Enter');
    await ana.isLive();
    await tabTo(ana, 'header button.primary');
    await keys.press('Enter');
    const field = ana.page.locator('[data-share-url]');
    await eventually(() => field.inputValue()).toContain('/join#');
    const link = await field.inputValue();
    await keys.press('Escape');
    await field.waitFor({ state: 'detached' });
    expect(await ana.page.evaluate(() => document.activeElement?.textContent?.trim())).toBe('Share');

    await ben.page.goto(link);
    await ben.page.getByLabel('Your name').waitFor();
    await tabTo(ben, 'input[name="display_name"]');
    await ben.page.keyboard.type('Ben');
    await ben.page.keyboard.press('Enter');
    await ben.isLive();
    await tabTo(ben, 'textarea[aria-label="Message"]');
    await ben.page.keyboard.type('/help');
    await ben.page.keyboard.press('Enter');
    await eventually(() => ana.texts()).toContain('/help');
    await tabTo(ana, '[role="tab"][data-value="people"], [role="tab"]');
    await keys.press('ArrowRight');
    await eventually(() => ana.page.getByRole('tab', { name: 'Side chat' }).getAttribute('aria-selected')).toBe('true');
    await tabTo(ana, 'textarea[aria-label="Message to side chat"]');
    await keys.type('psst');
    await keys.press('Enter');
    await ben.openTab('Side chat');
    await eventually(() => ben.texts('side')).toEqual(['psst']);
  });

  it('fits the smallest phone, with targets for fingers', async () => {
    const ana = await here.arrive('Ana with a name of forty characters, yes', PHONE);
    await ana.page.goto(here.server.url);
    await ana.page.getByLabel('Your name').waitFor();
    expect(await smallTargets(ana.page, 'body'), 'first page').toEqual([]);
    await ana.start(here.server.url);
    expect(await overhang(ana.page)).toBe(0);
    expect(await smallTargets(ana.page, 'header, [data-introduction]'), 'header and introduction').toEqual([]);
    const hello = ana.page.getByRole('heading', { name: 'Hello, I am the Guide' });
    expect((await hello.boundingBox())!.y, 'the introduction is read from its beginning').toBeGreaterThan(56);
    await ana.openTab('People');
    expect(await smallTargets(ana.page, '[role="dialog"]'), 'people').toEqual([]);
    await ana.page.getByRole('button', { name: 'Close' }).tap();
    await ana.openShare();
    await ana.page.locator('[data-link]').waitFor();
    expect(await overhang(ana.page)).toBe(0);
    expect(await smallTargets(ana.page, '[role="dialog"]'), 'share').toEqual([]);
    await ana.page.getByRole('button', { name: 'Close' }).tap();
    const close = () => ana.page.getByRole('button', { name: 'Close' }).tap();
    await ana.page.locator('header h1 button').tap();
    await ana.page.getByRole('menuitem', { name: 'Who answers here' }).waitFor();
    expect(await smallTargets(ana.page, '[role="menu"]'), 'menu of the title').toEqual([]);
    const menu = await ana.page.getByRole('menu').evaluate((m) => ({ hidden: m.scrollHeight - m.clientHeight, below: m.getBoundingClientRect().bottom - innerHeight }));
    expect(menu.hidden, 'all of the menu is seen at once').toBeLessThanOrEqual(0);
    expect(menu.below).toBeLessThanOrEqual(0);
    await ana.page.getByRole('menuitem', { name: 'Who answers here' }).tap();
    await ana.page.getByRole('menuitem', { name: 'Connect a model' }).waitFor();
    expect(await smallTargets(ana.page, '[role="menu"]'), 'menu of the assistant').toEqual([]);
    await ana.page.getByRole('menuitem', { name: 'Connect a model' }).tap();
    await ana.page.getByRole('dialog').getByText('Your own endpoint').waitFor();
    expect(await smallTargets(ana.page, '[role="dialog"]'), 'connect').toEqual([]);
    await close();
    await ana.page.locator('header h1 button').tap();
    await ana.page.getByRole('menuitem', { name: /^Your settings/ }).tap();
    await ana.page.getByRole('heading', { name: 'Settings' }).waitFor();
    expect(await overhang(ana.page)).toBe(0);
    expect(await smallTargets(ana.page, '[role="dialog"]'), 'settings').toEqual([]);
    await close();
    await ana.openTab('Side chat');
    await ana.page.getByLabel('Message to side chat').waitFor();
    expect(await smallTargets(ana.page, '[role="dialog"]'), 'side chat').toEqual([]);
    await close();
    await ana.page.getByRole('link', { name: 'Back to your sessions' }).tap();
    await ana.page.locator('.sessions a').first().waitFor();
    expect(await overhang(ana.page)).toBe(0);
    expect(await smallTargets(ana.page, 'body'), 'first page of somebody known').toEqual([]);
  });

  for (const [kind, options] of [['a wide screen', {}], ['a phone', PHONE]] as const) {
    it(`nothing jumps while a page opens, on ${kind}`, async () => {
      const [ana, ben] = await here.two({ ben: options });
      await ana.say('**hello**, here is `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |');
      await ana.say('/help', 'assistant');
      await ana.answers('completed').waitFor();
      const session = ben.page.url();
      await watchShiftsFromStart(ben.page);
      await ben.page.goto(session);
      await ben.isLive();
      await ben.answers('completed').locator('strong, code').first().waitFor();
      const inSession = await shifts(ben.page);
      expect(inSession.sum, inSession.what.join('\n')).toBeLessThan(0.02);
      await ben.page.goto(here.server.url);
      await ben.page.locator('.sessions a').first().waitFor();
      const onStart = await shifts(ben.page);
      expect(onStart.sum, onStart.what.join('\n')).toBeLessThan(0.05);
    });
  }

  it('nothing jumps while an answer streams', async () => {
    const [ana, ben] = await two();
    await Promise.all([watchShifts(ana.page), watchShifts(ben.page)]);
    await ana.say('/help', 'assistant');
    for (const person of [ana, ben]) {
      await person.answers('completed').waitFor();
      const { sum, what } = await shifts(person.page);
      expect(sum, `${person.name}: ${what.join('\n')}`).toBeLessThan(0.02);
    }
  });
});

describe('without the server', () => {
  it('the page opens all the same and says so, and goes on by itself', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await ana.page.evaluate(async () => {
      const ready = await navigator.serviceWorker.ready;
      const names = [...document.querySelectorAll<HTMLScriptElement>('script[src]')].map((one) => new URL(one.src).pathname);
      while (ready.active?.state !== 'activated' || !(await Promise.all(names.map((name) => caches.match(name)))).every(Boolean)) {
        await new Promise((next) => requestAnimationFrame(next));
      }
      const kept = (await (await caches.open((await caches.keys())[0]!)).keys()).map((request) => new URL(request.url).pathname);
      if (kept.some((path) => path.startsWith('/api'))) throw new Error(`kept what it must not: ${kept.join(' ')}`);
    });
    await ana.context.setOffline(true);
    await ana.page.reload();
    await ana.page.getByRole('heading', { name: 'You are offline' }).waitFor();
    await audit(ana.page);
    await ana.context.setOffline(false);
    await ana.isLive();
  });
});
