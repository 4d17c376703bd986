import { describe, expect, it } from 'vitest';
import type { AnswerView, MessageView, StreamView } from '../../session/protocol';
import { announcements } from './announce';

function message(n: number, author: string, text: string, state?: AnswerView['state']): MessageView {
  const answer = state ? ({ state } as AnswerView) : null;
  return { id: `m${n}`, n, author, text, redacted: false, answer } as MessageView;
}

const stream = (...messages: MessageView[]): StreamView => ({ head: 1, count: messages.length, messages });
const said = (before: StreamView | undefined, after: StreamView) =>
  announcements(before, after, 'me').map(({ author, text, state }) => `${author}${state && state !== 'completed' ? ` (${state})` : ''}: ${text}`);

describe('announcements', () => {
  it('are silent for history, for own messages and for changes of old ones', () => {
    expect(said(undefined, stream(message(0, 'ana', 'old')))).toEqual([]);
    expect(said(stream(), stream(message(0, 'me', 'mine')))).toEqual([]);
    expect(said(stream(message(0, 'ana', 'old')), stream(message(0, 'ana', 'edited')))).toEqual([]);
    const late = { head: 1, count: 2, messages: [message(1, 'ana', 'b')] };
    expect(said(late, { ...late, messages: [message(0, 'ana', 'a'), ...late.messages] })).toEqual([]);
  });

  it('say each new message once', () => {
    expect(said(stream(), stream(message(0, 'ana', 'hi')))).toEqual(['ana: hi']);
  });

  it('say an answer when it is whole, not with each word', () => {
    const begun = stream(message(0, 'guide', 'one', 'streaming'));
    expect(said(stream(), begun)).toEqual([]);
    expect(said(begun, stream(message(0, 'guide', 'one two', 'streaming')))).toEqual([]);
    expect(said(begun, stream(message(0, 'guide', 'one two', 'completed')))).toEqual(['guide: one two']);
    expect(said(begun, stream(message(0, 'guide', 'one', 'stopped')))).toEqual(['guide (stopped): one']);
  });

  it('cut long texts', () => {
    expect(said(stream(), stream(message(0, 'ana', 'x'.repeat(1000))))[0]!.length).toBeLessThan(320);
  });
});
