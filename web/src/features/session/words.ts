/** The state of things in words. */

import type { AnswerView, SessionView } from '../../session/protocol';
import type { SessionState } from '../../session/session';

/** Returns how the connection stands; `online` is what the browser believes. */
export function connectionWords(state: Pick<SessionState, 'status' | 'live' | 'pending'>, online: boolean): string {
  const waiting = state.pending.filter((p) => p.state === 'unsent').length;
  const unsent = waiting > 0 ? `, ${waiting} unsent` : '';
  switch (state.status.is) {
    case 'ready':
      return state.live ? 'live' : `catching up${unsent}`;
    case 'failed':
      return `disconnected${unsent}`;
    case 'closed':
      return 'closed';
    case 'idle':
      return 'connecting';
    default:
      return `${online ? 'reconnecting' : 'offline'}${unsent}`;
  }
}

/** Returns why a connection that failed for good did so, and what to do. */
export function failureWords(code: number): string {
  switch (code) {
    case 4401:
      return 'You are not logged in any more. Open your link again, or begin at the first page.';
    case 4403:
      return 'You may not connect to this server any more.';
    case 4400:
      return 'This page and the server do not understand each other. Load the page again.';
    default:
      return `The server has ended the connection (code ${code}). Load the page again.`;
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
      return 'This session has not started yet.';
    case 'paused':
      return 'This session is paused: people may talk, the assistant waits.';
    case 'completed':
    case 'terminated':
      return `This session has ended (${session.end_reason ?? 'ended'}). It can still be read.`;
    case 'failed':
      return `This session has failed (${session.end_reason ?? 'no reason given'}). It can still be read.`;
    case 'active':
      return '';
  }
}

/** Returns why the session is not here any more. */
export function removedWords(reason: string): string {
  switch (reason) {
    case 'removed':
      return 'You were removed from this session. An owner or moderator can let you in again.';
    case 'link_revoked':
      return 'The link by which you came has been revoked. Ask for a new one.';
    case 'session_deleted':
      return 'This session has been deleted.';
    default:
      return 'You may not see this session any more. Ask an owner of it.';
  }
}
