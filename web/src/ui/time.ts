/** Times and numbers for people, in the language of `locale`. */

import { locale } from './locale.svelte';

const made = new Map<string, Intl.DateTimeFormat | Intl.RelativeTimeFormat | Intl.NumberFormat>();

/** Making a formatter costs more than using it. */
function once<F extends Intl.DateTimeFormat | Intl.RelativeTimeFormat | Intl.NumberFormat>(kind: string, make: (tag: string) => F): F {
  const { tag } = locale;
  const key = `${kind} ${tag}`;
  const known = made.get(key) as F | undefined;
  if (known) return known;
  const fresh = make(tag);
  made.set(key, fresh);
  return fresh;
}

const clock = () =>
  once('clock', (tag) => {
    const hourCycle = ownHourCycle();
    return new Intl.DateTimeFormat(tag, { hour: hourCycle === 'h12' ? 'numeric' : '2-digit', minute: '2-digit', hourCycle });
  });
const day = () => once('day', (tag) => new Intl.DateTimeFormat(tag, { dateStyle: 'medium' }));
const longDay = () => once('longDay', (tag) => new Intl.DateTimeFormat(tag, { dateStyle: 'full' }));
const exact = () => once('exact', (tag) => new Intl.DateTimeFormat(tag, { dateStyle: 'full', timeStyle: 'medium' }));
const relative = () => once('relative', (tag) => new Intl.RelativeTimeFormat(tag, { numeric: 'auto', style: 'short' }));
const number = () => once('number', (tag) => new Intl.NumberFormat(tag));

/** The page's language says how to write, the browser's own settings whether a day has 24 hours. */
function ownHourCycle(): 'h23' | 'h12' {
  const own = new Intl.DateTimeFormat(undefined, { hour: 'numeric' }).resolvedOptions();
  return own.hour12 ? 'h12' : 'h23';
}

/** Returns the time of day, with the day when it is not today. */
export function shortTime(at: string, now: Date = new Date()): string {
  const then = new Date(at);
  const time = clock().format(then);
  return then.toDateString() === now.toDateString() ? time : `${day().format(then)}, ${time}`;
}

/** Returns the time of day alone. */
export function clockTime(at: string): string {
  return clock().format(new Date(at));
}

/** Returns the whole day, for a heading. */
export function dayOf(at: string): string {
  return longDay().format(new Date(at));
}

export function exactTime(at: string): string {
  return exact().format(new Date(at));
}

const STEPS: readonly [limit: number, unit: Intl.RelativeTimeFormatUnit, size: number][] = [
  [60, 'second', 1],
  [3600, 'minute', 60],
  [86_400, 'hour', 3600],
  [7 * 86_400, 'day', 86_400],
];

/** Returns how long ago something was, in words; after a week its day. */
export function ago(at: string, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(at)) / 1000));
  // Seconds that jump are noise.
  if (seconds < 45) return relative().format(0, 'second');
  for (const [limit, unit, size] of STEPS) {
    if (seconds < limit) return relative().format(-Math.max(1, Math.round(seconds / size)), unit);
  }
  return day().format(new Date(at));
}

/** Returns a number as people write it. */
export function count(value: number): string {
  return number().format(value);
}
