import { describe, expect, it } from 'vitest';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const here = house(() => oracle.it.env);

const ANSWER =
  'Oak. It is heavy, it is hard, and it forgives a spilled glass. For a round table of six take boards of 30 mm, ' +
  'let them lie a fortnight in the room where they will stay, and oil them – “little, but often” – before anybody sits down.';
const USAGE = { prompt_tokens: 1203, completion_tokens: 87 };

const two = () => here.two();

/** Returns what is recorded of this kind, oldest first. */
async function recorded(person: Person, kind: string): Promise<Record<string, unknown>[]> {
  const session = /\/s\/([0-9a-f-]{36})/.exec(person.page.url())![1];
  const response = await person.context.request.get(`${here.server.url}/api/v1/sessions/${session}/events?stream=main&after=0&limit=500`);
  expect(response.status()).toBe(200);
  const { events } = (await response.json()) as { events: { kind: string; data: Record<string, unknown> }[] };
  return events.filter((event) => event.kind === kind).map((event) => event.data);
}

/** Asks, and waits until both have the whole answer. */
async function answered(asker: Person, question: string, everybody: Person[]): Promise<void> {
  const before = await asker.answers('completed').count();
  oracle.it.answer(question, { content: 'Beech will do.' });
  await asker.say(question, 'assistant');
  for (const person of everybody) {
    await eventually(() => person.answers('completed').count()).toBe(before + 1);
    await eventually(async () => (await person.texts()).slice(-2)).toEqual([question, 'Beech will do.']);
    await eventually(() => person.page.locator('.queue').count()).toBe(0);
  }
}

const streaming = (person: Person) => person.answers('streaming').locator('.text').textContent();

