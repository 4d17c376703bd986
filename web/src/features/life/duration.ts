/** Times that people choose: an amount and its unit. */

import { locale } from '../../ui/locale.svelte';

export const UNITS = { s: 1, min: 60, h: 3600, d: 86_400 } as const;
export type Unit = keyof typeof UNITS;
/** The longest limit that a session takes. Unit: seconds. */
export const LONGEST_S = 31_536_000;

/** Returns a time in the largest unit in which it is a whole number. */
export function split(seconds: number | null): { amount: string; unit: Unit } {
  if (seconds === null) return { amount: '', unit: 'min' };
  const unit = (['d', 'h', 'min'] as const).find((one) => seconds % UNITS[one] === 0) ?? 's';
  return { amount: String(seconds / UNITS[unit]), unit };
}

/** Returns what was written as seconds; null: nothing was; undefined: it is no time that a limit may have. */
export function joined(amount: string, unit: Unit): number | null | undefined {
  const text = amount.trim().replace(',', '.');
  if (text === '') return null;
  const seconds = Math.round(Number(text) * UNITS[unit]);
  return Number.isFinite(seconds) && seconds >= 1 && seconds <= LONGEST_S ? seconds : undefined;
}

const NAMES = { s: 'second', min: 'minute', h: 'hour', d: 'day' } as const;
const part = (amount: number, unit: Unit) =>
  new Intl.NumberFormat(locale.tag, { style: 'unit', unit: NAMES[unit], unitDisplay: 'short', maximumFractionDigits: 0 }).format(amount);

/** Returns a time in words, in its two largest units: `2 hr 5 min`. Unit: milliseconds. */
export function span(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000));
  const found: [number, Unit][] = [];
  for (const unit of ['d', 'h', 'min', 's'] as const) {
    const amount = Math.floor(rest / UNITS[unit]);
    rest -= amount * UNITS[unit];
    if (amount > 0 || found.length > 0) found.push([amount, unit]);
  }
  const shown = found.slice(0, 2).filter(([amount]) => amount > 0);
  return shown.length === 0 ? part(0, 's') : shown.map(([amount, unit]) => part(amount, unit)).join(' ');
}

/** Returns a moment as a field for local times holds it; empty: none. */
export function toField(at: string | null): string {
  if (!at) return '';
  const then = new Date(at);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}T${two(then.getHours())}:${two(then.getMinutes())}`;
}

/** Returns what a field for local times holds as a moment; null: nothing. */
export function fromField(value: string): string | null {
  return value === '' ? null : new Date(value).toISOString();
}
