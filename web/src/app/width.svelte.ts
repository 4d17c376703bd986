/** How much room there is; the same limits as the breakpoints in app.css. */

import { MediaQuery } from 'svelte/reactivity';

const fold = new MediaQuery('min-width: 68.75rem', true);
const narrow = new MediaQuery('min-width: 56.25rem', true);
const phone = new MediaQuery('min-width: 40rem', true);

export const width = {
  /** Room for the list of sessions beside the conversation. */
  get hasLeft(): boolean {
    return fold.current;
  },
  /** Room for people and side chat beside the conversation. */
  get hasRight(): boolean {
    return narrow.current;
  },
  get isPhone(): boolean {
    return !phone.current;
  },
};
