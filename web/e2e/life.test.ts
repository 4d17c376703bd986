import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { audit, overhang, smallTargets } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house();
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const sessionOf = (person: Person) => /\/s\/([0-9a-f-]{36})/.exec(person.page.url())![1]!;
const banner = (person: Person, text: string | RegExp) => person.page.locator('.banner', { hasText: text });
const dialog = (person: Person) => person.page.getByRole('dialog');

describe('the life of a session in the page', { timeout: 150_000 }, () => {
  it('pauses with a reason that all see, holds what is asked, and goes on', async () => {
    const [ana, ben] = await here.two();
    await ana.chooseFromTitle('Pause session');
    await dialog(ana).getByLabel('Why').fill('lunch');
    await audit(ana.page);
    await ana.page.keyboard.press('Enter');
    await dialog(ana).waitFor({ state: 'detached' });
    await banner(ben, /Ana paused this session at .*Why: lunch\./).waitFor();
    await ben.page.locator('[data-standing="paused"]').waitFor();
    // Ben may ask but not resume: his question waits.
    expect(await ben.page.getByRole('button', { name: 'Go on' }).count()).toBe(0);
    await ben.say('/help', 'assistant');
    await ben.queue('queued').waitFor();
    await ben.page.locator('[data-paused]').waitFor();
    await audit(ben.page);
    await ana.page.locator('[data-paused]').getByRole('button', { name: 'Go on' }).click();
    await ben.answers('completed').waitFor();
    await eventually(() => ben.page.locator('[data-standing]').count()).toBe(0);
  });

  it('ends once what was asked is answered, when that is chosen', async () => {
    const [ana, ben] = await here.two();
    await oracle.it.answersIn(ana);
    await ben.say('Which wood?', 'assistant');
    const answer = await oracle.it.dictate('Which wood?');
    answer.write('Beech');
    await ana.answers('streaming').getByText('Beech').waitFor();
    await ana.chooseFromTitle('End session');
    await dialog(ana).getByText('1 question has no answer yet').waitFor();
    await dialog(ana).getByLabel('Answer them first, then end').check();
    await audit(ana.page);
    await dialog(ana).getByRole('button', { name: 'End it' }).click();
    await banner(ben, 'ends as soon as every question is answered').waitFor();
    answer.finish(', for a table.');
    await ben.answers('completed').getByText('Beech, for a table.').waitFor();
    await banner(ben, /This session ended at/).waitFor();
    await ben.page.locator('[data-standing="completed"]').waitFor();
    await ben.page.getByText('Nothing can be written here now.').first().waitFor();
  });

  it('is left to itself, works on, and says what was done to who comes back', async () => {
    const ana = await here.arrive('Ana');
    await ana.host(here.server.url);
    const session = sessionOf(ana);
    await oracle.it.answersIn(ana);
    await ana.say('Which wood?', 'assistant');
    const answer = await oracle.it.dictate('Which wood?');
    answer.write('Beech');
    await ana.answers('streaming').getByText('Beech').waitFor();
    await ana.chooseFromTitle('Go away, let it work on');
    await dialog(ana).getByText('1 answer will be made.').waitFor();
    await dialog(ana).getByRole('button', { name: 'Go away' }).click();
    await eventually(() => new URL(ana.page.url()).pathname).toBe('/');
    const state = async () => (await (await ana.context.request.get(`${here.server.url}/api/v1/sessions/${session}/health`)).json()) as { turn?: unknown };
    expect((await state()).turn, 'the answer is made with nobody there').toBeTruthy();
    answer.finish(', for a table.');
    await eventually(async () => (await state()).turn ?? null).toBeNull();
    // The list says so, alone and among all, and tells when it is done.
    await ana.page.reload();
    const row = ana.page.locator(`[data-session="${session}"]`);
    await row.getByText('done, waits for you').waitFor();
    await ana.page.locator('[data-alone]').click();
    await ana.page.getByRole('button', { name: 'Those that work on alone', pressed: true }).waitFor();
    await row.getByText('done, waits for you').waitFor();
    await audit(ana.page);
    await row.getByRole('link').click();
    await banner(ana, 'While nobody was here, 1 answer was finished.').waitFor();
    await ana.answers('completed').waitFor();
  });

  it('is set to its limits by its owner, told of errors at the field, warned in time and given more of it', async () => {
    const [ana, ben] = await here.two({ ben: PHONE });
    await ana.chooseFromTitle('Session settings');
    const settings = dialog(ana);
    await settings.getByLabel('Lasts at most', { exact: true }).fill('400');
    await settings.getByLabel('Unit of “Lasts at most”').selectOption('d');
    await settings.getByLabel('Participants at most').fill('0');
    await settings.getByRole('button', { name: 'Save' }).click();
    await settings.getByText('Between 1 second and 365 days.').waitFor();
    await settings.getByText('At least 1, as a whole number').waitFor();
    await audit(ana.page);
    await settings.getByLabel('Lasts at most', { exact: true }).fill('4');
    await settings.getByLabel('Unit of “Lasts at most”').selectOption('min');
    await settings.getByLabel('Participants at most').fill('8');
    await settings.getByRole('switch', { name: 'Record this session' }).click();
    await settings.getByRole('button', { name: 'Save' }).click();
    await settings.getByText('Saved.').waitFor();
    await ana.page.keyboard.press('Escape');
    await dialog(ana).waitFor({ state: 'detached' });

    // Ben, on a phone, may read what holds, and change nothing.
    await ben.chooseFromTitle('Session settings');
    await dialog(ben).getByText('Only the owner changes these.').waitFor();
    await eventually(() => dialog(ben).getByLabel('Participants at most').inputValue()).toBe('8');
    expect(await dialog(ben).getByRole('button', { name: 'Save' }).count()).toBe(0);
    expect(await overhang(ben.page)).toBeLessThanOrEqual(0);
    expect(await smallTargets(ben.page, '[role="dialog"]')).toEqual([]);
    await audit(ben.page);
    await ben.page.keyboard.press('Escape');

    // A fifth of the time is left when the warning comes: ten seconds, in which the owner gives it more.
    const told = await ben.watch('.banner');
    const command = { name: 'session.change_expiry', data: { expires_at: new Date(Date.now() + 50_000).toISOString() } };
    await ana.call(here.server.url, `/sessions/${sessionOf(ana)}/commands`, command);
    await banner(ana, 'The session ends at').getByRole('button', { name: '30 minutes more' }).click({ timeout: 60_000 });
    await eventually(told).toMatch(/The session ends at .*, in \d+ s/);
    expect(await told(), 'only the owner can give it more time').not.toContain('30 minutes more');
    await eventually(() => banner(ben, 'The session ends at').count()).toBe(0);
    await ana.page.locator('.message, [data-notice="session.expiry_changed"]').first().waitFor();
  });
});

