import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';
import { Proxy } from './support/proxy';

const oracle = model();
const here = house(() => oracle.it.env);
let wire: Proxy;

beforeEach(async () => {
  wire = await Proxy.start(() => here.server.port);
});
afterEach(() => wire.stop());

/** Returns Ana at a wire that can be cut, and Ben at one that cannot, in one session. */
async function anaOnTheWire(): Promise<[Person, Person]> {
  const ana = await here.arrive('Ana');
  const ben = await here.arrive('Ben');
  await ana.start(wire.url);
  const { hash, pathname } = new URL(await ana.share());
  await ben.join(here.server.url + pathname + hash);
  return [ana, ben];
}

describe('the network goes', () => {
  it('what is written meanwhile waits and goes out once, in order; what was missed is caught up', async () => {
    const [ana, ben] = await anaOnTheWire();
    await ana.say('before');
    await eventually(() => ben.texts()).toEqual(['before']);
    wire.cut();
    await eventually(() => ana.connection()).toBe('reconnecting');
    await ana.say('one');
    await ana.say('two');
    await ana.whisper('three');
    await ben.say('meanwhile');
    await eventually(() => ben.texts()).toEqual(['before', 'meanwhile']);
    await eventually(() => ana.connection()).toBe('reconnecting, 3 unsent');
    expect(await ana.pending()).toBe(3);
    expect(await ana.texts()).toEqual(['before']);
    wire.mend();
    const all = ['before', 'meanwhile', 'one', 'two'];
    await eventually(() => ben.texts()).toEqual(all);
    await eventually(() => ana.texts()).toEqual(all);
    await eventually(() => ben.texts('side')).toEqual(['three']);
    await eventually(() => ana.pending()).toBe(0);
    await eventually(() => ana.connection()).toBe('live');
  });

  it('a reload while it is gone loses nothing that was written', async () => {
    const [ana, ben] = await anaOnTheWire();
    wire.cut();
    await eventually(() => ana.connection()).toBe('reconnecting');
    await ana.say('written in the dark');
    await eventually(() => ana.pending()).toBe(1);
    // The address cannot be loaded while the wire is cut: the page is left, and opened again later.
    const address = ana.page.url();
    await ana.page.goto('about:blank');
    wire.mend();
    await ana.page.goto(address);
    await ana.isLive();
    await eventually(() => ben.texts()).toEqual(['written in the dark']);
    await eventually(() => ana.texts()).toEqual(['written in the dark']);
    await eventually(() => ana.pending()).toBe(0);
  });

  it('an answer that streams goes on after a cut, whole for both', async () => {
    const [ana, ben] = await anaOnTheWire();
    const streamed = (person: Person) => person.answers('streaming').locator('.text').textContent();
    await ben.say('Which wood?', 'assistant');
    const answer = await oracle.it.dictate('Which wood?');
    answer.write('Oak is heavy');
    await eventually(() => streamed(ana)).toBe('Oak is heavy');
    wire.cut();
    await eventually(() => ana.connection()).toBe('reconnecting');
    answer.write(', beech is red');
    await eventually(() => streamed(ben)).toBe('Oak is heavy, beech is red');
    expect(await streamed(ana)).toBe('Oak is heavy');
    wire.mend();
    await eventually(() => streamed(ana)).toBe('Oak is heavy, beech is red');
    answer.write(', larch is for outside');
    for (const person of [ana, ben]) await eventually(() => streamed(person)).toBe('Oak is heavy, beech is red, larch is for outside');
    answer.finish('.');
    const texts = ['Which wood?', 'Oak is heavy, beech is red, larch is for outside.'];
    for (const person of [ana, ben]) {
      await person.answers('completed').waitFor();
      await eventually(() => person.texts()).toEqual(texts);
    }
  });

  it('a browser that is offline says so', async () => {
    const [ana] = await anaOnTheWire();
    wire.cut();
    await ana.context.setOffline(true);
    await eventually(() => ana.connection()).toBe('offline');
    await ana.say('later');
    await eventually(() => ana.connection()).toBe('offline, 1 unsent');
    wire.mend();
    await ana.context.setOffline(false);
    await eventually(() => ana.connection()).toBe('live');
    await eventually(() => ana.texts()).toEqual(['later']);
  });
});
