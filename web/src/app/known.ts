/**
 * Whether somebody has been logged in by this browser: what spares a first visit a question whose answer is known.
 *
 * Says nothing of who it was, and decides nothing: the login itself is a cookie that scripts cannot read.
 */

const KEY = 'roundtable.known';

/** False only where nobody can be logged in; true where the browser does not tell. */
export function mayBeKnown(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return true;
  }
}

/** Remembers whether somebody is. */
export function noteKnown(isKnown: boolean): void {
  try {
    if (isKnown) localStorage.setItem(KEY, '1');
    else localStorage.removeItem(KEY);
  } catch {
    // Where nothing can be kept, the server is asked each time.
  }
}
