import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { model } from './support/model';

const oracle = model();
const NO_LIMITS = { ROUNDTABLE_LIMITS_REQUESTS_PER_SECOND: '0', ROUNDTABLE_LIMITS_GUESTS_PER_SECOND: '0' };
const here = house(() => ({ ...oracle.it.env, ...NO_LIMITS }));

const PAYLOADS: string[] = readFileSync(resolve(import.meta.dirname, '../../fixtures/xss/payloads.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as string);

/** What a page did that no text may make it do. */
let deeds: string[] = [];
beforeEach(() => {
  deeds = [];
});

async function watched(name: string): Promise<Person> {
  const person = await here.arrive(name);
  person.page.on('dialog', (dialog) => {
    deeds.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  person.page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(here.server.url) && !url.startsWith('data:image/')) deeds.push(`request ${url}`);
  });
  person.page.on('popup', (popup) => deeds.push(`popup ${popup.url()}`));
  await person.page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`Content Security: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  return person;
}

/** Returns what is left in the page that could run or ask somebody. */
function remains(person: Person): Promise<string[]> {
  return person.page.evaluate(() => {
    const found: string[] = [];
    const own = (address: string) => new URL(address, location.href).origin === location.origin;
    for (const element of document.body.querySelectorAll('*')) {
      // The page's own frame, as it was served.
      if (element.parentElement === document.body && /^(?:noscript|script)$/.test(element.localName)) continue;
      const said = element.outerHTML.slice(0, 200);
      if (/^(?:iframe|object|embed|frame|base|meta|link|portal|noscript|template|style)$/i.test(element.localName)) found.push(said);
      if (element.localName === 'script' && !own(element.getAttribute('src') ?? 'x:')) found.push(said);
      const isText = element.closest('.md') !== null;
      for (const { name, value } of element.attributes) {
        if (name.startsWith('on')) found.push(`${name}: ${said}`);
        if (isText && ['style', 'id', 'name', 'srcset', 'ping', 'formaction', 'action'].includes(name)) found.push(`${name}: ${said}`);
        if (!/^(?:href|src|xlink:href|data|poster|background)$/.test(name)) continue;
        if (/^[\s\0-\x20]*(?:javascript|vbscript|data|file|blob|filesystem):/i.test(value) && !value.startsWith('data:image/')) found.push(said);
        if (name !== 'href' && isText && !own(value)) found.push(said);
      }
    }
    return found;
  });
}

async function expectOnlyText(person: Person): Promise<void> {
  expect(await remains(person)).toEqual([]);
  expect(deeds).toEqual([]);
}

const headersOf = async (person: Person) => ({
  'content-type': 'application/json',
  origin: here.server.url,
  cookie: (await person.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; '),
});

async function call(headers: Record<string, string>, method: string, path: string, body: unknown): Promise<Response> {
  const key: Record<string, string> = method === 'POST' ? { 'idempotency-key': crypto.randomUUID() } : {};
  return fetch(`${here.server.url}/api/v1${path}`, { method, headers: { ...headers, ...key }, body: JSON.stringify(body) });
}

/** Does it with all, so many at a time: the server is quicker than one caller. */
async function each<T, R>(all: readonly T[], act: (one: T) => Promise<R>, together = 10): Promise<R[]> {
  const done: R[] = [];
  for (let i = 0; i < all.length; i += together) done.push(...(await Promise.all(all.slice(i, i + together).map(act))));
  return done;
}

const sessionOf = (address: string) => /\/s\/([0-9a-f-]{36})/.exec(address)![1]!;

describe('texts that want to be more than text', () => {
  it('are at least five hundred', () => {
    expect(new Set(PAYLOADS).size).toBeGreaterThanOrEqual(500);
  });

  it('stay text in messages, in quotes, and while they are edited', { timeout: 180_000 }, async () => {
    const ana = await watched('Ana');
    const id = sessionOf(await ana.start(here.server.url));
    const headers = await headersOf(ana);
    let last = '';
    await each(PAYLOADS, async (text) => {
      const answer = await call(headers, 'POST', `/sessions/${id}/messages`, { text, stream: 'main', ask: false, ...(last ? { reply_to: last } : {}) });
      expect(answer.status, text).toBe(201);
      last = ((await answer.json()) as { id: string }).id;
    });
    await ana.page.reload();
    await ana.isLive();
    await ana.page.locator('.message').first().waitFor();
    const box = ana.page.locator('[data-name="main"] .scroll');
    const seen = new Set<string>();
    // From the end to the beginning, and each screen is looked at.
    for (;;) {
      await eventually(() => ana.page.locator('[data-stream="main"]').getAttribute('aria-busy')).toBe('false');
      for (const n of await ana.page.locator('.message').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-message')!))) seen.add(n);
      await expectOnlyText(ana);
      if ((await box.evaluate((b) => b.scrollTop)) === 0) break;
      await box.evaluate(async (b) => {
        b.scrollTop -= b.clientHeight;
        // What is there now is drawn with the next frame, and its heights are known with the one after.
        for (let frame = 0; frame < 3; frame++) await new Promise((next) => requestAnimationFrame(next));
      });
    }
    expect(seen.size).toBe(PAYLOADS.length);
    await ana.say('<img src=x onerror=alert(1)>');
    // It is the last of all, and the conversation has gone to its end.
    await eventually(() => ana.page.locator('.message').last().getAttribute('aria-posinset')).toBe(String(PAYLOADS.length + 1));
    await eventually(() => ana.pending()).toBe(0);
    await ana.act(ana.row('<img src=x onerror=alert(1)>'), 'Edit');
    await expectOnlyText(ana);
  });

  it('stay text as names and titles', { timeout: 180_000 }, async () => {
    const ana = await watched('Ana');
    const id = sessionOf(await ana.start(here.server.url));
    const link = await ana.share();
    const token = new URL(link).hash.slice(1);
    const headers = await headersOf(ana);
    const short = PAYLOADS.filter((text) => text.length <= 40 && !/[\0-\x1f\u2028\u202e\u200b]/.test(text));
    const joining = await each(short.slice(0, 60), async (name) => {
      const guest = await call({ 'content-type': 'application/json' }, 'POST', '/join', { link: token, display_name: name });
      if (guest.status >= 400) return false;
      const cookie = guest.headers.get('set-cookie')!.split(';')[0]!;
      const said = await call({ ...headers, cookie }, 'POST', `/sessions/${id}/messages`, { text: `I am here, @${name}`, stream: 'main', ask: false });
      expect(said.status).toBe(201);
      return true;
    });
    expect(joining.filter(Boolean).length).toBeGreaterThan(30);
    await expectOnlyText(ana);
    await ana.openTab('People');
    await expectOnlyText(ana);
    await ana.page.getByLabel('Message', { exact: true }).fill('@');
    await ana.page.getByRole('listbox').getByRole('option').first().waitFor();
    await expectOnlyText(ana);
    await ana.page.getByLabel('Message', { exact: true }).fill('');
    const titles = PAYLOADS.filter((text) => text.length <= 120);
    const named = await each(titles, async (title) => (await call(headers, 'PATCH', `/sessions/${id}`, { title })).status < 300);
    expect(named.filter(Boolean).length).toBeGreaterThan(200);
    await eventually(() => ana.page.locator('[data-notice="session.renamed"]').count()).toBeGreaterThan(0);
    await expectOnlyText(ana);
    await ana.page.goto(here.server.url);
    await ana.page.locator('[data-session], .sessions a').first().waitFor();
    await expectOnlyText(ana);
  });

  it('stay text in the words of a model, also while they come', { timeout: 180_000 }, async () => {
    const ana = await watched('Ana');
    await ana.start(here.server.url);
    const atOnce = 20;
    for (let part = 0; part * atOnce < PAYLOADS.length; part++) {
      const texts = PAYLOADS.slice(part * atOnce, (part + 1) * atOnce).join('\n\n');
      // Not complete before it was looked at, and cut in the middle of a text.
      const half = texts.length - Math.ceil(PAYLOADS[Math.min((part + 1) * atOnce, PAYLOADS.length) - 1]!.length / 2);
      await ana.say(`part ${part}`, 'assistant');
      const answer = await oracle.it.dictate();
      answer.write(`These are of part ${part}.\n\n${texts.slice(0, half)}`);
      await ana.answers('streaming').getByText(`These are of part ${part}.`).waitFor();
      await expectOnlyText(ana);
      answer.finish(texts.slice(half));
      await eventually(() => ana.page.locator('.queue').count()).toBe(0);
      await ana.answers('completed').getByText(`These are of part ${part}.`).waitFor();
      await expectOnlyText(ana);
    }
  });

  it('stay text as names of files', { timeout: 180_000 }, async () => {
    const ana = await watched('Ana');
    const id = sessionOf(await ana.start(here.server.url));
    const { cookie, origin } = await headersOf(ana);
    const stored = await each(PAYLOADS, async (name) => {
      const headers = { 'content-type': 'text/plain', cookie, origin, 'idempotency-key': crypto.randomUUID() };
      const path = `/sessions/${id}/attachments?name=${encodeURIComponent(name)}&stream=main`;
      const answer = await fetch(`${here.server.url}/api/v1${path}`, { method: 'POST', headers, body: '<script>alert(1)</script>' });
      return answer.status === 201 ? ((await answer.json()) as { id: string }).id : null;
    });
    const ready = stored.filter((one) => one !== null);
    let sent = 0;
    for (; sent + 10 <= ready.length; sent += 10) {
      const files = ready.slice(sent, sent + 10);
      const posted = await call({ ...(await headersOf(ana)) }, 'POST', `/sessions/${id}/messages`, { text: '', stream: 'main', ask: false, attachments: files });
      expect(posted.status).toBe(201);
      await eventually(() => ana.page.locator('.message').last().getAttribute('aria-posinset')).toBe(String(sent / 10 + 1));
      await ana.page.locator('.message').last().locator('[data-files]').waitFor();
      await expectOnlyText(ana);
    }
    expect(sent).toBeGreaterThan(400);
  });
});
