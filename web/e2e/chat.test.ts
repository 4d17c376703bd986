import { describe, expect, it } from 'vitest';
import { audit, overhang, shifts, smallTargets, watchShifts } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const two = (ben = {}) => here.two({ ana: { permissions: ['clipboard-read', 'clipboard-write'] }, ben });

const composer = (person: Person) => person.page.getByLabel('Message', { exact: true });
const box = (person: Person) => person.page.locator('[data-name="main"] .scroll');
const isAtEnd = (person: Person) => box(person).evaluate((b) => b.scrollHeight - b.scrollTop - b.clientHeight < 2);

/** Waits until nothing that comes is still coming into sight: half seen, its contrast is half. */
const isStill = (person: Person) =>
  eventually(() => person.page.evaluate(() => document.getAnimations().filter((a) => a.effect?.getComputedTiming().iterations === 1 && a.playState === 'running').length)).toBe(0);

/** Says so much that it does not fit on the screen. */
async function fill(person: Person, count = 30): Promise<void> {
  const session = /\/s\/([0-9a-f-]{36})/.exec(person.page.url())![1]!;
  for (let i = 0; i < count; i++) {
    // By the door of programs, which may be told to go slower.
    const post = () => person.call(here.server.url, `/sessions/${session}/messages`, { text: `line ${i}`, stream: 'main', ask: false });
    await eventually(() => post().then(() => true, () => false)).toBe(true);
  }
  await person.row(`line ${count - 1}`).waitFor();
}

