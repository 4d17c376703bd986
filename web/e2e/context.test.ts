import { describe, expect, it } from 'vitest';
import { audit, overhang, smallTargets } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';

const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

const panel = (person: Person) => person.page.locator('[data-context]');
const row = (person: Person, address: string) => panel(person).locator(`[data-address="${address}"]`);
const line = async (person: Person, address: string) => (await row(person, address).locator('[data-line]').innerText()).trim();
const press = (person: Person, name: string | RegExp) => panel(person).getByRole('button', { name, exact: true }).click();

/** Adds an entry at the top. */
async function add(person: Person, name: string, value: string, kind: 'Text' | 'JSON' = 'Text'): Promise<void> {
  await press(person, 'Add an entry');
  await panel(person).getByLabel('Name').fill(name);
  if (kind === 'JSON') await panel(person).getByLabel('Written as').selectOption('json');
  await panel(person).getByLabel('Value', { exact: true }).fill(value);
  await press(person, 'Add');
}

async function edit(person: Person, address: string): Promise<void> {
  const isShown = await row(person, address).locator('[data-detail]').count();
  if (isShown === 0) await row(person, address).locator('> div').first().click();
  await row(person, address).getByRole('button', { name: 'Edit' }).click();
}

async function both(options: Parameters<typeof here.two>[0] = {}): Promise<[Person, Person]> {
  const [ana, ben] = await here.two(options);
  await Promise.all([ana.openTab('Context'), ben.openTab('Context')]);
  return [ana, ben];
}

