import { deflateSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { audit } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';
import { Proxy } from './support/proxy';

const here = house();
let wire: Proxy;
beforeEach(async () => {
  wire = await Proxy.start(() => here.server.port);
});
afterEach(() => wire.stop());

async function two(): Promise<[Person, Person]> {
  const ana = await here.arrive('Ana');
  const ben = await here.arrive('Ben');
  await ana.start(wire.url);
  const link = new URL(await ana.share());
  await ben.join(here.server.url + link.pathname + link.hash);
  return [ana, ben];
}

const composer = (person: Person) => person.page.getByLabel('Message', { exact: true });
const uploads = (person: Person, state: string) => person.page.locator(`[data-uploads] [data-upload="${state}"]`);

/** Makes a picture of one colour. */
function png(width: number, height: number): Buffer {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  const crc = (bytes: Buffer) => (bytes.reduce((c, byte) => table[(c ^ byte) & 255]! ^ (c >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const line = Buffer.alloc(1 + width * 3, 120);
  line[0] = 0;
  const data = deflateSync(Buffer.concat(Array.from({ length: height }, () => line)));
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

const picture = { name: 'plan.png', mimeType: 'image/png', buffer: png(400, 300) };
const notes = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('two boards') };

describe('files', () => {
  it('go with a message, with a preview; both see the picture in its proportions, others as a download', async () => {
    const [ana, ben] = await two();
    await ana.page.locator('.composer input[type="file"]').first().setInputFiles([picture, notes]);
    await eventually(() => uploads(ana, 'ready').count()).toBe(2);
    await uploads(ana, 'ready').locator('img').waitFor();
    await audit(ana.page);
    await composer(ana).press('Enter');
    const image = ben.page.locator('[data-files] img[alt="Image plan.png"]');
    await image.waitFor();
    await eventually(() => image.evaluate((i: HTMLImageElement) => i.complete && i.naturalWidth)).toBe(400);
    const size = (await image.boundingBox())!;
    expect(size.width / size.height).toBeCloseTo(4 / 3, 1);
    await ben.page.getByRole('link', { name: /Download notes.txt/ }).waitFor();
    expect(await uploads(ana, 'ready').count()).toBe(0);
    await ana.act(ana.page.locator('.message', { has: ana.page.locator('[data-files]') }), 'Delete');
    await ana.page.getByRole('button', { name: 'Yes, delete for everybody' }).click();
    await image.waitFor({ state: 'detached' });
  });

  it('are dropped and pasted, and lie in the draft after a reload', async () => {
    const [ana, ben] = await two();
    const give = (kind: 'drop' | 'paste', name: string) =>
      composer(ana).evaluate(
        (field, [how, called]) => {
          const data = new DataTransfer();
          data.items.add(new File(['some words'], called, { type: 'text/plain' }));
          field.dispatchEvent(
            how === 'drop'
              ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
          );
        },
        [kind, name] as const,
      );
    await give('drop', 'dropped.txt');
    await give('paste', 'pasted.txt');
    await eventually(() => uploads(ana, 'ready').count()).toBe(2);
    await ana.page.reload();
    await ana.isLive();
    await eventually(() => uploads(ana, 'ready').count()).toBe(2);
    await ana.page.getByRole('button', { name: 'Take pasted.txt away' }).click();
    await composer(ana).fill('with a word');
    await composer(ana).press('Enter');
    await ben.page.getByRole('link', { name: /Download dropped.txt/ }).waitFor();
    expect(await ben.page.getByRole('link', { name: /Download pasted.txt/ }).count()).toBe(0);
  });

  it('that are too large, or cannot be sent, say so; what failed is sent again', async () => {
    const [ana] = await two();
    const field = ana.page.locator('.composer input[type="file"]').first();
    // Made where it is chosen: on its way to the browser it would be longer than the test.
    await field.evaluate((input: HTMLInputElement) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(26 * 1024 * 1024 + 1)], 'huge.bin'));
      input.files = data.files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
    });
    await uploads(ana, 'too_large').getByText('at most 25 MiB').waitFor();
    await ana.page.getByRole('button', { name: 'Take huge.bin away' }).click();
    wire.cut();
    await field.setInputFiles(notes);
    await uploads(ana, 'failed').waitFor();
    wire.mend();
    await ana.page.getByRole('button', { name: 'Try again' }).click();
    await uploads(ana, 'ready').waitFor();
  });
});

