/** Time that passes on the page: one timer for all who show it, none while nobody does. */

import { createSubscriber } from 'svelte/reactivity';

function every(ms: number): () => number {
  const subscribe = createSubscriber((update) => {
    const timer = setInterval(update, ms);
    return () => clearInterval(timer);
  });
  return () => {
    subscribe();
    return Date.now();
  };
}

/** Returns now, again with each second where a component reads it. */
export const eachSecond = every(1_000);
/** Returns now, again with each half minute. */
export const eachHalfMinute = every(30_000);

/** Returns whole seconds since a time, from the server's clock, which may differ a little from ours. */
export function secondsSince(at: string, now: number): number {
  return Math.max(0, Math.floor((now - Date.parse(at)) / 1000));
}
