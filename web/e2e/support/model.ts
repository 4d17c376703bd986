/** A model for the tests of one file: aimock answers what it knows, the test itself writes the rest word by word. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FixtureOpts, isChatCompletionBody, type JournalEntry, LLMock } from '@copilotkit/aimock';
import { afterAll, beforeAll } from 'vitest';
import { eventually, type Person } from './browser';

type Answer = Parameters<LLMock['on']>[1];

/** One answer that the test writes while the server reads it. */
export class Dictated {
  readonly #response: ServerResponse;
  readonly #body: string;
  isTaken = false;
  /** Whether whoever asked has hung up before the answer was complete. */
  isDropped = false;
  /** The key that came with the question. */
  readonly authorization: string | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, body: string) {
    this.#response = response;
    this.#body = body;
    this.authorization = request.headers.authorization;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    response.on('close', () => (this.isDropped = !response.writableFinished));
  }

  /** Whether it is to answer this question; any when none is named. */
  isOf(question?: string): boolean {
    const body = JSON.parse(this.#body) as Parameters<typeof isChatCompletionBody>[0];
    const last = isChatCompletionBody(body) ? body.messages.findLast((message) => message.role === 'user')?.content : null;
    return question === undefined || (typeof last === 'string' && asked(question).test(last));
  }

  write(text: string): void {
    const chunk = { id: 'dictated', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] };
    this.#response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }

  /** Writes the last words and says that the answer is complete. */
  finish(text = '', usage?: Record<string, number>): void {
    if (text) this.write(text);
    const last = { id: 'dictated', object: 'chat.completion.chunk', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
    this.#response.write(`data: ${JSON.stringify(last)}\n\n`);
    if (usage) this.#response.write(`data: ${JSON.stringify({ ...last, choices: [], usage })}\n\n`);
    this.#response.end('data: [DONE]\n\n');
  }
}

export class Model {
  readonly name = 'oak-table-1';
  readonly key = 'key-of-the-tests';
  readonly #upstream: Server;
  readonly #mock: LLMock;
  readonly #dictated: Dictated[] = [];

  private constructor() {
    this.#upstream = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => this.#dictated.push(new Dictated(request, response, Buffer.concat(pieces).toString())));
    });
    this.#mock = new LLMock({ host: '127.0.0.1', port: 0 });
  }

  static async start(): Promise<Model> {
    const model = new Model();
    model.#upstream.listen(0, '127.0.0.1');
    await once(model.#upstream, 'listening');
    const { port } = model.#upstream.address() as AddressInfo;
    // aimock hangs up on a silent model by itself; that must come later than any test looks.
    const bodyTimeoutMs = 600_000;
    model.#mock.enableRecording({ providers: { openai: `http://127.0.0.1:${port}` }, proxyOnly: true, bodyTimeoutMs });
    await model.#mock.start();
    return model;
  }

  /** What the server is told about it. */
  get env(): Record<string, string> {
    return { ROUNDTABLE_MODEL_URL: `${this.#mock.url}/v1`, ROUNDTABLE_MODEL_NAME: this.name, ROUNDTABLE_MODEL_KEY: this.key };
  }

  /** Makes it the assistant of the session that this person is in, where new sessions get another. */
  async answersIn({ page, context }: Person): Promise<void> {
    const { origin, pathname } = new URL(page.url());
    const headers = { origin };
    const endpoint = { provider: 'openai_compatible', url: `${this.#mock.url}/v1`, key: this.key, model: this.name, usual: false, confirm_paid: true };
    const connected = await context.request.post(`${origin}/api/v1/assistants`, { data: endpoint, headers: { ...headers, 'idempotency-key': crypto.randomUUID() } });
    if (!connected.ok()) throw new Error(`connecting: ${connected.status()} ${await connected.text()}`);
    const { name } = (await connected.json()) as { name: string };
    const chosen = await context.request.patch(`${origin}/api/v1/sessions/${pathname.split('/')[2]}`, { data: { settings: { assistant: name } }, headers });
    if (!chosen.ok()) throw new Error(`choosing: ${chosen.status()} ${await chosen.text()}`);
  }

  /** Answers this question so, whoever asks it. */
  answer(question: string, answer: Answer, options: FixtureOpts = {}): void {
    this.#mock.on({ userMessage: asked(question) }, answer, options);
  }

  /** Waits for the next question that aimock has no answer for, or for this one. */
  async dictate(question?: string): Promise<Dictated> {
    const next = () => this.#dictated.find((one) => !one.isTaken && one.isOf(question));
    await eventually(() => next() !== undefined, 'nobody asked the model').toBe(true);
    const found = next()!;
    found.isTaken = true;
    return found;
  }

  /** Returns what aimock noted about this question, oldest first; a proxied request is noted when it has ended. */
  journal(question: string): JournalEntry[] {
    return this.#mock.getRequests().filter(({ body }) => {
      const last = isChatCompletionBody(body) ? body.messages.findLast((message) => message.role === 'user')?.content : null;
      return typeof last === 'string' && asked(question).test(last);
    });
  }

  /** Returns all that aimock was asked, as it was given, oldest first; a proxied request is there when it has ended. */
  asked(): string[] {
    return this.#mock.getRequests().flatMap(({ body }) => (isChatCompletionBody(body) ? [JSON.stringify(body.messages)] : []));
  }

  async stop(): Promise<void> {
    await this.#mock.stop();
    const closed = once(this.#upstream, 'close');
    this.#upstream.close();
    this.#upstream.closeAllConnections();
    await closed;
  }
}

/** Matches a prompt that asks this; earlier questions stand in it too. Questions hold no special characters but "?". */
function asked(question: string): RegExp {
  return new RegExp(`asks="you"[^>]*>\\n${question.replaceAll('?', '\\?')}\\n`);
}

/** Starts before whatever is set up after it, and stops after it. */
export function model(): { readonly it: Model } {
  const here = {} as { it: Model };
  beforeAll(async () => {
    here.it = await Model.start();
  });
  afterAll(() => here.it?.stop());
  return here;
}
