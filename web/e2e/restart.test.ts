import { describe, expect, it } from 'vitest';
import { eventually } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house(() => oracle.it.env);

describe('the server is killed', () => {
  it('in the middle of an answer: nothing acknowledged is lost, nothing is doubled, the answer says that it was lost', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    await ana.start(here.server.url);
    await ben.join(await ana.share());
    const session = /\/s\/([0-9a-f-]{36})/.exec(ana.page.url())![1];
    const before = ['one', 'two', 'three', 'four', 'five'];
    for (const [i, text] of before.entries()) await (i % 2 === 0 ? ana : ben).say(text);
    await eventually(async () => (await ana.texts()).toSorted()).toEqual(before.toSorted());
    await eventually(() => ana.pending()).toBe(0);
    await eventually(() => ben.pending()).toBe(0);
    const order = await ana.texts();

    oracle.it.answer('and then this', { content: 'That too.' });
    await ana.say('Tell us everything', 'assistant');
    const answer = await oracle.it.dictate('Tell us everything');
    await ben.say('and then this', 'assistant');
    await eventually(() => ana.queue('queued').count()).toBe(1);
    // What was recorded of the answer must stand: it goes on until the server has more than one durable piece of it.
    const kept = async () => {
      answer.write('a word after a word ');
      const { events } = (await (await ana.context.request.get(`${here.server.url}/api/v1/sessions/${session}/events?after=0&limit=500`)).json()) as { events: { kind: string }[] };
      return events.filter(({ kind }) => kind === 'turn.progressed').length;
    };
    await eventually(kept).toBeGreaterThan(1);
    await here.server.kill();
    await eventually(() => ana.connection()).toBe('reconnecting');
    await eventually(() => ben.connection()).toBe('reconnecting');
    await ana.say('while it was down');
    await eventually(() => ana.connection()).toBe('reconnecting, 1 unsent');
    await here.server.restart();

    await Promise.all([ana.isLive(), ben.isLive()]);
    await ana.answers('lost').waitFor({ timeout: 45_000 });
    await ben.answers('lost').waitFor();
    expect(await ben.answers('lost').locator('.note').textContent()).toContain('was lost');
    // The queue goes on with whoever was next.
    await Promise.all([ana, ben].map((p) => p.answers('completed').waitFor()));
    await eventually(() => ana.pending()).toBe(0);
    await eventually(async () => (await ana.texts()).includes('while it was down')).toBe(true);
    const texts = await ana.texts();
    await eventually(() => ben.texts()).toEqual(texts);
    expect(texts.slice(0, 5)).toEqual(order);
    for (const text of [...before, 'Tell us everything', 'and then this', 'while it was down']) {
      expect(texts.filter((t) => t === text), text).toHaveLength(1);
    }
    expect(texts).toHaveLength(10);
    const lost = (await ana.answers('lost').locator('.text').textContent())!;
    expect(lost).toMatch(/^(?:a word after a word ?){2,}/);
    await ana.page.reload();
    await ana.isLive();
    expect(await ana.texts()).toEqual(texts);
  });
});