describe('what a session is set to', { timeout: 90_000 }, () => {
  it('changes before the eyes of whoever looks at it, but for what they are changing themselves', async () => {
    const [ana, ben] = await here.two();
    await ana.page.locator('.people').getByLabel('Role of Ben').selectOption('moderator');
    await ben.openTab('Memory');
    for (const person of [ana, ben]) await person.chooseFromTitle('Session settings');
    const [mine, theirs] = [dialog(ana), dialog(ben)];
    const isOn = (name: string) => theirs.getByRole('switch', { name }).isChecked();
    await theirs.getByLabel('Participants at most').waitFor();
    expect(await isOn('The assistant reads the memories')).toBe(false);

    await mine.getByRole('switch', { name: 'The assistant reads the memories' }).click();
    await mine.getByRole('switch', { name: 'Every write says what it has read' }).click();
    await mine.getByLabel('When two write the same place').selectOption('merge');
    await mine.getByRole('button', { name: 'Another rule for a part' }).click();
    await mine.getByLabel('Part 1').fill('plan');
    await mine.getByRole('button', { name: 'Save' }).click();
    await mine.getByText('A path such as /plan').waitFor();
    await audit(ana.page);
    await mine.getByLabel('Part 1').fill('/plan');
    await mine.getByLabel('What holds for /plan').selectOption('manual');
    await mine.getByLabel('Participants at most').fill('9');
    await mine.getByRole('button', { name: 'Save' }).click();
    await mine.getByText('Saved.').waitFor();

    await eventually(() => isOn('The assistant reads the memories')).toBe(true);
    await eventually(() => isOn('Every write says what it has read')).toBe(true);
    await eventually(() => theirs.getByLabel('When two write the same place').inputValue()).toBe('merge');
    await eventually(() => theirs.getByLabel('What holds for /plan').inputValue()).toBe('manual');
    await eventually(() => theirs.getByLabel('Participants at most').inputValue()).toBe('9');
    await audit(ben.page);
    await ben.page.keyboard.press('Escape');
    await ben.page.locator('[data-memories] [data-given]').waitFor();
    await ben.page.locator('[data-notice="session.settings_changed"]', { hasText: 'lets the assistant read the memories' }).waitFor();

    // What she has begun to change stays as she has it; the rest follows.
    await mine.getByLabel('Participants at most').fill('12');
    const change = (settings: object) => ana.context.request.patch(`${here.server.url}/api/v1/sessions/${sessionOf(ana)}`, { data: { settings }, headers: { origin: here.server.url } });
    expect((await change({ max_participants: 20, side_for_viewers: false })).status()).toBe(200);
    await eventually(() => mine.getByRole('switch', { name: 'Viewers may read the side chat' }).isChecked()).toBe(false);
    expect(await mine.getByLabel('Participants at most').inputValue()).toBe('12');
    await mine.getByRole('button', { name: 'Save' }).click();
    await mine.getByText('Saved.').waitFor();
    const { settings } = (await (await ana.context.request.get(`${here.server.url}/api/v1/sessions/${sessionOf(ana)}`)).json()) as { settings: object };
    expect(settings).toMatchObject({ max_participants: 12, side_for_viewers: false, memories_to_assistants: true, context_strategies: { '': 'merge', '/plan': 'manual' } });
  });
});