describe('a session whose assistant is a model', () => {
  it('both see the same words as they come, under the name of the model, and what it cost is recorded', async () => {
    const [ana, ben] = await two();
    await ana.say('Which wood?', 'assistant');
    const answer = await oracle.it.dictate();
    const words = ANSWER.match(/(?:\S+\s*){1,4}/g)!;
    expect(words.length).toBeGreaterThan(8);
    for (const [i, piece] of words.entries()) {
      answer.write(piece);
      for (const person of [ana, ben]) await eventually(() => streaming(person)).toBe(words.slice(0, i + 1).join('').trim());
    }
    answer.finish('', USAGE);
    for (const person of [ana, ben]) {
      await person.answers('completed').waitFor();
      await eventually(() => person.texts()).toEqual(['Which wood?', ANSWER]);
      expect(await person.answers('completed').locator('.by strong').first().textContent()).toBe(oracle.it.name);
      expect(await person.answers('completed').locator('.label').first().textContent()).toBe('AI model');
    }
    await eventually(() => oracle.it.journal('Which wood?').map((entry) => entry.response)).toMatchObject([{ status: 200, source: 'proxy' }]);
    const usage = { input_uncached: 1203, cache_read: 0, cache_write: 0, output: 87, reasoning: 0, source: 'reported' };
    expect(await recorded(ana, 'turn.completed')).toMatchObject([{ length: ANSWER.length, usage }]);
  });

  it('the model is told who said what, and nothing of side chat', async () => {
    const [ana, ben] = await two();
    await ana.whisper('the birch is a secret');
    await ben.whisper('so is the price');
    await eventually(() => ana.texts('side')).toEqual(['the birch is a secret', 'so is the price']);
    await ben.say('I would like six seats.');
    await eventually(() => ana.texts()).toEqual(['I would like six seats.']);
    await answered(ana, 'How large must it be?', [ana, ben]);
    await ben.whisper('the larch too');
    await eventually(() => ana.texts('side')).toHaveLength(3);
    await answered(ben, 'And how high?', [ana, ben]);

    const [first, second, ...more] = [...oracle.it.journal('How large must it be?'), ...oracle.it.journal('And how high?')];
    expect(more).toEqual([]);
    for (const entry of [first, second]) {
      const received = JSON.stringify(entry);
      for (const secret of ['birch', 'price', 'larch']) expect(received).not.toContain(secret);
      expect(entry!.body).toMatchObject({ model: oracle.it.name, stream: true });
    }
    const text = (entry: typeof first) => (entry!.body as { messages: { content: string }[] }).messages.map((m) => m.content).join('\n');
    expect(text(first)).toMatch(/from="Ben"[^>]*>\nI would like six seats\.\n/);
    expect(text(first)).toMatch(/from="Ana"[^>]*>\nHow large must it be\?\n/);
    expect(text(second)).toMatch(/from="Ben"[^>]*>\nAnd how high\?\n/);
    expect((second!.body as { messages: unknown[] }).messages).toContainEqual({ role: 'assistant', content: 'Beech will do.' });
  });

  it('Stop ends the answer for both and hangs up on the model; the next question is answered', async () => {
    const [ana, ben] = await two();
    const question = 'Tell us everything about glue';
    await ben.say(question, 'assistant');
    const answer = await oracle.it.dictate();
    expect(answer.authorization).toBe(`Bearer ${oracle.it.key}`);
    answer.write('Glue is older ');
    // Rendered: a blank at the end of what has come shows nothing.
    for (const person of [ana, ben]) await eventually(() => streaming(person)).toBe('Glue is older');
    answer.write('than the wheel');
    for (const person of [ana, ben]) await eventually(() => streaming(person)).toBe('Glue is older than the wheel');
    expect(answer.isDropped).toBe(false);
    expect(oracle.it.journal(question)).toEqual([]);

    await ana.queue('running').getByRole('button', { name: 'Stop' }).click();
    for (const person of [ana, ben]) {
      await person.answers('stopped').waitFor();
      expect(await person.answers('stopped').locator('.note').textContent()).toContain('Stopped by Ana.');
      await eventually(() => person.texts()).toEqual([question, 'Glue is older than the wheel']);
    }
    await eventually(() => answer.isDropped, 'the model is still listened to').toBe(true);
    await eventually(() => oracle.it.journal(question).map((entry) => entry.response)).toMatchObject([
      { source: 'proxy', interrupted: true, interruptReason: 'client aborted' },
    ]);
    await answered(ben, 'In one word?', [ana, ben]);
    expect(await ana.answers('stopped').count()).toBe(1);
  });

  it('a model that fails says so in words, and the session goes on', async () => {
    const [ana, ben] = await two();
    const fails = async (asker: Person, question: string, words: string) => {
      const before = await asker.answers('failed').count();
      await asker.say(question, 'assistant');
      for (const person of [ana, ben]) {
        await eventually(() => person.answers('failed').count()).toBe(before + 1);
        const note = await person.answers('failed').last().locator('.note').textContent();
        expect(note!.trim().replace(/\s+Ask again$/, '')).toBe(`The assistant could not go on: ${words}`);
        expect(await person.page.innerText('body')).not.toContain('words of the endpoint');
      }
    };
    const error = { message: 'words of the endpoint' };
    oracle.it.answer('Who is too many?', { error, status: 429, retryAfter: 120 });
    await fails(ana, 'Who is too many?', "The model's endpoint asks to slow down. Try again in 120 seconds.");
    expect(oracle.it.journal('Who is too many?')).toHaveLength(1);

    oracle.it.answer('Who is broken?', { error, status: 500 });
    await fails(ben, 'Who is broken?', "The model's endpoint had an error (status 500).");
    expect(oracle.it.journal('Who is broken?'), 'tried again while no word had come').toHaveLength(3);

    oracle.it.answer('Who is cut?', { content: ANSWER }, { chunkSize: 8, latency: 30, truncateAfterChunks: 4 });
    await fails(ana, 'Who is cut?', 'The connection to the model was cut before the answer was complete.');
    const rest = (await ana.texts()).at(-1)!;
    expect(rest.length).toBeGreaterThan(0);
    expect(ANSWER.startsWith(rest)).toBe(true);
    expect(await ben.texts()).toEqual(await ana.texts());
    expect(oracle.it.journal('Who is cut?'), 'asked once: words had come').toHaveLength(1);

    await answered(ben, 'Who is left?', [ana, ben]);
    expect((await recorded(ana, 'turn.failed')).map((failed) => failed['code'])).toEqual([
      'model_rate_limited',
      'model_failed',
      'model_failed',
    ]);
  });
});
