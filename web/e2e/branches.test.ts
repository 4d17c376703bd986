import { describe, expect, it } from 'vitest';
import { audit, overhang, smallTargets } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const pager = (person: Person, text: string) => person.row(text).locator('[data-pager]');
const picker = (person: Person) => person.page.locator('[data-branch] button').first();
const dialog = (person: Person) => person.page.getByRole('dialog');

async function goTo(person: Person, branch: string): Promise<void> {
  await picker(person).click();
  await person.page.getByRole('menuitem', { name: branch }).click();
}

/** Adds an entry to the shared context. */
async function write(person: Person, name: string, value: string): Promise<void> {
  const panel = person.page.locator('[data-context]');
  await panel.getByRole('button', { name: 'Add an entry' }).click();
  await panel.getByLabel('Name').fill(name);
  await panel.getByLabel('Value', { exact: true }).fill(value);
  await panel.getByRole('button', { name: 'Add', exact: true }).click();
}

/** Says several things, one after the other, seen by both. */
async function talk(ana: Person, ben: Person, ...texts: string[]): Promise<void> {
  const before = (await ana.texts()).length;
  for (const [i, text] of texts.entries()) {
    await (i % 2 ? ben : ana).say(text);
    await eventually(async () => (await ana.texts()).length).toBe(before + i + 1);
  }
  await eventually(async () => (await ben.texts()).length).toBe(before + texts.length);
}

