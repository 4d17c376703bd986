/** A server and a browser for the tests of one file. */

import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, onTestFailed } from 'vitest';
import { launch, Person } from './browser';
import { Server } from './server';

export interface House {
  server: Server;
  browser: Browser;
  /** Brings somebody to a browser of their own; they leave when the test ends. */
  arrive(name: string, options?: BrowserContextOptions): Promise<Person>;
  /** Brings two to one session, Ana its owner and Ben a collaborator, for tests that are not about how they got there. */
  two(options?: { ana?: BrowserContextOptions; ben?: BrowserContextOptions }): Promise<[Person, Person]>;
}

/** `env` is read when the server starts: what it needs may be made before. */
export function house(env: () => Record<string, string> = () => ({})): House {
  const people: Person[] = [];
  const here = {
    arrive: async (name: string, options: BrowserContextOptions = {}) => {
      onTestFailed(async () => {
        console.error(here.server.log);
        for (const person of people) console.error(person.name, person.faults, await person.page.innerText('body').catch(() => ''));
      });
      const person = await Person.arrive(here.browser, name, options);
      people.push(person);
      return person;
    },
    two: async (options: { ana?: BrowserContextOptions; ben?: BrowserContextOptions } = {}) => {
      const [ana, ben] = await Promise.all([here.arrive('Ana', options.ana), here.arrive('Ben', options.ben)]);
      await ben.follow(await ana.host(here.server.url));
      return [ana, ben];
    },
  } as House;
  beforeAll(async () => {
    [here.server, here.browser] = await Promise.all([Server.start(env()), launch()]);
  });
  afterEach(async () => {
    const gone = people.splice(0);
    await Promise.all(gone.map((person) => person.leave()));
    for (const person of gone) expect(person.faults, `${person.name}'s page complained`).toEqual([]);
  });
  afterAll(async () => {
    await here.browser?.close();
    await here.server?.stop();
  });
  return here;
}
