/** Chromium, and people who use it. */

import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';

/** How long a condition may take to come true. Unit: milliseconds. */
export const PATIENCE = 15_000;

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** Waits until `read` gives what `check` accepts. */
export const eventually = <T>(read: () => Promise<T> | T, message?: string) =>
  expect.poll(read, { timeout: PATIENCE, interval: 50, ...(message ? { message } : {}) });

/** One person at one browser of their own. */
export class Person {
  readonly name: string;
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page has complained about. */
  readonly faults: string[] = [];

  private constructor(name: string, context: BrowserContext, page: Page) {
    this.name = name;
    this.context = context;
    this.page = page;
    page.on('pageerror', (error) => this.faults.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && /content security|refused to/i.test(message.text())) this.faults.push(message.text());
    });
  }

  static async arrive(browser: Browser, name: string, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(PATIENCE);
    return new Person(name, context, await context.newPage());
  }

  /** Calls the server as this person's page would. Returns what it answers; throws what it refuses. */
  async call(origin: string, path: string, data: object): Promise<Record<string, string>> {
    const headers = { origin, 'idempotency-key': crypto.randomUUID() };
    const answer = await this.context.request.post(`${origin}/api/v1${path}`, { data, headers });
    if (!answer.ok()) throw new Error(`${path}: ${answer.status()} ${await answer.text()}`);
    return (await answer.json()) as Record<string, string>;
  }

  /** Is in a new session of their own, for tests that are not about how people get there. Returns a link to it. */
  async host(origin: string): Promise<string> {
    await this.call(origin, '/guests', { display_name: this.name });
    const { id } = await this.call(origin, '/sessions', { title: '' });
    const { url, token } = await this.call(origin, `/sessions/${id}/links`, { role: 'collaborator' });
    await this.page.goto(`${origin}/s/${id}`);
    await this.isLive();
    return url ?? `${origin}/join#${token}`;
  }

  /** Is in the session of a link, as `host` is. */
  async follow(link: string): Promise<void> {
    const { origin, hash } = new URL(link);
    const { session_id } = await this.call(origin, '/join', { link: decodeURIComponent(hash.slice(1)), display_name: this.name });
    await this.page.goto(`${origin}/s/${session_id}`);
    await this.isLive();
  }

  /** Types the name on the first page and starts a session. Returns its address. */
  async start(origin: string): Promise<string> {
    await this.page.goto(origin);
    await this.page.getByLabel('Your name').fill(this.name);
    await this.page.getByRole('button', { name: 'Start a session' }).click();
    await this.isLive();
    return this.page.url();
  }

  async join(link: string): Promise<void> {
    await this.page.goto(link);
    await this.page.getByLabel('Your name').fill(this.name);
    await this.page.getByRole('button', { name: 'Join', exact: true }).click();
    await this.isLive();
  }

  async isLive(): Promise<void> {
    await this.page.locator('.connection[data-live="true"]').waitFor();
  }

  connection(): Promise<string> {
    return this.page.locator('.connection').innerText();
  }

  /** Opens Share, takes the link of a role, closes it again. Returns the link's address. */
  async share(role: 'collaborator' | 'viewer' = 'collaborator'): Promise<string> {
    const share = await this.openShare();
    const field = share.locator('[data-share-url]');
    await eventually(() => field.inputValue()).toContain('/join#');
    if (role !== 'collaborator') {
      const before = await field.inputValue();
      await share.getByLabel('Whoever opens the link').selectOption(role);
      await eventually(() => field.inputValue()).not.toBe(before);
    }
    const address = await field.inputValue();
    await this.page.keyboard.press('Escape');
    await share.waitFor({ state: 'detached' });
    return address;
  }

  /** Opens the Share dialog. Returns what is in it. */
  async openShare(): Promise<Locator> {
    await this.page.locator('header').getByRole('button', { name: 'Share', exact: true }).click();
    const share = this.page.locator('[data-name="share"]');
    await share.waitFor();
    return share;
  }

  /** Shows a tab of the right side, wherever this screen has it. */
  async openTab(name: 'People' | 'Side chat' | 'Context' | 'Memory'): Promise<void> {
    const tab = this.page.getByRole('tab', { name });
    if ((await tab.count()) === 0) await this.page.locator('header').getByRole('button', { name: 'Open the side chat' }).click();
    await tab.click();
  }

  /** Chooses from the menu under the session's title. */
  async chooseFromTitle(name: string): Promise<void> {
    await this.page.locator('header h1 button').click();
    await this.page.getByRole('menuitem', { name: new RegExp(`^${name}`) }).click();
  }

  /** Writes into the composer and presses Enter. */
  async say(text: string, to: 'assistant' | 'everyone' = 'everyone'): Promise<void> {
    await this.page.getByLabel('To:').selectOption(to);
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.getByLabel('Message', { exact: true }).press('Enter');
  }

  async whisper(text: string): Promise<void> {
    await this.openTab('Side chat');
    await this.page.getByLabel('Message to side chat').fill(text);
    await this.page.getByLabel('Message to side chat').press('Enter');
  }

  /** Returns the texts of a stream that are recorded, in order; goes through a long one from its beginning, then to its end. */
  texts(stream: 'main' | 'side' = 'main'): Promise<string[]> {
    return this.page.evaluate(async (name) => {
      const feed = document.querySelector(`[data-stream="${name}"]`);
      const box = feed?.closest('.scroll');
      if (!feed || !box) return [];
      const found = new Map<number, string>();
      let count = 0;
      const gather = () => {
        for (const row of feed.querySelectorAll('.message:not(.pending)')) {
          count = Math.max(count, Number(row.getAttribute('aria-setsize')) - feed.querySelectorAll('.pending').length);
          found.set(Number(row.getAttribute('aria-posinset')), row.querySelector('.text')?.textContent ?? '');
        }
      };
      const frame = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
      gather();
      if (found.size < count) {
        for (box.scrollTop = 0; ; box.scrollTop += box.clientHeight) {
          do await frame();
          while (feed.getAttribute('aria-busy') === 'true');
          gather();
          if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) break;
        }
      }
      return [...found].sort(([a], [b]) => a - b).map(([, text]) => text);
    }, stream);
  }

  /** Returns the message that says this. */
  row(text: string, stream: 'main' | 'side' = 'main'): Locator {
    return this.page.locator(`[data-stream="${stream}"] .message`, { has: this.page.locator('.text', { hasText: text }) }).last();
  }

  /** Presses one of the buttons that a message shows under the pointer. */
  async act(row: Locator, name: string): Promise<void> {
    await row.hover();
    await row.getByRole('button', { name, exact: true }).click();
  }

  /** Chooses from the further actions of a message. */
  async choose(row: Locator, name: string): Promise<void> {
    await this.act(row, 'More actions');
    await this.page.getByRole('menuitem', { name }).click();
  }

  pending(): Promise<number> {
    return this.page.locator('.message.pending').count();
  }

  answers(state: string): Locator {
    return this.page.locator(`.message[data-answer="${state}"]`);
  }

  queue(state: 'queued' | 'running'): Locator {
    return this.page.locator(`.queue [data-state="${state}"]`);
  }

  /** Begins to note the newest answer whenever it changes while it streams. */
  async watchAnswers(): Promise<void> {
    await this.page.evaluate(() => {
      const pieces: string[] = [];
      Object.assign(globalThis, { pieces });
      const look = () => {
        const answers = document.querySelectorAll('.message[data-answer="streaming"] .text');
        const text = answers[answers.length - 1]?.textContent ?? '';
        if (text !== pieces[pieces.length - 1]) pieces.push(text);
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
  }

  /** Returns what streaming answers read since `watchAnswers`; empty where none streamed. */
  pieces(): Promise<string[]> {
    return this.page.evaluate(() => (globalThis as unknown as { pieces: string[] }).pieces);
  }

  /** Returns the different lengths of streaming answers since `watchAnswers`. */
  async lengths(): Promise<number[]> {
    return (await this.pieces()).map((text) => text.length);
  }

  /** Begins to note what matches, also what is gone again before somebody looks. Returns the texts, or that attribute of where each stands. */
  async watch(selector: string, attribute = ''): Promise<() => Promise<string>> {
    const what = { key: `seen ${selector}`, selector, attribute };
    // Here and on the pages that are opened after this one.
    await this.page.addInitScript(note, what);
    await this.page.evaluate(note, what);
    return () => this.page.evaluate((key) => [...(globalThis as unknown as Record<string, Set<string>>)[key]!].join('\n'), what.key);
  }

  async leave(): Promise<void> {
    await this.context.close();
  }
}

function note({ key, selector, attribute }: { key: string; selector: string; attribute: string }): void {
  const seen = new Set<string>();
  Object.assign(globalThis, { [key]: seen });
  const look = () => {
    for (const one of document.querySelectorAll(selector)) seen.add((attribute ? one.closest(`[${attribute}]`)?.getAttribute(attribute) : one.textContent?.trim()) ?? '');
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  look();
}
