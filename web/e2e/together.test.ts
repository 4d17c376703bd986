import { describe, expect, it } from 'vitest';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house();

const two = () => here.two();

/** Waits until both see the same, and returns it. */
async function sameTexts(ana: Person, ben: Person, count: number): Promise<string[]> {
  await eventually(async () => (await ana.texts()).length).toBe(count);
  await eventually(async () => (await ben.texts()).length).toBe(count);
  const texts = await ana.texts();
  await eventually(() => ben.texts()).toEqual(texts);
  return texts;
}

describe('two people and one assistant', () => {
  it('both prompt, both see each word of both answers', async () => {
    const [ana, ben] = await two();
    await Promise.all([ana.watchAnswers(), ben.watchAnswers()]);
    await ana.say('What can you do?', 'assistant');
    await ben.answers('completed').first().waitFor();
    await ben.say('How does the queue work?', 'assistant');
    await eventually(() => ana.answers('completed').count()).toBe(2);
    await eventually(() => ben.answers('completed').count()).toBe(2);
    const texts = await sameTexts(ana, ben, 4);
    expect([texts[0], texts[2]]).toEqual(['What can you do?', 'How does the queue work?']);
    for (const answer of [texts[1], texts[3]]) expect(answer!.length).toBeGreaterThan(20);
    for (const person of [ana, ben]) {
      const grew = (await person.lengths()).filter((n, i, all) => n > (all[i - 1] ?? 0));
      expect(grew.length, `${person.name} saw it arrive piece by piece`).toBeGreaterThan(8);
    }
    expect(await ben.page.locator('.message[data-answer] .label').first().textContent()).toContain('not an AI model');
  });

  it('the queue shows whose turn is next; waiting questions are edited and withdrawn; Stop stops', async () => {
    const [ana, ben] = await two();
    await oracle.it.answersIn(ana);
    oracle.it.answer('second, in other words', { content: 'Oak, again.' });
    await ana.say('first', 'assistant');
    const answer = await oracle.it.dictate('first');
    answer.write('Oak is heavy');
    await ben.queue('running').waitFor();
    await ben.say('second', 'assistant');
    await ana.say('third', 'assistant');
    await eventually(() => ana.queue('queued').allInnerTexts()).toHaveLength(2);
    expect((await ana.queue('queued').allInnerTexts())[0]).toContain('Ben is next');
    expect((await ben.queue('queued').allInnerTexts())[1]).toContain('Ana after that');

    await ben.queue('queued').first().getByRole('button', { name: 'Edit' }).click();
    await ben.page.getByLabel('New question').fill('second, in other words');
    await ben.page.getByLabel('New question').press('Enter');
    await eventually(async () => (await ana.queue('queued').allInnerTexts())[0]).toContain('second, in other words');
    await ana.queue('queued').nth(1).getByRole('button', { name: 'Withdraw' }).click();
    await eventually(() => ben.queue('queued').count()).toBe(1);

    await ben.answers('streaming').getByText('Oak is heavy').waitFor();
    await ana.queue('running').getByRole('button', { name: 'Stop' }).click();
    await ben.answers('stopped').waitFor();
    expect(await ben.answers('stopped').locator('.note').textContent()).toContain('Stopped by Ana.');
    await ana.answers('completed').waitFor();
    const texts = await sameTexts(ana, ben, 5);
    expect(texts).toEqual(['first', 'Oak is heavy', 'second, in other words', 'third', 'Oak, again.']);
    await eventually(() => ana.page.locator('.queue').count()).toBe(0);
  });

  it('somebody who comes late sees the answer so far and the rest', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    const link = await ana.share();
    await oracle.it.answersIn(ana);
    await ana.say('Which wood?', 'assistant');
    const answer = await oracle.it.dictate('Which wood?');
    answer.write('Oak is heavy');
    await ana.answers('streaming').getByText('Oak is heavy').waitFor();
    const ben = await here.arrive('Ben');
    await ben.join(link);
    await ben.answers('streaming').getByText('Oak is heavy').waitFor();
    answer.write(', beech is red');
    for (const person of [ana, ben]) await person.answers('streaming').getByText('Oak is heavy, beech is red').waitFor();
    answer.finish('.');
    await Promise.all([ana, ben].map((p) => p.answers('completed').waitFor()));
    expect(await sameTexts(ana, ben, 2)).toEqual(['Which wood?', 'Oak is heavy, beech is red.']);
  });

  it('an answer that fails says so and leaves what it had', async () => {
    const [ana, ben] = await two();
    await ana.say('/demo error', 'assistant');
    await ben.answers('failed').waitFor();
    expect(await ben.answers('failed').locator('.note').textContent()).toContain('could not go on');
    await sameTexts(ana, ben, 2);
  });

  it('side chat stays among the people', async () => {
    const [ana, ben] = await two();
    await ben.openTab('Side chat');
    await ana.openTab('Side chat');
    const typing = await ana.watch('.typing');
    await ben.page.getByLabel('Message to side chat').pressSequentially('ps');
    await eventually(typing).toContain('Ben is typing …');
    await ben.whisper('between us');
    await eventually(() => ana.texts('side')).toEqual(['between us']);
    await ana.whisper('indeed');
    await eventually(() => ben.texts('side')).toEqual(['between us', 'indeed']);
    expect(await ana.texts()).toEqual([]);
    expect(await ana.page.locator('.queue').count()).toBe(0);
  });

  it('messages are edited, deleted and marked, for both at once', async () => {
    const [ana, ben] = await two();
    await ben.say('draft');
    await eventually(() => ana.texts()).toEqual(['draft']);
    const mine = ben.page.locator('[data-stream="main"] .message').first();
    await ben.act(mine, 'Edit');
    await ben.page.getByLabel('New text').fill('final');
    await ben.page.getByLabel('New text').press('Enter');
    await eventually(() => ana.texts()).toEqual(['final']);
    await ana.act(ana.row('final'), 'Mark as decision');
    await ben.page.locator('.message.decision').waitFor();
    await ben.act(mine, 'Delete');
    await mine.getByRole('button', { name: 'Yes, delete for everybody' }).click();
    await eventually(() => ana.texts()).toEqual(['This text was deleted.']);
  });

  it('a session is found again after a reload, with its draft', async () => {
    const [ana, ben] = await two();
    await ben.say('before the reload');
    await eventually(() => ana.texts()).toEqual(['before the reload']);
    await ana.page.getByLabel('Message', { exact: true }).fill('half a thought');
    await ana.page.reload();
    await ana.isLive();
    expect(await ana.texts()).toEqual(['before the reload']);
    expect(await ana.page.getByLabel('Message', { exact: true }).inputValue()).toBe('half a thought');
    await ana.page.goto(here.server.url);
    await ana.page.locator('.sessions a').first().click();
    await ana.isLive();
    expect(await ana.texts()).toEqual(['before the reload']);
  });
});
