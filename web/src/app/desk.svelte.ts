/**
 * What lies over the page and what can be done from everywhere.
 *
 * Owns: which dialog is open, the deeds that screens offer to the palette. Must not know: what a deed does.
 */

import { untrack } from 'svelte';
import type { Icon } from '../ui/icon';

export type DialogName = 'settings' | 'keys' | 'palette' | 'connect' | 'share' | 'pause' | 'end' | 'detach' | 'session' | 'checkpoints' | 'branches' | 'history';

/** Something that the palette offers. */
export interface Deed {
  id: string;
  label: string;
  icon?: Icon;
  /** Keys that do the same, such as "Ctrl K". */
  keys?: string;
  run: () => void;
}

let dialog = $state<DialogName | null>(null);
let offers = $state.raw<readonly (() => readonly Deed[])[]>([]);

export const desk = {
  get dialog(): DialogName | null {
    return dialog;
  },
  set dialog(name: DialogName | null) {
    dialog = name;
  },
  /** All deeds that are offered now. */
  get deeds(): Deed[] {
    return offers.flatMap((offer) => [...offer()]);
  },
};

/** Offers deeds while a screen is there, before those that are always there. Returns how to stop that. */
export function offerDeeds(deeds: () => readonly Deed[], always = false): () => void {
  // Offering from an effect must not make that effect wait for itself.
  untrack(() => (offers = always ? [...offers, deeds] : [deeds, ...offers]));
  return () => {
    untrack(() => (offers = offers.filter((offer) => offer !== deeds)));
  };
}

const isMac = typeof navigator !== 'undefined' && /mac|iphone|ipad/i.test(navigator.platform);

/** The name of the key that goes with commands here. */
export const MOD = isMac ? '⌘' : 'Ctrl';

/** Returns whether a key was pressed with the command key of this system. */
export function isMod(event: KeyboardEvent): boolean {
  return (isMac ? event.metaKey : event.ctrlKey) && !event.altKey;
}

/** Returns whether somebody is writing, so that a letter is a letter. */
export function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('textarea, select, input:not([type="range"], [type="checkbox"], [type="radio"])'));
}
