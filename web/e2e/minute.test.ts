/** The first minute as the issue wants it, with its pace; runs by itself, for it measures. */

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit, overhang } from './support/audit';
import { eventually } from './support/browser';
import { house } from './support/house';

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const ANSWER = 'Three woods for six people:\n\n| wood | weight |\n|---|--:|\n| oak | 720 |\n| beech | 710 |\n\n```js\nconst boards = 6;\n```\n\nAnd now';

/** A model server as Ollama is one, whose answers end only when the test says so. */
const open: ServerResponse[] = [];
const ollama = createServer((request, response) => {
  request.resume();
  if (request.url === '/api/chat') {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (const content of ANSWER.match(/.{1,12}/gs)!) response.write(`${JSON.stringify({ model: 'oak', message: { role: 'assistant', content }, done: false })}\n`);
    open.push(response);
    return;
  }
  const answers: Record<string, object> = { '/api/version': { version: '0.12.0' }, '/api/tags': { models: [{ name: 'oak:latest' }] } };
  const answer = answers[request.url ?? ''];
  response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer ?? {}));
});
beforeAll(async () => {
  ollama.listen(0, '127.0.0.1');
  await once(ollama, 'listening');
});
afterAll(() => {
  ollama.close();
  ollama.closeAllConnections();
});

const here = house(() => ({ OLLAMA_HOST: `127.0.0.1:${(ollama.address() as AddressInfo).port}` }));

describe('the first minute', () => {
  it('is a name and one button to a live session within a second, where the assistant introduces itself', async () => {
    const ana = await here.arrive('Ana');
    await ana.page.goto(here.server.url);
    await ana.page.getByLabel('Your name').fill('Ana');
    await ana.page.evaluate(() => {
      const seen: Record<string, number> = {};
      Object.assign(globalThis, { seen });
      document.querySelector('form')!.addEventListener('submit', () => (seen['pressed'] = performance.now()), { capture: true });
      new MutationObserver(() => {
        if (document.querySelector('.connection[data-live="true"]')) seen['live'] ??= performance.now();
        if (document.querySelectorAll('[data-introduction] ul button').length >= 3) seen['introduced'] ??= performance.now();
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    await ana.page.getByRole('button', { name: 'Start a session' }).click();
    await ana.page.getByRole('heading', { name: 'Hello, I am the Guide' }).waitFor();
    await ana.isLive();
    const seen = await ana.page.evaluate(() => (globalThis as unknown as { seen: Record<string, number> }).seen);
    expect(seen['live']! - seen['pressed']!).toBeLessThan(1_000);
    expect(seen['introduced']! - seen['pressed']!).toBeLessThan(1_000);
    await ana.page.getByText('I am not an AI model').waitFor();
    await ana.page.getByRole('button', { name: 'What can you do?' }).click();
    await ana.answers('completed').waitFor();
  });

  it('goes on with a model that was found, a second person on a phone, and an answer that this one stops', async () => {
    const ana = await here.arrive('Ana', { permissions: ['clipboard-read', 'clipboard-write'] });
    const ben = await here.arrive('Ben', PHONE);
    await ana.start(here.server.url);
    await ana.page.locator('[data-introduction] [data-found]').getByRole('button', { name: 'Connect' }).click();
    await ana.page.getByRole('heading', { name: 'Hello, I am oak:latest' }).waitFor();
    await audit(ana.page);

    await ana.page.locator('header').getByRole('button', { name: 'Share', exact: true }).click();
    await ana.page.getByText('Link copied').waitFor();
    const link = await ana.page.evaluate(() => navigator.clipboard.readText());
    await ana.page.keyboard.press('Escape');
    await ana.say('Which wood?', 'assistant');

    await ben.page.goto(link);
    await ben.page.getByLabel('Your name').fill('Ben');
    await ben.page.getByRole('button', { name: 'Join', exact: true }).tap();
    for (const person of [ana, ben]) {
      const answer = person.answers('streaming');
      await answer.locator('td', { hasText: 'oak' }).waitFor();
      await answer.locator('.hljs-keyword', { hasText: 'const' }).waitFor();
      await answer.getByText('And now').waitFor();
      expect(await answer.locator('.by strong').textContent()).toBe('oak:latest');
    }
    expect(await overhang(ben.page)).toBe(0);
    await ben.queue('running').getByRole('button', { name: 'Stop' }).tap();
    for (const person of [ana, ben]) {
      await person.answers('stopped').waitFor();
      expect(await person.answers('stopped').locator('.note').textContent()).toContain('Stopped by Ben.');
      await person.answers('stopped').locator('td', { hasText: 'beech' }).waitFor();
    }
    await eventually(() => open.every((response) => response.destroyed), 'the model is still being paid').toBe(true);
  });
});
