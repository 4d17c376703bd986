import { describe, expect, it } from 'vitest';
import { audit, overhang } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';

const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const place = (person: Person) => person.page.getByRole('slider', { name: 'Place in the replay' });
const press = (person: Person, name: string) => person.page.getByRole('button', { name, exact: true }).click();

describe('a session played again', () => {
  it('shows the conversation as it was, plays on from there, and steps', async () => {
    const [ana, ben] = await here.two();
    await ana.say('first words');
    await ben.say('second words');
    await ana.say('/help', 'assistant');
    await ana.answers('completed').waitFor();
    const live = await ana.texts();
    const session = /\/s\/[0-9a-f-]{36}/.exec(ana.page.url())![0];

    await ana.page.locator('header h1 button').click();
    await ana.page.getByRole('menuitem', { name: 'Replay' }).click();
    await press(ana, 'Play');
    await eventually(() => ana.texts(), 'the replay brings it all').toEqual(live);
    await ana.page.getByRole('button', { name: 'Play again from the start', exact: true }).waitFor();
    await audit(ana.page);

    // Ben goes to the very start by the keyboard and steps to the first message.
    await ben.page.goto(`${here.server.url}${session}/replay`);
    await place(ben).waitFor();
    await eventually(() => ben.texts()).toEqual([]);
    await ben.page.getByText('Nothing has been said yet at this moment.').waitFor();
    for (let steps = 0; (await ben.texts()).length === 0 && steps < 20; steps++) await press(ben, 'One event on');
    expect(await ben.texts()).toEqual(['first words']);
    await place(ben).focus();
    await ben.page.keyboard.press('End');
    await eventually(() => ben.texts()).toEqual(live);
    expect(await ben.page.locator('.composer').count(), 'nothing can be written into what was').toBe(0);
  });

  it('is found again by a link to a moment', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    for (const text of ['one', 'two', 'three']) {
      await ana.say(text, 'everyone');
      await eventually(() => ana.texts().then((texts) => texts.at(-1))).toBe(text);
    }
    const session = /\/s\/[0-9a-f-]{36}/.exec(ana.page.url())![0];
    const { events } = (await (
      await ana.context.request.get(`${here.server.url}/api/v1/sessions/${session.slice(3)}/events?after=0&limit=100`)
    ).json()) as { events: { seq: number; data: { text?: string } }[] };
    const { seq } = events.find((event) => event.data.text === 'two')!;
    await ana.page.goto(`${here.server.url}${session}/replay?t=${seq}`);
    await eventually(() => ana.texts()).toEqual(['one', 'two']);
    await ana.page.keyboard.press('Escape');
    await eventually(() => ana.texts()).toEqual(['one', 'two', 'three']);
  });

  it('shows the branch that is chosen, from before it began to its end, and a link to it does so too', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    const say = async (text: string, all: string[]) => {
      await ana.say(text);
      await eventually(() => ana.texts()).toEqual(all);
    };
    await say('start', ['start']);
    await say('oak', ['start', 'oak']);
    await ana.choose(ana.row('start'), 'Branch from here');
    await eventually(() => ana.texts()).toEqual(['start']);
    await say('beech', ['start', 'beech']);
    await say('larch', ['start', 'beech', 'larch']);
    await ana.chooseFromTitle('Replay');
    const branch = ana.page.getByLabel('Branch that is shown');
    await branch.waitFor();
    expect(ana.page.url(), 'the branch that was looked at is played').toContain('?branch=');
    await ana.page.getByText('has not begun at this moment').waitFor();
    await audit(ana.page);
    await press(ana, 'To its beginning');
    await eventually(() => ana.texts()).toEqual(['start']);
    await place(ana).focus();
    await ana.page.keyboard.press('End');
    await eventually(() => ana.texts()).toEqual(['start', 'beech', 'larch']);
    await branch.selectOption({ index: 0 });
    await eventually(() => ana.texts()).toEqual(['start', 'oak']);
    // A place of the replay does not change what was chosen.
    await place(ana).focus();
    await ana.page.keyboard.press('Home');
    await eventually(() => ana.texts()).toEqual([]);
    await ana.page.keyboard.press('End');
    await eventually(() => ana.texts()).toEqual(['start', 'oak']);
    await branch.selectOption({ index: 1 });
    await eventually(() => ana.texts()).toEqual(['start', 'beech', 'larch']);
    const address = ana.page.url();
    await ana.page.goto('about:blank');
    await ana.page.goto(address);
    await place(ana).focus();
    await ana.page.keyboard.press('End');
    await eventually(() => ana.texts()).toEqual(['start', 'beech', 'larch']);
    await ana.page.keyboard.press('Escape');
    await ana.isLive();
    await eventually(() => ana.texts()).toEqual(['start', 'beech', 'larch']);
  });

  it('says what is the matter when the session is not recorded, and fits a phone', async () => {
    const ana = await here.arrive('Ana', PHONE);
    await ana.start(here.server.url);
    const session = /\/s\/([0-9a-f-]{36})/.exec(ana.page.url())!;
    await ana.say('hello', 'everyone');
    await ana.page.goto(`${here.server.url}${session[0]}/replay`);
    await place(ana).waitFor();
    expect(await overhang(ana.page)).toBeLessThanOrEqual(0);
    await audit(ana.page);
    const off = { data: { settings: { recording: false } }, headers: { origin: here.server.url } };
    const answer = await ana.context.request.patch(`${here.server.url}/api/v1/sessions/${session[1]}`, off);
    expect(answer.status()).toBe(200);
    await ana.page.reload();
    await ana.page.getByText('The session is not recorded').waitFor();
    await audit(ana.page);
  });
});
