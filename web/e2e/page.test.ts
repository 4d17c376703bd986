import { describe, expect, it } from 'vitest';
import { audit, overhang } from './support/audit';
import { eventually } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

describe('the page', () => {
  for (const scheme of ['light', 'dark'] as const) {
    it(`has no serious fault for those who need help to use it (${scheme})`, async () => {
      const ana = await here.arrive('Ana', { colorScheme: scheme });
      const ben = await here.arrive('Ben', { colorScheme: scheme });
      await ana.page.goto(here.server.url);
      await ana.page.getByLabel('Your name').waitFor();
      await audit(ana.page);
      await ana.start(here.server.url);
      await audit(ana.page);
      const link = await ana.share();
      await ben.page.goto(link);
      await ben.page.getByLabel('Your name').waitFor();
      await audit(ben.page);
      await ben.join(link);
      await ana.say('/help', 'assistant');
      await ana.answers('completed').waitFor();
      await ana.act(ana.page.locator('.message').first(), 'Mark as decision');
      await ana.page.locator('.message.decision').waitFor();
      await oracle.it.answersIn(ana);
      await ana.say('Tell us about oak', 'assistant');
      (await oracle.it.dictate('Tell us about oak')).write('Oak is **heavy**');
      await ben.answers('streaming').getByText('Oak is heavy').waitFor();
      await ana.say('and this', 'assistant');
      await ana.queue('queued').waitFor();
      await ana.queue('queued').getByRole('button', { name: 'Edit' }).click();
      await audit(ana.page);
      await audit(ben.page);
      await ben.page.goto(here.server.url);
      await ben.page.locator('.sessions a').waitFor();
      await audit(ben.page);
      await ben.page.goto(`${here.server.url}/s/01900000-0000-7000-8000-00000000dead`);
      await ben.page.getByRole('heading', { name: 'This session is not open to you' }).waitFor();
      await audit(ben.page);
    });
  }

  it('asks nothing at a first visit that ends as an error in the browser', async () => {
    const ana = await here.arrive('Ana');
    const told: string[] = [];
    ana.page.on('console', (message) => told.push(`${message.type()}: ${message.text()}`));
    ana.page.on('requestfailed', (request) => told.push(`failed: ${request.url()}`));
    for (const address of ['/', '/join']) {
      await ana.page.goto(here.server.url + address);
      await ana.page.getByRole('heading', { level: 1 }).waitFor();
      await ana.page.waitForLoadState('networkidle');
    }
    await ana.start(here.server.url);
    // Known from now on, and found again.
    await ana.page.goto(here.server.url);
    await ana.page.locator('.sessions a').first().waitFor();
    expect(told).toEqual([]);
  });

  it('fits a phone', async () => {
    const ana = await here.arrive('Ana with a name of forty characters, yes', PHONE);
    await ana.page.goto(here.server.url);
    await ana.page.getByLabel('Your name').waitFor();
    expect(await overhang(ana.page)).toBe(0);
    await ana.start(here.server.url);
    await ana.say(`${'a'.repeat(400)} https://example.org/${'b'.repeat(200)}`);
    await ana.say('/help', 'assistant');
    await ana.answers('completed').waitFor();
    expect(await overhang(ana.page)).toBe(0);
    for (const part of ['People', 'Side chat'] as const) {
      await ana.openTab(part);
      expect(await overhang(ana.page), part).toBe(0);
      await audit(ana.page);
    }
    await ana.page.getByRole('button', { name: 'Close' }).tap();
    await ana.openShare();
    await ana.page.locator('[data-share-url]').waitFor();
    expect(await overhang(ana.page)).toBe(0);
    await audit(ana.page);
    await ana.page.getByRole('button', { name: 'Close' }).tap();
    await ana.whisper('from the phone');
    await eventually(() => ana.texts('side')).toEqual(['from the phone']);
  });

  it('works by keyboard alone', async () => {
    const ana = await here.arrive('Ana');
    const keys = ana.page.keyboard;
    /** Tabs on until the element with that accessible name has the focus. */
    const tabTo = async (selector: string) => {
      for (let i = 0; i < 60; i++) {
        if (await ana.page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) return;
        await keys.press('Tab');
      }
      throw new Error(`no way by keyboard to ${selector}`);
    };
    await ana.page.goto(here.server.url);
    await ana.page.getByLabel('Your name').waitFor();
    await tabTo('input[name="display_name"]');
    await keys.type('Ana');
    await keys.press('Enter');
    await ana.isLive();
    await oracle.it.answersIn(ana);
    await tabTo('textarea[aria-label="Message"]');
    await keys.type('Tell me about glue');
    await keys.press('Shift+Enter');
    await keys.press('Backspace');
    await keys.press('Enter');
    (await oracle.it.dictate('Tell me about glue')).write('Glue is old');
    await ana.answers('streaming').getByText('Glue is old').waitFor();
    await ana.page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await tabTo('.queue button');
    await keys.press('Enter');
    await ana.answers('stopped').waitFor();
    const said = ana.page.locator('[data-announcer]');
    await eventually(() => said.textContent()).toContain('(stopped)');
  });

  it('loads older messages on demand', async () => {
    const ana = await here.arrive('Ana');
    const address = await ana.start(here.server.url);
    const id = address.split('/s/')[1]!;
    // 300 messages, by the same door that programs use; where it asks to slow down, the same message again.
    const post = async (i: number) => {
      const data = { text: `message ${i}`, stream: 'main', ask: false };
      const headers = { origin: here.server.url, 'idempotency-key': `older-${i}` };
      const send = async () => (await ana.page.request.post(`${here.server.url}/api/v1/sessions/${id}/messages`, { data, headers })).status();
      await eventually(send).toBe(201);
    };
    for (let i = 0; i < 300; i += 10) await Promise.all(Array.from({ length: 10 }, (_, j) => post(i + j)));
    await ana.page.reload();
    await ana.isLive();
    await ana.row('message 299').waitFor();
    expect(await ana.page.locator('.message').count()).toBeLessThan(80);
    expect(await ana.texts()).toHaveLength(300);
    expect(new Set(await ana.texts()).size).toBe(300);
  });
});
