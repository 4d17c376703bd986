import { describe, expect, it } from 'vitest';
import { audit, overhang, smallTargets } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';

const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const panel = (person: Person) => person.page.locator('[data-memories]');
const texts = (person: Person) => panel(person).locator('[data-memory] [data-text]').allInnerTexts();
const memory = (person: Person, text: string) => panel(person).locator('[data-memory]', { hasText: text });

async function add(person: Person, text: string, tags = ''): Promise<void> {
  await panel(person).getByRole('button', { name: 'Add a memory' }).click();
  await panel(person).getByLabel('What to keep in mind').fill(text);
  await panel(person).getByLabel('Tags', { exact: true }).fill(tags);
  await panel(person).getByLabel('What to keep in mind').press('Control+Enter');
}

describe('memories', () => {
  it('are added, pinned, found, changed and removed, before the eyes of both', async () => {
    const [ana, ben] = await here.two();
    await Promise.all([ana.openTab('Memory'), ben.openTab('Memory')]);
    await panel(ben).getByText('Nothing is kept in mind yet').waitFor();
    await add(ana, 'We meet at four', 'plans');
    await eventually(() => texts(ben)).toEqual(['We meet at four']);
    await add(ben, 'Oak, 30 mm', 'wood, plans');
    await eventually(() => texts(ana)).toEqual(['Oak, 30 mm', 'We meet at four']);
    await audit(ana.page);

    await memory(ben, 'four').getByRole('button', { name: 'Pin to the top' }).click();
    await eventually(async () => (await texts(ana))[0]).toContain('We meet at four');
    expect(await memory(ben, 'four').getByRole('button', { name: 'Edit the memory' }).count(), 'others change only their own').toBe(0);

    await panel(ana).getByLabel('Search memories').fill('OAK');
    await eventually(() => texts(ana)).toEqual(['Oak, 30 mm']);
    await panel(ana).getByLabel('Search memories').fill('nothing like it');
    await panel(ana).getByRole('button', { name: 'Show all' }).click();
    await panel(ana).getByRole('button', { name: 'wood 1' }).click();
    await eventually(() => texts(ana)).toEqual(['Oak, 30 mm']);
    await panel(ana).getByRole('button', { name: 'wood 1' }).click();

    await memory(ana, 'Oak').getByRole('button', { name: 'Edit the memory' }).click();
    await panel(ana).getByLabel('What to keep in mind').fill('');
    await panel(ana).getByRole('button', { name: 'Save' }).click();
    await panel(ana).getByText('Write something.').waitFor();
    await panel(ana).getByLabel('What to keep in mind').fill('Oak, 40 mm');
    await panel(ana).getByRole('button', { name: 'Save' }).click();
    await eventually(() => texts(ben)).toContain('Oak, 40 mm');
    await memory(ana, 'Oak').getByRole('button', { name: 'Remove the memory' }).click();
    await ana.page.getByRole('dialog').getByRole('button', { name: 'Remove it' }).click();
    await eventually(async () => (await texts(ben)).length).toBe(1);
  });

  it('are made from a message by the keyboard, and lead back to it', async () => {
    const [ana, ben] = await here.two();
    await ben.say('The saw is in the shed.');
    await eventually(() => ana.texts()).toEqual(['The saw is in the shed.']);
    await ana.row('saw').focus();
    await ana.row('saw').getByRole('button', { name: 'More actions' }).focus();
    await ana.page.keyboard.press('Enter');
    await ana.page.getByRole('menuitem', { name: 'Keep in mind' }).waitFor();
    await audit(ana.page);
    await ana.page.getByRole('menuitem', { name: 'Keep in mind' }).press('Enter');
    await ben.openTab('Memory');
    await eventually(() => texts(ben)).toEqual(['The saw is in the shed.']);
    expect(await memory(ben, 'saw').innerText()).toContain('Ana');
    const found = await ben.watch('.message.found');
    await memory(ben, 'saw').getByRole('button', { name: 'To the message it came from' }).click();
    await eventually(found).toContain('The saw is in the shed.');
    await ben.row('saw').hover();
    await ben.row('saw').getByRole('button', { name: 'More actions' }).click();
    await ben.page.getByRole('menuitem', { name: 'Branch from here' }).waitFor();
    expect(await ben.page.getByRole('menuitem', { name: 'Keep in mind' }).count(), 'once is enough').toBe(0);
  });

  it('are only read by viewers, and fit a phone', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await ana.openTab('Memory');
    await add(ana, 'x'.repeat(300), 'a very long tag, another');
    const ben = await here.arrive('Ben', PHONE);
    await ben.join(await ana.share('viewer'));
    await ben.openTab('Memory');
    await panel(ben).getByText('You can read these.').waitFor();
    await eventually(async () => (await texts(ben)).length).toBe(1);
    expect(await panel(ben).getByRole('button', { name: 'Add a memory' }).count()).toBe(0);
    expect(await smallTargets(ben.page, '[data-memories]')).toEqual([]);
    expect(await overhang(ben.page)).toBeLessThanOrEqual(0);
    await audit(ben.page);
  });
});