describe('branches', () => {
  it('begin with other words, beside what was said; the pager goes from one to the other by the keyboard', async () => {
    const [ana, ben] = await here.two();
    await talk(ana, ben, 'one', 'two', 'three');
    await ben.choose(ben.row('two'), 'Say it in other words');
    await ben.page.getByLabel('In other words').fill('zwei');
    await ben.page.getByLabel('In other words').press('Enter');
    // Who said it goes there; the other stays where they are, and sees that there is more.
    await eventually(() => ben.texts()).toEqual(['one', 'zwei']);
    await eventually(() => ana.texts()).toEqual(['one', 'two', 'three']);
    await eventually(() => pager(ana, 'two').innerText()).toContain('1 of 2');
    await audit(ana.page);

    await pager(ana, 'two').getByRole('button', { name: 'Next version' }).focus();
    await ana.page.keyboard.press('Enter');
    await eventually(() => ana.texts()).toEqual(['one', 'zwei']);
    await eventually(() => ana.page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Version before');
    await ana.page.keyboard.press('Enter');
    await eventually(() => ana.texts()).toEqual(['one', 'two', 'three']);

    // Each writes on the branch that they look at, and finds it again by its address.
    await ben.say('drei');
    await ana.say('four');
    await eventually(() => ben.texts()).toEqual(['one', 'zwei', 'drei']);
    await eventually(() => ana.texts()).toEqual(['one', 'two', 'three', 'four']);
    await eventually(() => picker(ana).getAttribute('aria-label'), 'that something was said elsewhere is told').toContain('new messages on other branches');
    expect(ben.page.url()).toContain('?branch=');
    await ben.page.reload();
    await ben.isLive();
    await eventually(() => ben.texts()).toEqual(['one', 'zwei', 'drei']);
    await ana.page.goto(ben.page.url());
    await ana.isLive();
    await eventually(() => ana.texts()).toEqual(['one', 'zwei', 'drei']);
  });

  it('begin at a message and with another answer, are renamed, shown to everybody and put away', async () => {
    const [ana, ben] = await here.two();
    await ana.say('/help', 'assistant');
    await ana.answers('completed').waitFor();
    await ana.choose(ana.answers('completed'), 'Another answer');
    await eventually(() => ana.page.locator('[data-pager]').last().innerText()).toContain('2 of 2');
    await ana.answers('completed').waitFor();

    await ana.choose(ana.page.locator('[data-stream="main"] .message').first(), 'Branch from here');
    await eventually(async () => (await ana.texts()).length).toBe(1);
    await ana.say('on my own way');
    await picker(ana).click();
    await ana.page.getByRole('menuitem', { name: /All branches/ }).click();
    await dialog(ana).getByRole('treeitem', { selected: true }).getByRole('button', { name: 'Rename' }).click();
    await dialog(ana).getByLabel('Name of the branch').fill('My way');
    await dialog(ana).getByLabel('Name of the branch').press('Enter');
    await eventually(() => dialog(ana).getByRole('treeitem', { selected: true }).innerText()).toContain('My way');
    await audit(ana.page);
    // By the keyboard through the tree.
    await dialog(ana).getByRole('treeitem', { selected: true }).focus();
    await ana.page.keyboard.press('Home');
    await ana.page.keyboard.press('Enter');
    await eventually(() => dialog(ana).getByRole('treeitem', { selected: true }).innerText()).toContain('Main branch');
    await ana.page.keyboard.press('End');
    await ana.page.keyboard.press('Enter');
    await dialog(ana).getByRole('treeitem', { selected: true }).getByRole('button', { name: 'Show to everybody' }).click();
    await ben.page.getByRole('button', { name: 'Go there' }).click();
    await eventually(() => ben.texts()).toEqual(['/help', 'on my own way']);
    await eventually(() => picker(ben).innerText()).toContain('My way');

    await dialog(ana).getByRole('treeitem', { selected: true }).getByRole('button', { name: 'Put away' }).click();
    await ben.page.locator('[data-loose]').waitFor();
    await ana.page.keyboard.press('Escape');
    await goTo(ben, 'Main branch');
    await eventually(async () => (await ben.texts())[1]).not.toBe('on my own way');
  });

  it('go into a session of one\'s own: who said what is told, both know of each other, what is deleted there is gone here', async () => {
    const [ana, ben] = await here.two();
    await talk(ana, ben, 'plums', 'pears', 'figs');
    const [origin] = ben.page.url().split('?');
    await ben.choose(ben.row('pears'), 'New session from here');
    await eventually(() => ben.texts()).toEqual(['plums', 'pears']);
    const copy = ben.page.url();
    expect(copy).not.toContain(origin!);
    expect(await ben.row('plums').locator('.by').innerText()).toMatch(/Ana[\s\S]*copied by Ben/);
    await ben.say('quinces');
    await eventually(() => ben.texts()).toEqual(['plums', 'pears', 'quinces']);
    expect(await ana.texts(), 'nobody else has gone anywhere').toEqual(['plums', 'pears', 'figs']);

    // Whoever may not see the copy learns that there is one, and nothing of it.
    await ana.page.getByText('Ben began a session of their own as a copy of this one').waitFor();
    await picker(ana).click();
    await ana.page.getByRole('menuitem', { name: /All branches/ }).click();
    await eventually(() => dialog(ana).locator('[data-lineage]').innerText()).toMatch(/Copies of this session[\s\S]*a session that you cannot see[\s\S]*Ben/);
    await audit(ana.page);
    await ana.page.keyboard.press('Escape');
    await picker(ben).click();
    await ben.page.getByRole('menuitem', { name: /All branches/ }).click();
    await dialog(ben).locator('[data-lineage]').getByRole('link').click();
    await eventually(() => ben.texts()).toEqual(['plums', 'pears', 'figs']);
    expect(ben.page.url()).toContain(origin!);

    await ana.act(ana.row('plums'), 'Delete');
    await ana.page.getByRole('button', { name: 'Yes, delete for everybody' }).click();
    await ben.page.goto(copy);
    await ben.isLive();
    await eventually(() => ben.texts()).toEqual(['This text was deleted.', 'pears', 'quinces']);
  });

  it('are compared side by side and merged: some messages, a summary, all of it', async () => {
    const [ana, ben] = await here.two();
    await talk(ana, ben, 'start', 'oak');
    await ana.choose(ana.row('start'), 'Branch from here');
    await eventually(() => ana.texts()).toEqual(['start']);
    await ana.say('beech');
    await ana.say('larch');
    await eventually(() => ana.texts()).toEqual(['start', 'beech', 'larch']);
    // The shared context is that of the branch; what is written there stays there.
    await Promise.all([ana, ben].map((one) => one.openTab('Context')));
    const wood = (person: Person) => person.page.locator('[data-context] [data-address="/wood"] [data-line]').innerText();
    await write(ben, 'wood', 'oak');
    await eventually(() => wood(ben)).toBe('oak');
    await write(ana, 'wood', 'beech');
    await eventually(() => wood(ana)).toBe('beech');
    expect(await wood(ben)).toBe('oak');
    await goTo(ana, 'Main branch');
    await eventually(() => ana.texts()).toEqual(['start', 'oak']);
    await eventually(() => wood(ana)).toBe('oak');

    await picker(ana).click();
    await ana.page.getByRole('menuitem', { name: 'Compare' }).click();
    await eventually(() => dialog(ana).locator('[data-ancestor]').innerText()).toContain('start');
    const sides = dialog(ana).locator('[data-side-of]');
    await eventually(() => sides.nth(0).innerText()).toContain('oak');
    expect(await sides.nth(1).innerText()).toMatch(/beech[\s\S]*larch/);
    const [left, right] = await Promise.all([sides.nth(0).boundingBox(), sides.nth(1).boundingBox()]);
    expect(left!.y).toBe(right!.y);
    await audit(ana.page);

    expect(await dialog(ana).locator('[data-context-differences]').innerText()).toMatch(/wood[\s\S]*oak[\s\S]*beech/);
    await dialog(ana).getByRole('button', { name: 'Merge' }).click();
    await dialog(ana).getByLabel('Ana: larch').check();
    await dialog(ana).getByRole('button', { name: /Bring into/ }).click();
    await eventually(() => ben.texts()).toEqual(['start', 'oak', 'larch']);

    await picker(ana).click();
    await ana.page.getByRole('menuitem', { name: 'Merge' }).click();
    await dialog(ana).getByLabel('A summary').check();
    await dialog(ana).getByLabel('Summary', { exact: true }).fill('We looked at beech too.');
    await audit(ana.page);
    await dialog(ana).getByRole('button', { name: /Bring into/ }).click();
    await eventually(() => ben.texts()).toEqual(['start', 'oak', 'larch', 'We looked at beech too.']);

    await picker(ana).click();
    await ana.page.getByRole('menuitem', { name: 'Merge' }).click();
    await dialog(ana).getByLabel('All of it').check();
    await dialog(ana).getByRole('button', { name: /Bring into/ }).click();
    await eventually(() => ana.texts()).toEqual(['start', 'beech', 'larch']);
    await eventually(() => ben.texts()).toEqual(['start', 'beech', 'larch']);
    await eventually(() => wood(ben)).toBe('beech');
    await eventually(() => pager(ben, 'beech').innerText(), 'what was there stays in the tree').toContain('2 of 2');
    await pager(ben, 'beech').getByRole('button', { name: 'Version before' }).click();
    await eventually(async () => (await ben.texts())[1]).toBe('oak');
    expect(await ben.page.locator('[data-loose]').innerText()).toContain('belongs to no branch');
  });

  it('are merged by a summary that the assistant makes of the other branch, for both to see', async () => {
    const [ana, ben] = await here.two();
    await oracle.it.answersIn(ana);
    await talk(ana, ben, 'start', 'oak');
    await ana.choose(ana.row('start'), 'Branch from here');
    await eventually(() => ana.texts()).toEqual(['start']);
    await ana.say('beech costs half of that');
    await eventually(() => ana.texts()).toEqual(['start', 'beech costs half of that']);
    await goTo(ana, 'Main branch');
    await eventually(() => ana.texts()).toEqual(['start', 'oak']);
    await picker(ana).click();
    await ana.page.getByRole('menuitem', { name: 'Merge' }).click();
    await dialog(ana).getByLabel('A summary').check();
    await dialog(ana).getByLabel('The assistant writes it').check();
    await dialog(ana).getByLabel('What it shall say').fill('What does it cost?');
    await audit(ana.page);
    await dialog(ana).getByRole('button', { name: /Bring into/ }).click();
    await dialog(ana).waitFor({ state: 'detached' });
    const answer = await oracle.it.dictate();
    answer.write('On the other branch: ');
    for (const person of [ana, ben]) await person.answers('streaming').getByText('On the other branch:').waitFor();
    answer.finish('beech, for half.');
    for (const person of [ana, ben]) {
      await person.answers('completed').waitFor();
      await eventually(async () => (await person.texts()).at(-1)).toBe('On the other branch: beech, for half.');
      expect(await person.texts()).not.toContain('beech costs half of that');
    }
    // The model was given what was said there, and the question.
    await eventually(() => oracle.it.asked().length).toBe(1);
    expect(oracle.it.asked()[0]).toMatch(/beech costs half of that[\s\S]*What does it cost\?|What does it cost\?[\s\S]*beech costs half of that/);
  });

  it('fit a phone, where what is compared stands below each other; viewers only look', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await ana.say('start', 'everyone');
    await eventually(() => ana.texts()).toEqual(['start']);
    await ana.choose(ana.row('start'), 'Branch from here');
    await eventually(async () => ana.page.url()).toContain('?branch=');
    await ana.say('beech', 'everyone');
    await eventually(() => ana.texts()).toEqual(['start', 'beech']);
    const ben = await here.arrive('Ben', PHONE);
    await ben.join(await ana.share('viewer'));
    await eventually(() => ben.texts()).toEqual(['start']);
    expect(await smallTargets(ben.page, '[data-branch]')).toEqual([]);
    await picker(ben).click();
    expect(await ben.page.getByRole('menuitem', { name: 'Merge' }).count()).toBe(0);
    await ben.page.getByRole('menuitem', { name: 'Compare' }).click();
    const sides = dialog(ben).locator('[data-side-of]');
    await eventually(() => sides.nth(1).innerText()).toContain('beech');
    const [first, second] = await Promise.all([sides.nth(0).boundingBox(), sides.nth(1).boundingBox()]);
    expect(second!.y).toBeGreaterThan(first!.y + first!.height - 1);
    expect(await smallTargets(ben.page, '[data-branches]')).toEqual([]);
    expect(await overhang(ben.page)).toBeLessThanOrEqual(0);
    await audit(ben.page);
  });
});
