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
    await field.setInputFiles({ name: 'huge.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(26 * 1024 * 1024 + 1) });
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
