/** Places and people of the shared context, in words. */

import { t } from '../../app/i18n';
import { ago } from '../../ui/time';
import type { Live } from '../session/live.svelte';
import { steps } from './pointer';
import type { Wrote } from './tree';

/** Returns a place as people read it: plan › steps › dig. */
export function placeWords(address: string): string {
  const names = steps(address).map((step) => (step.startsWith('@') ? step.slice(1) : /^\d+$/.test(step) ? String(Number(step) + 1) : step));
  return names.length === 0 ? t('context.everything') : names.join(' › ');
}

export function wroteWords(live: Live, { by, at }: Pick<Wrote, 'by' | 'at'>, now: number): string {
  return t('context.wrote', { name: live.nameOf(by), time: ago(at, now) });
}
