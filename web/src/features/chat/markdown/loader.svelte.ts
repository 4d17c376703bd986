/** The painter of Markdown, loaded beside the page; until it is there, text is shown as it was written. */

import type { Painter } from './painter';

let painter = $state.raw<typeof Painter | null>(null);
let loading: Promise<void> | null = null;

export const loaded = {
  /** Null: not there yet. */
  get painter(): typeof Painter | null {
    return painter;
  },
};

/** Begins to load it. Settles when it is there or cannot be had now; another call tries again. */
export function loadPainter(): Promise<void> {
  loading ??= import('./index').then(
    (module) => {
      painter = module.Painter;
    },
    () => {
      loading = null;
    },
  );
  return loading;
}
