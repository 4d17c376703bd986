/** The state of things in words. */

import { t } from '../../app/i18n';
import type { AnswerView, SessionView } from '../../session/protocol';
import type { SessionState } from '../../session/session';

type Connection = Pick<SessionState, 'status' | 'live' | 'pending'>;

/** Returns how many things wait for the connection. */
export function unsentOf(state: Pick<SessionState, 'pending'>): number {
  return state.pending.filter((p) => p.state === 'unsent').length;
}

/** Returns how the connection stands; `online` is what the browser believes. */
export function connectionWords(state: Connection, online: boolean): string {
  const n = unsentOf(state);
  const unsent = (words: string) => (n > 0 ? t('shell.with_unsent', { words, n }) : words);
  switch (state.status.is) {
    case 'ready':
      return state.live ? t('shell.live') : unsent(t('shell.catching_up'));
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

/** Returns how an answer stands, where that needs saying. */
export function answerWords(answer: AnswerView, nameOf: (id: string) => string): string {
  switch (answer.state) {
    case 'streaming':
      return answer.length === 0 ? 'thinking …' : 'answering …';
    case 'stopped':
      return answer.stopped_by ? `Stopped by ${nameOf(answer.stopped_by)}.` : 'Stopped.';
    case 'failed':
      return `The assistant could not go on: ${answer.detail ?? answer.code ?? 'no reason given'}`;
    case 'lost':
      return 'This answer was lost: the server stopped while it was being made. What had come stays.';
    case 'completed':
      if (answer.reason === 'max_tokens') return "Cut at the model's limit.";
      return answer.reason === 'refusal' ? 'The model refused to answer.' : '';
  }
}

/** Returns what a reader must know about a session that is not open for work; empty: nothing. */
export function stateWords(session: SessionView): string {
  switch (session.state) {
    case 'created':
      return t('shell.state_created');
    case 'paused':
      return t('shell.state_paused');
    case 'completed':
    case 'terminated':
      return t('shell.state_ended', { reason: session.end_reason ?? t('shell.session_ended') });
    case 'failed':
      return t('shell.state_failed', { reason: session.end_reason ?? t('shell.session_failed') });
    case 'active':
      return '';
  }
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

interface Fresh {
  count: number;
  mentions: number;
}

/** Returns what is unread, where the session says so. */
export function unreadOf(state: SessionState): { main: Fresh; side: Fresh } | undefined {
  return (state as SessionState & { unread?: { main: Fresh; side: Fresh } }).unread;
}
