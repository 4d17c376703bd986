/**
 * Where somebody has knocked in this tab, so that a page that is loaded again goes on waiting.
 *
 * Holds no more than the address of the page does, and no longer than the tab.
 */

const KEY = 'roundtable.knocked';

/** Returns the session before which this tab waits, having come by this link or code; null: none. */
export function knockedAt(token: string): string | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as { token?: unknown; session?: unknown } | null;
    return kept?.token === token && typeof kept.session === 'string' ? kept.session : null;
  } catch {
    return null;
  }
}

export function keepKnock(token: string, session: string | null): void {
  try {
    if (session === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify({ token, session }));
  } catch {
    // Where nothing can be kept, one knocks again.
  }
}