describe('what a session came to', () => {
  it('is a report from the banner, with decisions, people and figures, and can be saved', async () => {
    const [ana, ben] = await here.two({ ben: PHONE });
    await ben.say('Oak it is.');
    await ana.row('Oak it is.').waitFor();
    await ana.act(ana.row('Oak it is.'), 'Mark as decision');
    await ana.say('/help', 'assistant');
    await ana.answers('completed').waitFor();
    await ana.chooseFromTitle('Report');
    const report = ana.page.locator('[data-name="report"]');
    await report.getByText('The session goes on: these are the figures so far.').waitFor();
    await audit(ana.page);
    await ana.page.getByRole('link', { name: 'Back to the session' }).click();
    await ana.isLive();
    await ana.chooseFromTitle('End session');
    await dialog(ana).getByRole('button', { name: 'End it' }).click();

    await banner(ben, 'This session ended at').getByRole('link', { name: 'Report' }).click();
    const ours = ben.page.locator('[data-name="report"]');
    await ours.getByText(/^Ended at/).waitFor();
    // The guide puts the figures into sentences, and says that it is no model.
    await ours.getByText('Ben and Ana wrote 2 messages').or(ours.getByText('Ana and Ben wrote 2 messages')).waitFor();
    await ours.getByText('Put together by fixed rules, not by an AI model').waitFor();
    expect(await ours.locator('[data-decision]').innerText()).toMatch(/Oak it is\.\s+Ben ·/);
    expect((await ours.getByRole('row').allInnerTexts()).map((row) => row.replace(/\s+/g, ' '))).toEqual(
      expect.arrayContaining([expect.stringMatching(/Guide Collaborator 1$/), expect.stringMatching(/Ana Owner 1$/), expect.stringMatching(/Ben Collaborator 1$/)]),
    );
    expect(await overhang(ben.page)).toBeLessThanOrEqual(0);
    expect(await smallTargets(ben.page, 'header')).toEqual([]);
    await audit(ben.page);

    await ana.page.goto(`${here.server.url}/s/${sessionOf(ana)}/report`);
    for (const [name, ending, part] of [
      ['As text (Markdown)', '.md', '> Oak it is.'],
      ['As data (JSON)', '.json', '"is_final": true'],
    ] as const) {
      const download = ana.page.waitForEvent('download');
      await ana.page.getByRole('button', { name: 'Save the report' }).click();
      await ana.page.getByRole('menuitem', { name }).click();
      const file = await download;
      expect(file.suggestedFilename()).toContain(ending);
      expect(readFileSync((await file.path())!, 'utf8')).toContain(part);
    }
  });
});

