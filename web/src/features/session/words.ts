/** The state of things in words. */

import { t } from '../../app/i18n';
import type { LifeView } from '../../session/protocol';
import type { SessionState } from '../../session/session';

type Connection = Pick<SessionState, 'status' | 'live' | 'pending'>;

/** Returns how many things wait for the connection. */
export function unsentOf(state: Pick<SessionState, 'pending'>): number {
  return state.pending.filter((p) => p.state === 'unsent').length;
}

/**
 * Returns how the connection stands; `online` is what the browser believes.
 *
 * What rests or has ended is not “live”, however well one is connected to it.
 */
export function connectionWords(state: Connection, online: boolean, isActive = true): string {
  const n = unsentOf(state);
  const unsent = (words: string) => (n > 0 ? t('shell.with_unsent', { words, n }) : words);
  switch (state.status.is) {
    case 'ready':
      return state.live ? t(isActive ? 'shell.live' : 'shell.connected') : unsent(t('shell.catching_up'));
    case 'failed':
      return unsent(t('shell.disconnected'));
    case 'closed':
      return t('shell.closed');
    case 'idle':
      return t('shell.connecting');
    default:
      return unsent(online ? t('shell.reconnecting') : t('shell.offline'));
  }
}

/** Returns what a reader must know while the connection is away; empty: nothing. `wasLive`: it has been there before. */
export function outageWords(state: Connection, online: boolean, wasLive: boolean): string {
  const { is } = state.status;
  if (state.live || is === 'ready' || is === 'failed' || is === 'closed' || is === 'idle') return '';
  if (online && !wasLive) return '';
  const n = unsentOf(state);
  const what = online ? t('shell.banner_reconnecting') : t('shell.banner_offline');
  return `${what} ${n > 0 ? t('shell.banner_unsent', { n }) : t('shell.banner_nothing')}`;
}

/** Returns why a connection that failed for good did so, and what to do. */
export function failureWords(code: number): string {
  switch (code) {
    case 4401:
      return t('shell.failed_login');
    case 4403:
      return t('shell.failed_forbidden');
    case 4400:
      return t('shell.failed_version');
    default:
      return t('shell.failed_other', { code: String(code) });
  }
}

/** How long before this page was opened somebody may have come back, for what was done meanwhile to be news. Unit: ms. */
const NEWS_FOR = 60_000;

/** Returns what was done while nobody led the session, for whoever opened the page at `loadedAt`; empty: nothing new. */
export function awayWords(life: LifeView | undefined, loadedAt: number): string {
  const { done, until } = life?.detached ?? {};
  if (!done || (until && Date.parse(until) < loadedAt - NEWS_FOR)) return '';
  const words = t('shell.away_done', { n: done.turns });
  return done.unfinished > 0 ? `${words} ${t('shell.away_unfinished', { n: done.unfinished })}` : words;
}

/** Returns why the session is not here any more. */
export function removedWords(reason: string): string {
  switch (reason) {
    case 'removed':
      return t('shell.removed');
    case 'left':
      return t('shell.removed_left');
    case 'session_deleted':
      return t('shell.removed_deleted');
    default:
      return t('shell.removed_other');
  }
}
