import { describe, expect, it } from 'vitest';
import type { MessageView, Page } from '../../../session/protocol';
import { firstUnread, lastNotices, rowsOf, type Source } from './rows';

const ANA = 'ana';
const BEN = 'ben';

function message(n: number, at: string, change: Partial<MessageView> = {}): MessageView {
  const plain = { reply_to: null, mentions: [], ask: false, edited: false, redacted: false, decision: false, answer: null };
  return { id: `m${n}`, n, seq: n * 10 + 10, author: ANA, at, text: `text ${n}`, ...plain, ...change };
}

function source(messages: MessageView[], change: Partial<Source> = {}): Source {
  const count = (messages.at(-1)?.n ?? -1) + 1;
  return { stream: { head: 1_000, count, messages }, pages: new Map(), notices: [], unreadBefore: null, ...change };
}

const rows = (s: Source) => rowsOf(s, 0, s.stream!.count);

describe('rows of a conversation', () => {
  it('of a branch are those that lie on it, and follow each other', () => {
    const times = ['10:00', '10:01', '10:02', '10:03'].map((time) => `2026-11-20T${time}:00Z`);
    const messages = [message(0, times[0]!), message(1, times[1]!, { author: BEN }), message(2, times[2]!), message(3, times[3]!, { author: BEN })];
    const line = { hides: (n: number) => n === 1 || n === 3, count: 2, place: (n: number) => n / 2, siblings: () => [], has: () => true, last: messages[2] };
    const notices = [{ seq: 45, kind: 'session.resumed' as const, actor: ANA, at: times[3]!, data: {} }];
    expect(rows(source(messages, { line })).map((row) => [row.n, row.isContinued])).toEqual([[0, false], [2, true]]);
    // What begins with a hidden row begins the day all the same.
    expect(rows(source(messages, { line: { ...line, hides: (n) => n < 2 } })).map((row) => [row.n, row.day !== null])).toEqual([[2, true], [3, false]]);
    expect(lastNotices(source(messages, { line, notices }))).toHaveLength(1);
  });

  it('share a header within five minutes of one author', () => {
    const list = rows(
      source([
        message(0, '2026-11-20T10:00:00Z'),
        message(1, '2026-11-20T10:04:00Z'),
        message(2, '2026-11-20T10:09:30Z'),
        message(3, '2026-11-20T10:09:40Z', { author: BEN }),
        message(4, '2026-11-20T10:09:50Z', { author: BEN, reply_to: 'm0' }),
      ]),
    );
    expect(list.map((r) => r.isContinued)).toEqual([false, true, false, false, false]);
  });

  it('begin a day where the reader has another day', () => {
    const list = rows(source([message(0, '2026-11-20T12:00:00Z'), message(1, '2026-11-20T12:01:00Z'), message(2, '2026-11-22T12:00:00Z')]));
    expect(list.map((r) => r.day !== null)).toEqual([true, false, true]);
  });

  it('have places for what is not loaded, and none of its neighbours guesses', () => {
    const s = source([message(3, '2026-11-20T12:00:00Z')]);
    expect(rows(s).map((r) => r.key)).toEqual(['hole 0', 'hole 1', 'hole 2', 'm3']);
    expect(rows(s)[3]!.day).toBeNull();
    const page: Page = { stream: 'main', page: 0, at: 40, messages: [0, 1, 2, 3].map((n) => message(n, '2026-11-20T12:00:00Z')) };
    expect(rows({ ...s, pages: new Map([[0, page]]) }).map((r) => r.key)).toEqual(['m0', 'm1', 'm2', 'm3']);
  });

  it('bear the unread line and notices between the messages where they belong', () => {
    const notice = (seq: number) => ({ seq, kind: 'session.renamed' as const, actor: ANA, at: '2026-11-20T12:00:00Z', data: {} });
    const s = source([message(0, '2026-11-20T12:00:00Z'), message(1, '2026-11-20T12:00:01Z')], {
      notices: [notice(5), notice(15), notice(16), notice(25)],
      unreadBefore: 'm1',
    });
    const list = rows(s);
    expect(list.map((r) => r.notices.map((n) => n.seq))).toEqual([[5], [15, 16]]);
    expect(lastNotices(s).map((n) => n.seq)).toEqual([25]);
    expect(list.map((r) => [r.isFirstUnread, r.isContinued])).toEqual([
      [false, false],
      [true, false],
    ]);
  });

  it('find the first unread of another', () => {
    const messages = [message(0, '2026-11-20T12:00:00Z'), message(1, '2026-11-20T12:00:00Z'), message(2, '2026-11-20T12:00:00Z', { author: BEN })];
    const stream = { head: 30, count: 3, messages };
    expect(firstUnread(stream, 10, ANA)).toBe('m2');
    expect(firstUnread(stream, 30, ANA)).toBeNull();
    expect(firstUnread(stream, 10, BEN)).toBe('m1');
    expect(firstUnread(stream, null, ANA)).toBeNull();
  });
});
