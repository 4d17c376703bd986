import { describe, expect, it } from 'vitest';
import { tasks, watchTasks } from './support/audit';
import { eventually, type Person } from './support/browser';
import { house } from './support/house';

/** No limit: the test itself writes more than anybody would. */
const here = house(() => ({ ROUNDTABLE_LIMITS_REQUESTS_PER_SECOND: '0' }));
const MANY = 10_000;

/** Writes so many messages by the door that programs use. */
async function write(person: Person, session: string): Promise<void> {
  const cookie = (await person.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const post = async (i: number) => {
    const text = i % 7 === 0 ? `number ${i}\n\n- a point\n- another **point**` : i % 11 === 0 ? `number ${i}\n\n${'words '.repeat(60)}` : `number ${i}`;
    const response = await fetch(`${here.server.url}/api/v1/sessions/${session}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie, origin: here.server.url, 'idempotency-key': `long-${i}` },
      body: JSON.stringify({ text, stream: 'main', ask: false }),
    });
    expect(response.status).toBe(201);
    await response.arrayBuffer();
  };
  // In order enough: what is in flight at once may change places.
  for (let i = 0; i < MANY; i += 100) await Promise.all(Array.from({ length: 100 }, (_, j) => post(i + j)));
}

describe('a session of ten thousand messages', () => {
  it(
    'opens at its end at once, scrolls anywhere without a jump, and never holds the page up for 50 ms',
    { timeout: 300_000 },
    async () => {
      const ana = await here.arrive('Ana');
      const address = await ana.start(here.server.url);
      await ana.page.goto('about:blank');
      await ana.page.goto(here.server.url);
      await write(ana, address.split('/s/')[1]!);

      await ana.page.goto(address);
      await ana.isLive();
      const rows = ana.page.locator('[data-stream="main"] .message');
      await rows.last().waitFor();
      await eventually(() => rows.last().getAttribute('aria-posinset')).toBe(String(MANY));
      const box = ana.page.locator('[data-name="main"] .scroll');
      await eventually(() => box.evaluate((b) => b.scrollHeight - b.scrollTop - b.clientHeight)).toBeLessThan(2);
      expect(await rows.count()).toBeLessThan(80);

      await watchTasks(here.browser, ana.page);

      // By the wheel through unloaded pages: the row under the eye moves as far as the wheel, not further.
      const jumps = await box.evaluate(async (b) => {
        const frame = () => new Promise((next) => requestAnimationFrame(next));
        const jumps: number[] = [];
        const feed = b.querySelector('[role="feed"]')!;
        for (let step = 0; step < 120; step++) {
          while (feed.getAttribute('aria-busy') === 'true') await frame();
          const middle = b.getBoundingClientRect().top + b.clientHeight / 2;
          const row = [...b.querySelectorAll('[data-key]')].find((r) => r.getBoundingClientRect().bottom > middle);
          const before = row?.getBoundingClientRect().top ?? 0;
          b.scrollTop -= 240;
          await frame();
          await frame();
          if (row?.isConnected) jumps.push(Math.abs(row.getBoundingClientRect().top - before - 240));
        }
        return jumps;
      });
      expect(jumps.length).toBeGreaterThan(60);
      expect(Math.max(...jumps)).toBeLessThan(2);

      // By the scrollbar to anywhere.
      for (const part of [0, 0.5, 0.25, 0.9]) {
        await box.evaluate((b, p) => (b.scrollTop = p * (b.scrollHeight - b.clientHeight)), part);
        await eventually(() => box.evaluate((b) => [...b.querySelectorAll('[data-stream="main"] > div')].some((r) => r.getBoundingClientRect().bottom > b.getBoundingClientRect().top && r.querySelector('.message')))).toBe(true);
      }
      await box.evaluate((b) => (b.scrollTop = 0));
      await eventually(() => rows.first().getAttribute('aria-posinset')).toBe('1');
      await ana.row('number 0').waitFor();

      await ana.page.locator('[data-to-end]').click();
      await eventually(() => rows.last().getAttribute('aria-posinset')).toBe(String(MANY));
      await eventually(() => box.evaluate((b) => b.scrollHeight - b.scrollTop - b.clientHeight)).toBeLessThan(2);
      const { count, long } = await tasks(here.browser);
      expect(count).toBeGreaterThan(1_000);
      expect(long).toEqual([]);
    },
  );
});