describe('the shared context', () => {
  it('is written by one and changes before the eyes of the other, who sees whose it is', async () => {
    const [ana, ben] = await both();
    const [mine, theirs] = await Promise.all([ana, ben].map((one) => one.watch('[data-flash]', 'data-address')));
    await add(ana, 'goal', 'a table for six');
    await eventually(() => line(ben, '/goal')).toBe('a table for six');
    await eventually(theirs!, 'what another changed stands out').toBe('/goal');
    await eventually(() => line(ana, '/goal')).toBe('a table for six');
    expect(await mine!()).toBe('');
    await eventually(() => panel(ben).getByRole('status').first().innerText()).toBe('Ana has changed goal');
    await add(ben, 'steps', '[{"id": "dig", "done": false}, {"id": "pour"}]', 'JSON');
    await eventually(() => row(ana, '/steps/@dig').count()).toBe(1);
    await audit(ana.page);

    // By the keyboard: down to the value, open it, change it.
    await row(ana, '/goal').focus();
    await ana.page.keyboard.press('End');
    await ana.page.keyboard.press('ArrowUp');
    await ana.page.keyboard.press('ArrowRight');
    await ana.page.keyboard.press('ArrowRight');
    await eventually(() => ana.page.evaluate(() => document.activeElement?.getAttribute('data-address'))).toBe('/steps/@dig/done');
    await ana.page.keyboard.press('F2');
    await eventually(() => panel(ana).getByLabel('New value').inputValue()).toBe('false');
    await panel(ana).getByLabel('New value').fill('yes');
    expect(await panel(ana).getByText('This is not JSON from line 1, character 1 on.').count(), 'JSON is checked').toBe(1);
    await panel(ana).getByLabel('New value').fill('true');
    await ana.page.keyboard.press('Control+Enter');
    await row(ben, '/steps/@dig').locator('> div').first().click();
    await eventually(() => line(ben, '/steps/@dig/done')).toBe('true');
    await ben.page.reload();
    await ben.isLive();
    await ben.openTab('Context');
    await eventually(() => line(ben, '/goal')).toBe('a table for six');
    await row(ben, '/goal').locator('> div').first().click();
    expect(await row(ben, '/goal').locator('[data-detail]').innerText()).toContain('Ana');
  });

  it('asks who was slower which value it shall be', async () => {
    const [ana, ben] = await both();
    await add(ana, 'wood', 'pine');
    await eventually(() => line(ben, '/wood')).toBe('pine');
    for (const [choice, result] of [
      ['Keep what Ana wrote', 'oak'],
      ['Take mine', 'beech'],
    ] as const) {
      await edit(ben, '/wood');
      await edit(ana, '/wood');
      await panel(ana).getByLabel('New value').fill('oak');
      await press(ana, 'Save');
      await panel(ben).getByText('This has been changed since you began').waitFor();
      await panel(ben).getByLabel('New value').fill('beech');
      await press(ben, 'Save');
      const clash = panel(ben).locator('[data-clash]');
      await clash.waitFor();
      expect(await clash.innerText()).toContain('oak');
      expect(await clash.innerText()).toContain('beech');
      await audit(ben.page);
      await press(ben, choice);
      await eventually(() => line(ana, '/wood')).toBe(result);
      await eventually(() => line(ben, '/wood')).toBe(result);
      if (result === 'oak') {
        await edit(ana, '/wood');
        await panel(ana).getByLabel('New value').fill('larch');
        await press(ana, 'Save');
        await eventually(() => line(ben, '/wood')).toBe('larch');
      }
    }
  });

  it('goes back by new changes, and shows before what they do', async () => {
    const [ana, ben] = await both();
    await add(ana, 'goal', 'first');
    await eventually(() => line(ben, '/goal')).toBe('first');
    await add(ben, 'price', '95', 'JSON');
    await edit(ben, '/goal');
    await panel(ben).getByLabel('New value').fill('second');
    await press(ben, 'Save');
    await eventually(() => line(ana, '/goal')).toBe('second');

    await press(ana, 'History');
    const dialog = ana.page.getByRole('dialog');
    await panel(ana).locator('li').first().getByRole('button', { name: 'Take this change back' }).click();
    await eventually(() => dialog.locator('[data-preview]').innerText()).toMatch(/second[\s\S]*first/);
    await audit(ana.page);
    await dialog.getByRole('button', { name: 'Take it back' }).click();
    await eventually(() => line(ben, '/goal')).toBe('first');

    // To the very first version, but for the price.
    await edit(ben, '/goal');
    await panel(ben).getByLabel('New value').fill('third');
    await press(ben, 'Save');
    await eventually(() => panel(ana).locator('li').count()).toBe(5);
    await panel(ana).locator('li').last().getByRole('button', { name: 'Back to how it was then' }).click();
    await dialog.getByLabel('price').uncheck();
    await dialog.getByRole('button', { name: 'Bring 1 place back' }).click();
    await eventually(() => line(ben, '/goal')).toBe('first');
    expect(await line(ben, '/price')).toBe('95');
    await press(ana, 'Back to the document');
    await row(ana, '/price').focus();
    await ana.page.keyboard.press('Delete');
    await press(ana, 'Yes, remove');
    await eventually(() => row(ben, '/price').count()).toBe(0);
  });

  it('takes back what others have written over since only when that is said twice', async () => {
    const [ana, ben] = await both();
    await add(ana, 'goal', 'first');
    await eventually(() => line(ben, '/goal')).toBe('first');
    await edit(ana, '/goal');
    await panel(ana).getByLabel('New value').fill('second');
    await press(ana, 'Save');
    await eventually(() => line(ben, '/goal')).toBe('second');
    await edit(ben, '/goal');
    await panel(ben).getByLabel('New value').fill('third');
    await press(ben, 'Save');
    await eventually(() => line(ana, '/goal')).toBe('third');

    const dialog = ana.page.getByRole('dialog');
    const begin = async () => {
      await panel(ana).locator('li').nth(1).getByRole('button', { name: 'Take this change back' }).click();
      await dialog.getByRole('button', { name: 'Take it back' }).click();
      await eventually(() => dialog.locator('[data-newer]').innerText()).toMatch(/goal[\s\S]*Ben/);
    };
    await press(ana, 'History');
    await eventually(() => panel(ana).locator('li').count()).toBe(3);
    await begin();
    await audit(ana.page);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await eventually(() => line(ben, '/goal')).toBe('third');
    await begin();
    await dialog.getByRole('button', { name: 'Go back all the same' }).click();
    await dialog.waitFor({ state: 'detached' });
    await eventually(() => line(ben, '/goal')).toBe('first');
    // It is one more change, by whoever took it back; what Ben wrote stands in the history.
    await eventually(() => panel(ana).locator('li').count()).toBe(4);
    expect(await panel(ana).locator('li').nth(1).innerText()).toContain('Ben');
  });

  it('keeps open conflicts for a person to choose in', async () => {
    const [ana, ben] = await both();
    await add(ana, 'wood', 'oak');
    await eventually(() => line(ben, '/wood')).toBe('oak');
    const session = /\/s\/([0-9a-f-]{36})/.exec(ana.page.url())![1];
    const write = (person: Person, value: string, query: string) =>
      person.context.request.patch(`${here.server.url}/api/v1/sessions/${session}/context?${query}`, {
        headers: { origin: here.server.url, 'content-type': 'application/json-patch+json' },
        data: JSON.stringify([{ op: 'replace', path: '/wood', value }]),
      });
    const base = await panel(ana).getAttribute('data-version');
    expect((await write(ana, 'beech', `base=${base}`)).status()).toBe(200);
    expect((await write(ben, 'larch', `base=${base}&strategy=manual&atomic=false`)).status()).toBe(200);
    const waiting = panel(ana).locator('[data-conflicts]');
    await waiting.waitFor();
    expect(await ana.page.getByRole('tab', { name: 'Context' }).innerText()).toContain('1');
    await audit(ana.page);
    await press(ana, 'Take what Ben wanted');
    await eventually(() => line(ben, '/wood')).toBe('larch');
    await eventually(() => panel(ben).locator('[data-conflicts]').count()).toBe(0);
  });

  it('is only read by viewers, who are told why, and fits a phone', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await ana.openTab('Context');
    await add(ana, 'goal', 'x'.repeat(1000));
    const ben = await here.arrive('Ben', PHONE);
    await ben.join(await ana.share('viewer'));
    await ben.openTab('Context');
    await panel(ben).getByText('You can read this.').waitFor();
    await row(ben, '/goal').locator('> div').first().click();
    await panel(ben).getByRole('button', { name: /Show all/ }).click();
    await eventually(async () => (await row(ben, '/goal').locator('[data-value]').innerText()).length).toBe(1000);
    expect(await panel(ben).getByRole('button', { name: 'Edit' }).count()).toBe(0);
    expect(await smallTargets(ben.page, '[data-context]')).toEqual([]);
    expect(await overhang(ben.page)).toBeLessThanOrEqual(0);
    await audit(ben.page);
  });
});