describe('messages', () => {
  it('show Markdown to both, and code is copied', async () => {
    const [ana, ben] = await two();
    await ana.say('**bold** and $x^2$');
    await ana.page.getByLabel('Message', { exact: true }).fill('```js\nconst a = 1;\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |');
    await composer(ana).press('Enter');
    await ben.page.locator('.text strong', { hasText: 'bold' }).waitFor();
    await ben.page.locator('.text math msup').waitFor();
    await ben.page.locator('.text td[align="right"]', { hasText: '2' }).waitFor();
    await ben.page.locator('.text .hljs-keyword', { hasText: 'const' }).waitFor();
    const said = await ana.watch('.md-code button');
    await ana.page.locator('.md-code').getByRole('button', { name: 'Copy' }).click();
    await eventually(said).toContain('Copied');
    expect(await ana.page.evaluate(() => navigator.clipboard.readText())).toBe('const a = 1;');
    await audit(ben.page);
  });

  it('are answered with a quote that leads to what was said', async () => {
    const [ana, ben] = await two();
    await ana.say('the first thing');
    await fill(ana);
    await eventually(() => ben.page.locator('.message').count()).toBeGreaterThan(5);
    await box(ben).evaluate((b) => (b.scrollTop = 0));
    await ben.row('the first thing').waitFor();
    await ben.act(ben.row('the first thing'), 'Reply');
    await ben.page.locator('[data-replying]', { hasText: 'Reply to Ana' }).waitFor();
    expect(await ben.page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Message');
    await ben.page.keyboard.type('I agree');
    await ben.page.reload();
    await ben.isLive();
    await ben.page.locator('[data-replying]', { hasText: 'the first thing' }).waitFor();
    await composer(ben).press('Enter');
    const quote = ana.row('I agree').locator('[data-quote]');
    await eventually(() => quote.textContent()).toContain('the first thing');
    const found = await ana.watch('.message.found');
    await quote.getByRole('button').click();
    await eventually(found).toContain('the first thing');
    await composer(ben).fill('x');
    await composer(ben).press('Escape');
  });

  it('are edited with the arrow up, and Escape takes that back', async () => {
    const [ana, ben] = await two();
    await ana.say('mine');
    await ben.say('his');
    await eventually(() => ana.texts()).toEqual(['mine', 'his']);
    await composer(ana).press('ArrowUp');
    await eventually(() => ana.page.getByLabel('New text').inputValue()).toBe('mine');
    await ana.page.keyboard.press('Escape');
    expect(await ana.page.getByLabel('New text').count()).toBe(0);
    await composer(ana).press('ArrowUp');
    await ana.page.getByLabel('New text').fill('mine, changed');
    await ana.page.keyboard.press('Enter');
    await eventually(() => ben.texts()).toEqual(['mine, changed', 'his']);
    await ben.row('mine, changed').getByText('edited').waitFor();
  });

  it('of a burst share one header, and notices stand between them', async () => {
    const [ana, ben] = await two();
    await ana.say('one');
    await ana.say('two');
    await ben.say('three');
    await eventually(() => ana.texts()).toEqual(['one', 'two', 'three']);
    expect(await ana.page.locator('[data-stream="main"] .by').count()).toBe(2);
    await ana.page.locator('[data-notice="participant.joined"]', { hasText: 'Ben joined' }).waitFor();
    await ana.page.locator('[data-day]', { hasText: 'Today' }).waitFor();
    await ben.chooseFromTitle('Leave session');
    await ben.page.getByRole('dialog').getByRole('button', { name: 'Leave', exact: false }).last().click();
    await ana.page.locator('[data-notice="participant.left"]', { hasText: 'Ben left' }).waitFor();
  });

  it('go from side chat to the assistant as a quote', async () => {
    const [ana, ben] = await two();
    await ben.whisper('is it oak?');
    await ana.openTab('Side chat');
    await ana.row('is it oak?', 'side').waitFor();
    await ana.act(ana.row('is it oak?', 'side'), 'Send this to the assistant');
    await ben.answers('completed').waitFor();
    const [quote] = await ben.texts();
    expect(quote).toContain('Ben in side chat');
    expect(quote).toContain('is it oak?');
  });

  it('show what can be done with them without moving anything', async () => {
    const [ana] = await two();
    for (let i = 0; i < 4; i++) await ana.say(`still ${i}`);
    await eventually(() => ana.pending()).toBe(0);
    await watchShifts(ana.page);
    for (let i = 0; i < 4; i++) {
      await ana.row(`still ${i}`).hover();
      await ana.row(`still ${i}`).getByRole('toolbar').waitFor();
    }
    expect((await shifts(ana.page)).sum).toBe(0);
    await audit(ana.page);
  });

  it('are gone through with the keyboard, and what can be done is reached by it', async () => {
    const [ana] = await two();
    for (const text of ['first', 'second', 'third']) await ana.say(text);
    await eventually(() => ana.pending()).toBe(0);
    await ana.page.locator('[data-stream="main"] [tabindex="0"]').focus();
    await ana.page.keyboard.press('ArrowUp');
    expect(await ana.page.evaluate(() => document.activeElement?.querySelector('.text')?.textContent)).toBe('second');
    await ana.page.keyboard.press('Tab');
    expect(await ana.page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Reply');
    await ana.page.keyboard.press('Enter');
    await ana.page.locator('[data-replying]', { hasText: 'second' }).waitFor();
  });
});

describe('the place in the conversation', () => {
  it('stays at the end while text arrives, and stays where the reader is when that is not the end', async () => {
    const [ana, ben] = await two();
    await fill(ana);
    await eventually(() => isAtEnd(ben)).toBe(true);
    await oracle.it.answersIn(ana);
    await ben.say('Tell us about boards', 'assistant');
    const answer = await oracle.it.dictate('Tell us about boards');
    for (let i = 1; i <= 20; i++) {
      answer.write(`board ${i} is of oak\n\n`);
      await ana.answers('streaming').getByText(`board ${i} is of oak`).waitFor();
    }
    await eventually(() => isAtEnd(ana)).toBe(true);
    await box(ben).hover();
    await ben.page.mouse.wheel(0, -900);
    await ben.page.locator('[data-to-end]').waitFor();
    const place = await box(ben).evaluate((b) => b.scrollTop);
    await ana.say('meanwhile');
    await eventually(() => ben.page.locator('[data-to-end]').textContent()).toContain('1 new message');
    answer.write('the last board is of beech\n\n');
    await ana.answers('streaming').getByText('the last board').waitFor();
    expect(await box(ben).evaluate((b) => b.scrollTop)).toBe(place);
    await ben.page.locator('[data-to-end]').click();
    await eventually(() => isAtEnd(ben)).toBe(true);
    await ben.page.locator('[data-unread]').waitFor();
    answer.finish();
  });

  it('is left while words stream, by small turns of the wheel on a slow machine too', async () => {
    const [ana, ben] = await two();
    await fill(ana);
    const line = await ben.context.newCDPSession(ben.page);
    await line.send('Emulation.setCPUThrottlingRate', { rate: 4 });
    await oracle.it.answersIn(ana);
    await ana.say('Tell us about planks', 'assistant');
    const answer = await oracle.it.dictate('Tell us about planks');
    answer.write('plank 0 is of oak\n\n');
    await ben.answers('streaming').getByText('plank 0').waitFor();
    await box(ben).hover();
    for (let turn = 0; turn < 6; turn++) {
      await ben.page.mouse.wheel(0, -30);
      answer.write(`plank ${turn + 1} is of oak\n\n`);
    }
    await ben.page.locator('[data-to-end]').waitFor();
    await ben.answers('streaming').getByText('plank 6').waitFor({ state: 'attached' });
    const place = await box(ben).evaluate((b) => b.scrollTop);
    await ana.say('meanwhile');
    await eventually(() => ben.page.locator('[data-to-end]').textContent()).toContain('new message');
    expect(Math.abs((await box(ben).evaluate((b) => b.scrollTop)) - place)).toBeLessThan(2);
    answer.finish();
    await ben.page.locator('[data-to-end]').click();
    await eventually(() => isAtEnd(ben)).toBe(true);
  });

  it('is given away by a link to a message', async () => {
    const [ana, ben] = await two();
    await ana.say('a place to remember');
    await fill(ana, 60);
    await box(ana).evaluate((b) => (b.scrollTop = 0));
    await ana.act(ana.row('a place to remember'), 'Copy link to this message');
    await ana.page.getByText('Link copied').waitFor();
    const link = await ana.page.evaluate(() => navigator.clipboard.readText());
    expect(link).toContain('#m=');
    const found = await ben.watch('.message.found');
    await ben.page.goto('about:blank');
    await ben.page.goto(link);
    await ben.isLive();
    await eventually(found).toContain('a place to remember');
    expect(await isAtEnd(ben)).toBe(false);
  });

  it('is given away for side chat too: the link opens its tab, on a phone its sheet', async () => {
    const [ana, ben] = await two(PHONE);
    await ana.whisper('between us two');
    await ana.act(ana.row('between us two', 'side'), 'Copy link to this message');
    await ana.page.getByText('Link copied').waitFor();
    const link = await ana.page.evaluate(() => navigator.clipboard.readText());
    for (const person of [ana, ben]) {
      const found = await person.watch('[data-stream="side"] .message.found');
      await person.page.goto('about:blank');
      await person.page.goto(link);
      await person.isLive();
      await eventually(found).toContain('between us two');
    }
    expect(await ana.page.getByText('That message is not there').count()).toBe(0);
  });
});

describe('the composer', () => {
  it('completes names by keyboard', async () => {
    const [ana, ben] = await two();
    await composer(ana).pressSequentially('hi @be');
    await ana.page.getByRole('listbox').getByRole('option', { name: 'Ben' }).waitFor();
    await composer(ana).press('Enter');
    expect(await composer(ana).inputValue()).toBe('hi @Ben ');
    await composer(ana).pressSequentially('and @');
    await ana.page.getByRole('listbox').getByRole('option', { name: /Guide/ }).waitFor();
    await isStill(ana);
    await audit(ana.page);
    await composer(ana).press('Escape');
    await eventually(() => ana.page.getByRole('listbox').count()).toBe(0);
    await composer(ana).fill('hi @Ben ');
    await ana.page.getByLabel('To:').selectOption('everyone');
    await composer(ana).press('Enter');
    await ben.page.locator('.md-name', { hasText: '@Ben' }).waitFor();
  });

  it('calls the assistant by the name that people see', async () => {
    const [ana, ben] = await two();
    await ana.page.locator('.people .name', { hasText: 'Guide' }).waitFor();
    await composer(ben).pressSequentially('@gui');
    await ben.page.getByRole('listbox').getByRole('option', { name: /Guide/ }).waitFor();
    await composer(ben).press('Enter');
    await composer(ben).pressSequentially('what can you do?');
    await ben.page.getByLabel('To:').selectOption('everyone');
    await composer(ben).press('Enter');
    await ana.answers('completed').waitFor();
    await ana.page.locator('.md-name', { hasText: '@Guide' }).waitFor();
    expect(await ana.answers('completed').locator('.by strong').textContent()).toBe('Guide');
    expect(await ana.answers('completed').locator('.by .label').textContent()).toBe('not an AI model');
  });

  it('keeps what is written over a reload and grows with it', async () => {
    const [ana] = await two();
    const small = await composer(ana).evaluate((e) => e.clientHeight);
    await composer(ana).fill('one\ntwo\nthree\nfour');
    expect(await composer(ana).evaluate((e) => e.clientHeight)).toBeGreaterThan(small + 60);
    await ana.page.getByRole('main').getByText('Draft kept').waitFor();
    await ana.page.reload();
    await ana.isLive();
    expect(await composer(ana).inputValue()).toBe('one\ntwo\nthree\nfour');
  });

  it('asks again for an answer that was stopped', async () => {
    const [ana, ben] = await two();
    await oracle.it.answersIn(ana);
    await ana.say('Tell us about nails', 'assistant');
    (await oracle.it.dictate('Tell us about nails')).write('Nails are made of iron');
    await ben.answers('streaming').getByText('Nails are made of iron').waitFor();
    await eventually(() => ana.page.locator('.queue').textContent()).toMatch(/answers Ana · \d+ s/);
    await eventually(() => ana.answers('streaming').locator('.note').textContent()).toMatch(/is answering · \d+ s/);
    await ana.queue('running').getByRole('button', { name: 'Stop' }).click();
    await ben.answers('stopped').getByRole('button', { name: 'Ask again' }).click();
    const again = await oracle.it.dictate();
    again.write('Nails are');
    await ana.answers('streaming').getByText('Nails are').waitFor();
    again.finish(' sharp');
    await ana.answers('completed').getByText('Nails are sharp').waitFor();
  });
});

describe('on a phone', () => {
  it('whoever joined stops the answer with a button as wide as the screen, a swipe replies, and a tap shows what can be done', async () => {
    const [ana, ben] = await two(PHONE);
    await ana.say('swipe me');
    await ben.row('swipe me').waitFor();
    await ben.row('swipe me').locator('.text').tap();
    await ben.row('swipe me').getByRole('toolbar').waitFor();
    expect(await smallTargets(ben.page, '[role="toolbar"], .composer')).toEqual([]);
    const touch = await ben.context.newCDPSession(ben.page);
    const at = (await ben.row('swipe me').boundingBox())!;
    const point = (x: number) => ({ touchPoints: [{ x: at.x + x, y: at.y + at.height / 2 }] });
    await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', ...point(40) });
    for (let x = 50; x <= 180; x += 10) await touch.send('Input.dispatchTouchEvent', { type: 'touchMove', ...point(x) });
    await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await ben.page.locator('[data-replying]', { hasText: 'swipe me' }).waitFor();
    // Not by touch: the tap that follows a swipe at once only ends its momentum.
    await ben.page.getByRole('button', { name: 'Do not reply' }).click();
    await ben.page.locator('[data-replying]').waitFor({ state: 'detached' });
    await oracle.it.answersIn(ana);
    await ana.say('Tell us about screws', 'assistant');
    (await oracle.it.dictate('Tell us about screws')).write('Screws hold better');
    const stop = ben.queue('running').getByRole('button', { name: 'Stop' });
    await stop.waitFor();
    expect((await stop.boundingBox())!.width).toBeGreaterThan(340);
    expect(await overhang(ben.page)).toBe(0);
    await audit(ben.page);
    await stop.tap();
    await ana.answers('stopped').waitFor();
    expect(await ana.answers('stopped').locator('.note').textContent()).toContain('Stopped by Ben.');
  });
});
