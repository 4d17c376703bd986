import { describe, expect, it } from 'vitest';
import type { eventsOf } from '../../api/client';
import type { EventKind, SessionEvent } from '../../session/protocol';
import { earlier, eventWords, messageOf } from './history';

const AT = '2026-11-20T10:00:00Z';
const event = (seq: number, kind: string, actor = 'a', data: object = {}) => ({ seq, id: `e${seq}`, kind, actor, at: AT, data }) as SessionEvent;
const live = { nameOf: (id: string) => ({ a: 'Ana', b: 'Ben' })[id] ?? 'Somebody', labelOf: (name: string) => name };

/** A log of 5,000 events, of which few are what is looked for; it answers in pieces, as a server does. */
const log = Array.from({ length: 5_000 }, (_, i) =>
  event(i + 1, i % 100 === 0 ? 'decision.recorded' : i % 3 === 0 ? 'message.posted' : 'turn.started', i % 2 === 0 ? 'a' : 'b'),
);
const asked: number[] = [];
const read: typeof eventsOf = (_session, { kinds, by, after = 0, limit = 100 }) => {
  asked.push(after);
  const looked = log.slice(after, after + 300);
  const events = looked.filter((one) => (!kinds || kinds.includes(one.kind as EventKind)) && (!by || one.actor === by)).slice(0, limit);
  const last = events.length === limit ? events.at(-1)!.seq : after + looked.length;
  return Promise.resolve({ epoch: 'e', head: log.length, events, next: last < log.length ? last : null });
};

describe('the history read backwards', () => {
  it('begins at the newest and goes on without a gap or a repetition to the first', async () => {
    for (const [group, by] of [['decisions', null], ['messages', 'b'], [null, null]] as const) {
      const seen: number[] = [];
      for (let before: number | null = null; before !== 0; ) {
        const found = await earlier('s', before, group, by, read);
        seen.push(...found.events.map((one) => one.seq));
        before = found.before;
      }
      const wanted = log.filter((one) => (group === null || one.kind.startsWith(group === 'decisions' ? 'decision' : 'message')) && (!by || one.actor === by));
      expect(seen, `${group} ${by}`).toEqual(wanted.map((one) => one.seq).toReversed());
    }
  });

  it('looks at little for its first page', async () => {
    asked.length = 0;
    const { events } = await earlier('s', null, 'messages', null, read);
    expect(events).toHaveLength(40);
    expect(asked.length).toBeLessThanOrEqual(4);
  });

  it('is empty where nothing of that kind has happened', async () => {
    expect(await earlier('s', null, 'life', null, read)).toEqual({ events: [], before: 0 });
  });
});

describe('an event in words', () => {
  it('says who did what, with what was written, and nothing of what was erased', () => {
    expect(eventWords(event(1, 'message.posted', 'b', { text: 'oak' }), live)).toEqual({ line: 'Ben wrote', text: 'oak' });
    expect(eventWords(event(1, 'message.posted', 'b', { text: '', ask: true, redacted: true }), live)).toEqual({ line: 'Ben asked the assistant', text: 'This text was deleted.' });
    expect(eventWords(event(1, 'session.paused', 'a'), live).line).toBe('Ana paused the session');
    expect(eventWords(event(1, 'checkpoint.created', 'system', { checkpoint: {} }), live).line).toBe('');
  });

  it('leads to its message', () => {
    expect(messageOf(event(7, 'message.posted'))).toBe('e7');
    expect(messageOf(event(7, 'decision.recorded', 'a', { message: 'm' }))).toBe('m');
    expect(messageOf(event(7, 'turn.started', 'a', { message: 'q', answer: 'w' }))).toBe('w');
    expect(messageOf(event(7, 'session.paused'))).toBeNull();
  });
});
