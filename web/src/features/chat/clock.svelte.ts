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

/** Returns how long ago a time of the server's clock was, which may differ a little from ours: `8 s`, `2 min 05 s`. */
export function elapsed(at: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(at)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${String(seconds % 60).padStart(2, '0')} s` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
