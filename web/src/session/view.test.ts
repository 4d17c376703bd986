import { describe, expect, it } from 'vitest';
import { fixtures } from '../testing/fixtures';
import type { Page, SessionEvent, Stream, View } from './protocol';
import { emptyView, fold, freshen, KINDS, prefix, skip, withDelta, withPage } from './view';

const ANA = '01900000-0000-7000-8000-0000000000a1';
const GUIDE = '01900000-0000-7000-8000-0000000000a2';
const id = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;

function event(seq: number, kind: string, data: unknown, stream: Stream = 'main'): SessionEvent {
  return { stream, seq, id: id(seq), kind, actor: ANA, at: '2026-11-20T10:00:00Z', data } as SessionEvent;
}

function folded(...events: SessionEvent[]): View {
  return events.reduce(fold, emptyView());
}

const started = event(1, 'turn.started', {
  turn: id(100),
  message: id(101),
  assistant: GUIDE,
  answer: id(102),
  attempt: 1,
  lease: { id: id(103), until: '2026-11-20T10:01:00Z' },
  driver: 'guide',
  label: 'Guide - not an AI model',
});

const progressed = (seq: number, offset: number, text: string) =>
  event(seq, 'turn.progressed', { turn: id(100), message: id(102), offset, text, lease_until: '2026-11-20T10:01:00Z' });

const textOf = (view: View | null) => view?.streams.main?.messages[0]?.text;

interface Step {
  event?: SessionEvent;
  delta?: { message: string; offset: number; text: string };
  taken?: boolean;
  skip?: { stream: Stream; seq: number };
  head?: Stream[];
  view: View;
}

const recorded = fixtures<Step>('views');

describe('the view and its twin', () => {
  it.each(recorded)('$name', ({ lines }) => {
    let view = emptyView();
    for (const [i, step] of lines.entries()) {
      const where = `line ${i + 1} ${step.event?.kind ?? ''}`;
      // Heads are made by the server alone.
      if (step.head) continue;
      if (step.event) view = fold(view, step.event);
      else if (step.skip) view = skip(view, step.skip.stream, step.skip.seq);
      else if (step.delta) {
        const grown = withDelta(view, step.delta.message, step.delta.offset, step.delta.text);
        expect(grown !== null, where).toBe(step.taken);
        view = grown ?? view;
      } else throw new Error(`${where}: no step that is known`);
      expect(view, where).toEqual(step.view);
    }
  });

  it('meet every kind in some fixture', () => {
    const met = new Set(recorded.flatMap(({ lines }) => lines.map((step) => step.event?.kind)));
    expect(KINDS.filter((kind) => !met.has(kind))).toEqual([]);
    expect([...met].filter((kind) => kind && !KINDS.includes(kind))).toEqual([]);
  });
});

describe('the view', () => {
  it('never splits a surrogate pair', () => {
    expect(prefix('a😀ü', 1)).toBe(1);
    expect(prefix('a😀ü', 2)).toBe(3);
    expect(prefix('a😀ü', 3)).toBe(3);
    expect(prefix('a😀ü', 99)).toBe(4);
  });

  it('shares what an event does not touch', () => {
    const before = folded(event(1, 'message.posted', { text: 'one' }), event(2, 'message.posted', { text: 'two' }));
    const after = fold(before, event(3, 'message.edited', { message: id(2), text: 'three' }));
    expect(after.streams.main?.messages[0]).toBe(before.streams.main?.messages[0]);
    expect(before.streams.main?.messages[1]?.text).toBe('two');
    expect(after.streams.main?.messages[1]?.text).toBe('three');
  });

  it('counts an event of a kind that it does not know', () => {
    const view = folded(event(1, 'message.posted', { text: 'one' }), event(2, 'moon.landed', { who: 'us' }));
    expect(view.streams.main).toMatchObject({ head: 2, count: 1 });
  });

  it('drops text below the known end, leaves holes, and is healed by the next durable piece', () => {
    let view = folded(started);
    view = withDelta(view, id(102), 0, 'one ')!;
    view = withDelta(view, id(102), 2, 'e two')!;
    expect(textOf(view)).toBe('one two');
    expect(withDelta(view, id(102), 9, 'after a hole')).toBeNull();
    view = fold(view, progressed(2, 0, 'one two three'));
    expect(textOf(view)).toBe('one two three');
    expect(withDelta(view, id(102), 0, 'one')).toBe(view);
  });

  it('cuts an answer that was lost to what was recorded', () => {
    let view = fold(folded(started), progressed(2, 0, 'kept'));
    view = withDelta(view, id(102), 4, ' and gone')!;
    view = fold(view, event(3, 'turn.lost', { turn: id(100), message: id(102), length: 4 }));
    expect(view.streams.main?.messages[0]).toMatchObject({ text: 'kept', answer: { state: 'lost', length: 4 } });
    expect(withDelta(view, id(102), 4, ' late')).toBeNull();
  });

  it('puts older pages in front, without doubles and without a hole', () => {
    const all = folded(...[1, 2, 3, 4].map((n) => event(n, 'message.posted', { text: `${n}` })));
    const messages = all.streams.main!.messages;
    const late: View = { ...all, streams: { main: { head: 4, count: 4, messages: messages.slice(2) } } };
    const page: Page = { stream: 'main', page: 0, at: 4, messages: messages.slice(0, 3) };
    expect(withPage(late, page)).toEqual(all);
    expect(withPage(all, page)).toBe(all);
    expect(withPage(late, { ...page, messages: messages.slice(0, 1) })).toBe(late);
  });

  it('folds what came after a page was made onto its messages', () => {
    const page: Page = { stream: 'main', page: 0, at: 1, messages: folded(event(1, 'message.posted', { text: 'old' })).streams.main!.messages };
    const fresh = freshen(page, [
      event(1, 'message.edited', { message: id(1), text: 'never' }),
      event(2, 'message.posted', { text: 'another' }),
      event(3, 'message.edited', { message: id(1), text: 'new' }),
    ]);
    expect(fresh.at).toBe(3);
    expect(fresh.messages.map((m) => m.text)).toEqual(['new']);
  });
});
