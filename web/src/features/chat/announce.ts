/** What is said aloud to those who do not see the page: each new message once, an answer when it is whole. */

import type { Actor, AnswerState, AnswerView, Id, StreamView } from '../../session/protocol';

/** Longest text that is read out; the rest is in the conversation. Unit: UTF-16 code units. */
const LONGEST = 300;

export interface Announcement {
  /** The message's number. */
  n: number;
  author: Actor;
  text: string;
  answer: AnswerView | null;
  /** How the answer ended, where it is one. */
  state: AnswerState | null;
}

/** Returns the announcements that lead from `before` to `after`. Without `before`, history is loading: nothing. */
export function announcements(before: StreamView | undefined, after: StreamView | undefined, me: Id | null | undefined): Announcement[] {
  if (!before || !after || before === after) return [];
  const running = new Set(before.messages.filter((m) => m.answer?.state === 'streaming').map((m) => m.id));
  return after.messages
    .filter((m) => {
      if (m.redacted || m.author === me) return false;
      if (m.answer) return m.answer.state !== 'streaming' && (running.has(m.id) || m.n >= before.count);
      return m.n >= before.count;
    })
    .map(({ n, author, text, answer }) => ({
      n,
      author,
      answer: answer ?? null,
      text: text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text,
      state: answer?.state ?? null,
    }));
}
