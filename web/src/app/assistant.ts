/**
 * How what answers is called, from the label that the server gives it.
 *
 * Labels are `Guide - not an AI model`, or `MODEL · WHO RUNS IT`. The first part is its name wherever somebody is named:
 * messages, the queue, people, the header. "The assistant" is whoever answers, whatever it is called now.
 */

import { t } from './i18n';

/** Returns whether this is the guide, which follows rules and is no AI model. */
export function isGuide(label: string): boolean {
  return /^guide\b/i.test(label.trim());
}

/** Returns the name in a label. */
export function assistantName(label: string): string {
  return isGuide(label) ? 'Guide' : (label.split(' · ')[0] ?? label);
}

/** Returns what stands beside the name: what the guide is not, who runs the model, or that it is one. */
export function assistantNote(label: string): string {
  return isGuide(label) ? t('common.not_a_model') : label.split(' · ').slice(1).join(' · ') || t('common.a_model');
}