describe('a file on its way', () => {
  /** Lets so much out in a second, as a bad line does. Unit: bytes. */
  async function slow(person: Person, bytes: number): Promise<void> {
    const line = await person.context.newCDPSession(person.page);
    await line.send('Network.enable');
    await line.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes });
  }

  it('says how far it is, holds the message back meanwhile, and is taken away at any time; what is written stays', async () => {
    const [ana, ben] = await two();
    // Half a minute for all of it: it is not there before the test is through.
    await slow(ana, 120_000);
    await ana.page.getByLabel('To:').selectOption('everyone');
    await composer(ana).fill('the plan');
    const field = ana.page.locator('.composer input[type="file"]').first();
    await field.setInputFiles({ name: 'plan.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(4_000_000, 7) });
    const bar = uploads(ana, 'sending').getByRole('progressbar');
    const share = async () => Number(await bar.getAttribute('aria-valuenow').catch(() => '100'));
    await eventually(share).toBeGreaterThan(5);
    const before = await share();
    await eventually(share).toBeGreaterThan(before);
    expect(await bar.getAttribute('aria-label')).toContain('Sending plan.bin');
    expect(await ana.page.getByRole('button', { name: 'Send', exact: true }).isDisabled()).toBe(true);
    await composer(ana).press('Enter');
    expect(await composer(ana).inputValue()).toBe('the plan');

    await ana.page.getByRole('button', { name: 'Take plan.bin away' }).click();
    await eventually(() => ana.page.locator('[data-uploads]').count()).toBe(0);
    expect(await composer(ana).inputValue()).toBe('the plan');
    await composer(ana).press('Enter');
    await eventually(() => ben.texts()).toEqual(['the plan']);
    expect(await ben.page.locator('[data-files]').count()).toBe(0);
  });

  it('that the server does not take says why and what to do, and nothing typed is lost', async () => {
    const ana = await here.arrive('Ana', { serviceWorkers: 'block' });
    await ana.start(here.server.url);
    const refusals = [
      [507, 'storage_full', 'The disk is full', true, 'Tell whoever runs it; what you wrote stays here.'],
      [429, 'rate_limited', 'Too many requests', true, 'Wait a moment, then try again.'],
      [403, 'forbidden', 'Your role does not allow this', false, 'Ask an owner or moderator.'],
      [413, 'attachment_too_large', 'The attachment is larger than 25 MiB', false, 'Send a smaller one'],
    ] as const;
    let answer: (typeof refusals)[number] | null = null;
    await ana.page.route('**/attachments?*', (route) => {
      if (!answer) return route.continue();
      const [status, code, title, retryable] = answer;
      const body = JSON.stringify({ type: `/api/problems#${code}`, title, status, detail: title, code, retryable });
      return route.fulfill({ status, contentType: 'application/problem+json', body });
    });
    await composer(ana).fill('with a file');
    const field = ana.page.locator('.composer input[type="file"]').first();
    for (answer of refusals) {
      await field.setInputFiles(notes);
      await ana.page.locator('[data-uploads] [role="alert"]', { hasText: answer[4] }).waitFor();
      expect(await composer(ana).inputValue()).toBe('with a file');
      await audit(ana.page);
    }
    // The first three can be tried again, which now works; the last is too large for ever.
    answer = null;
    for (let left = 3; left > 0; left--) {
      await ana.page.getByRole('button', { name: 'Try again' }).first().click();
      await eventually(() => uploads(ana, 'failed').count()).toBe(left - 1);
    }
    await eventually(() => uploads(ana, 'ready').count()).toBe(3);
    await uploads(ana, 'too_large').getByRole('button', { name: 'Take notes.txt away' }).click();
    await composer(ana).press('Enter');
    await eventually(() => ana.page.locator('[data-files] a').count()).toBe(3);
  });

  it('is one of ten at most, and that is said', async () => {
    const ana = await here.arrive('Ana');
    await ana.start(here.server.url);
    await composer(ana).fill('many');
    await ana.page.locator('.composer input[type="file"]').first().setInputFiles(Array.from({ length: 11 }, (_, i) => ({ ...notes, name: `notes-${i}.txt` })));
    await ana.page.getByText('At most 10 files go with a message.').waitFor();
    await eventually(() => uploads(ana, 'ready').count()).toBe(10);
    expect(await composer(ana).inputValue()).toBe('many');
  });
});
