/** What is measured of a page: help for those who need it, sizes, movement. */

import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, Page } from 'playwright-core';
import { expect } from 'vitest';

/** Returns what axe calls serious or critical. */
export async function faultsFor(page: Page): Promise<string[]> {
  // All is in one document: the legacy mode asks it at once, the other opens a page for each question.
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] }).analyze();
  const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  return bad.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `${n.html} ${n.any.map((a) => a.message).join('; ')}`).join('\n')}`);
}

export async function audit(page: Page): Promise<void> {
  expect(await faultsFor(page), page.url()).toEqual([]);
}

/** How much wider the page is than the screen. Unit: CSS pixels. */
export const overhang = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Returns what can be pressed inside `within` and is smaller than a finger (44 px), by name and size. */
export function smallTargets(page: Page, within: string): Promise<string[]> {
  return page.evaluate(async (selector) => {
    // What is still growing into its place is measured once it is there.
    await Promise.all(document.getAnimations().map((one) => one.effect?.getTiming().iterations === Infinity || one.finished.catch(() => {})));
    const roots = [...document.querySelectorAll(selector)];
    const all = roots.flatMap((root) => [...root.querySelectorAll<HTMLElement>('button, a[href], select, input, textarea, [role="tab"], [role="menuitem"]')]);
    return all
      .filter((one) => one.checkVisibility({ opacityProperty: false }) && !one.closest('[aria-hidden="true"]'))
      .map((one) => {
        // A field inside its label is pressed by pressing the label.
        const box = (one.closest('label') ?? one).getBoundingClientRect();
        return { name: one.getAttribute('aria-label') ?? one.textContent?.trim() ?? one.tagName, width: box.width, height: box.height };
      })
      .filter(({ width, height }) => width > 0 && (Math.round(width) < 44 || Math.round(height) < 44))
      .map(({ name, width, height }) => `${name}: ${Math.round(width)} x ${Math.round(height)}`);
  }, within);
}

/** Begins to add up how much things jump without a person's doing. */
export const watchShifts = (page: Page): Promise<void> => page.evaluate(addShifts);

/** Does so from the beginning of every page that is opened from now on. */
export const watchShiftsFromStart = (page: Page): Promise<unknown> => page.addInitScript(addShifts);

function addShifts(): void {
  const shifts: string[] = [];
  Object.assign(globalThis, { shifts, shifted: 0 });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean; sources: { node: Node | null }[] })[]) {
      if (entry.hadRecentInput) continue;
      (globalThis as unknown as { shifted: number }).shifted += entry.value;
      shifts.push(`${entry.value.toFixed(4)} ${entry.sources.map((s) => (s.node as HTMLElement | null)?.outerHTML?.slice(0, 120)).join(' | ')}`);
    }
  }).observe({ type: 'layout-shift', buffered: false });
}

/** Returns the sum since `watchShifts`, and what moved. */
export function shifts(page: Page): Promise<{ sum: number; what: string[] }> {
  return page.evaluate(() => {
    const { shifted, shifts } = globalThis as unknown as { shifted: number; shifts: string[] };
    return { sum: shifted, what: shifts };
  });
}

/** Begins to note what the threads of pages do. */
export const watchTasks = (browser: Browser, page: Page): Promise<void> => browser.startTracing(page, { categories: ['toplevel'] });

interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  /** How much of its thread's processor time it took. Unit: microseconds. */
  tdur?: number;
  args: { name?: string };
}

/**
 * Returns how many tasks pages had on their main threads since `watchTasks`, and those that took 50 ms or more. Unit: ms.
 *
 * Counted is the thread's own time at the processor: on a busy machine the clock on the wall goes on while others have their turn.
 */
export async function tasks(browser: Browser): Promise<{ count: number; long: number[] }> {
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const isMain = new Set(traceEvents.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid} ${e.tid}`));
  const all = traceEvents.filter((e) => e.name === 'ThreadControllerImpl::RunTask' && e.tdur !== undefined && isMain.has(`${e.pid} ${e.tid}`));
  return { count: all.length, long: all.map((e) => Math.round(e.tdur! / 1000)).filter((ms) => ms >= 50) };
}
