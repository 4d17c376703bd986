/** Times for people. */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** Returns the time of day, with the day when it is not today. */
export function shortTime(at: string, now: Date = new Date()): string {
  const then = new Date(at);
  const time = clock.format(then);
  return then.toDateString() === now.toDateString() ? time : `${day.format(then)}, ${time}`;
}

export function exactTime(at: string): string {
  return exact.format(new Date(at));
}