describe('checkpoints in the page', () => {
  it('are made by a key, seen by others, replayed from, renamed, gone back to as a branch, and deleted', async () => {
    const [ana, ben] = await here.two();
    await ana.say('first');
    await ben.row('first').waitFor();
    await ben.page.keyboard.press('Control+Shift+E');
    await dialog(ben).getByRole('textbox', { name: 'Name of the new checkpoint' }).fill('Before lunch');
    await ben.page.keyboard.press('Enter');
    await dialog(ben).getByText('Before lunch', { exact: true }).waitFor();
    await audit(ben.page);
    await ana.page.locator('[data-notice="checkpoint.created"]').waitFor();
    await ben.page.keyboard.press('Escape');
    await ben.say('second');
    await ana.row('second').waitFor();

    await ana.chooseFromTitle('Checkpoints');
    const choose = async (name: string, what: string) => {
      await dialog(ana).getByRole('button', { name: `What can be done with “${name}”` }).click();
      await ana.page.getByRole('menuitem', { name: what }).click();
    };
    await choose('Before lunch', 'Rename');
    await ana.page.getByLabel('Name', { exact: true }).fill('Before dinner');
    await ana.page.keyboard.press('Enter');
    await dialog(ana).getByText('Before dinner', { exact: true }).waitFor();
    await choose('Before dinner', 'Go back to here');
    await dialog(ana).getByText('As a new branch').waitFor();
    await audit(ana.page);
    await dialog(ana).getByRole('button', { name: 'Go back', exact: true }).click();
    await ana.page.getByText(/^The branch “.*” begins there$/).waitFor();
    await choose('Before dinner', 'Delete');
    await dialog(ana).getByRole('button', { name: 'Delete it' }).click();
    await dialog(ana).getByText('No checkpoints yet').waitFor();

    await dialog(ana).getByRole('textbox', { name: 'Name of the new checkpoint' }).fill('Now');
    await ana.page.keyboard.press('Enter');
    await choose('Now', 'Show the replay from here');
    await eventually(() => ana.texts()).toEqual(['first', 'second']);
    expect(ana.page.url()).toMatch(/\/replay\?t=\d+$/);
  });
});

describe('what is known of a session', () => {
  it('says who has read a message, when somebody asks', async () => {
    const [ana, ben] = await here.two({ ben: PHONE });
    await ana.say('have you seen this?');
    await ben.row('have you seen this?').waitFor();
    await ana.act(ana.row('have you seen this?'), 'More actions');
    await ana.page.getByRole('menuitem', { name: 'Who has read it' }).click();
    await dialog(ana).getByText('Read by 1').waitFor();
    await dialog(ana).getByRole('listitem').filter({ hasText: 'Ben' }).waitFor();
    await audit(ana.page);
    await ana.page.keyboard.press('Escape');
  });

  it('has a history that is narrowed to a kind and a person, leads to the message and to the replay', async () => {
    const [ana, ben] = await here.two({ ben: PHONE });
    for (const text of ['one', 'two']) {
      await ana.say(text);
      await ben.row(text).waitFor();
    }
    await ben.say('three');
    await ana.row('three').waitFor();
    await ben.chooseFromTitle('History');
    const rows = async () => (await dialog(ben).locator('[data-event]').allInnerTexts()).map((row) => row.replace(/\s+/g, ' '));
    await dialog(ben).getByLabel('What').selectOption('messages');
    await eventually(async () => (await rows()).map((row) => /(\w+) wrote (\w+)/.exec(row)?.slice(1))).toEqual([['Ben', 'three'], ['Ana', 'two'], ['Ana', 'one']]);
    await dialog(ben).getByLabel('Who').selectOption({ label: 'Ana' });
    await eventually(async () => (await rows()).length).toBe(2);
    expect(await overhang(ben.page)).toBeLessThanOrEqual(0);
    expect(await smallTargets(ben.page, '[role="dialog"]')).toEqual([]);
    await audit(ben.page);
    await dialog(ben).getByLabel('What').selectOption('decisions');
    await dialog(ben).getByText('Nothing of that kind has happened').waitFor();
    await dialog(ben).getByLabel('What').selectOption('messages');
    await dialog(ben).locator('[data-event]').last().getByRole('button', { name: 'Show the replay from here' }).click();
    await eventually(() => ben.texts()).toEqual(['one']);
  });

  it('tells its owner how it is doing', async () => {
    const [ana, ben] = await here.two();
    await ana.chooseFromTitle('Session settings');
    const health = ana.page.locator('[data-name="health"]');
    await health.getByText('2 people').waitFor();
    await audit(ana.page);
    await ben.chooseFromTitle('Session settings');
    await dialog(ben).getByText('Only the owner changes these.').waitFor();
    expect(await ben.page.locator('[data-name="health"]').count()).toBe(0);
  });
});
