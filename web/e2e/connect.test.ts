import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from './support/audit';
import { eventually } from './support/browser';
import { house } from './support/house';

/** A model server as Ollama is one: its models, and one answer. */
const ollama = createServer((request, response) => {
  request.resume();
  const answers: Record<string, object> = {
    '/api/version': { version: '0.12.0' },
    '/api/tags': { models: [{ name: 'llama3.2:latest' }, { name: 'qwen3:8b' }] },
    '/v1/models': { data: [{ id: 'llama3.2:latest', owned_by: 'library' }] },
    '/api/chat': { model: 'qwen3:8b', message: { role: 'assistant', content: 'I am the model.' }, done: true, done_reason: 'stop' },
  };
  const answer = answers[request.url ?? ''];
  response.writeHead(answer ? 200 : 404, { 'content-type': 'application/x-ndjson' });
  response.end(`${JSON.stringify(answer ?? {})}\n`);
});

beforeAll(async () => {
  ollama.listen(0, '127.0.0.1');
  await once(ollama, 'listening');
});
afterAll(() => void ollama.close());

const here = house(() => ({ OLLAMA_HOST: `127.0.0.1:${(ollama.address() as AddressInfo).port}`, ANTHROPIC_API_KEY: 'sk-ant-a-key-of-the-tests' }));

describe('a model that is at hand', () => {
  it('is found, connected from the session, answers there at once, and everybody sees who answers', async () => {
    const ana = await here.arrive('Ana');
    const ben = await here.arrive('Ben');
    await ana.start(here.server.url);
    await ben.join(await ana.share());
    const header = (who: typeof ana) => who.page.locator('header [data-assistant]');
    expect(await header(ana).innerText()).toBe('Guide');
    await header(ana).click();
    await ana.page.getByRole('menuitem', { name: 'Connect a model' }).click();
    const card = ana.page.getByRole('dialog').locator('[data-found]', { hasText: 'Ollama' });
    await card.getByLabel('Model').selectOption('qwen3:8b');
    await audit(ana.page);
    await card.getByRole('button', { name: 'Connect' }).click();
    for (const who of [ana, ben]) await eventually(() => header(who).innerText()).toContain('qwen3:8b');
    await ana.say('Who are you?', 'assistant');
    for (const who of [ana, ben]) {
      await who.answers('completed').waitFor();
      await eventually(async () => (await who.texts()).at(-1)?.trim()).toBe('I am the model.');
    }
    await header(ana).click();
    await ana.page.getByRole('menuitem', { name: /^Guide/ }).click();
    for (const who of [ana, ben]) await eventually(() => header(who).innerText()).toBe('Guide');
  });

  it('that costs money is not used before somebody has said so', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await ana.page.goto(here.server.url);
    const card = ana.page.locator('[data-found]', { hasText: 'Anthropic' });
    await card.getByText('costs money').waitFor();
    expect(await ana.page.innerText('body')).not.toContain('sk-ant');
    await card.getByRole('button', { name: 'Connect' }).click();
    await ana.page.getByRole('heading', { name: 'This key costs money' }).waitFor();
    await audit(ana.page);
    await ana.page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).last().click();
    await eventually(() => ana.page.getByRole('dialog').count()).toBe(0);
    const list = await (await ana.context.request.get(`${here.server.url}/api/v1/assistants`)).json();
    expect((list as { assistants: { provider: string }[] }).assistants.map((one) => one.provider)).not.toContain('anthropic');
  });
});
