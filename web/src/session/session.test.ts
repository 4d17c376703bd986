import { deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HandSocket } from '../testing/sockets';
import type { Page, Permission, Problem, ServerFrame, SessionEvent, View } from './protocol';
import { DEFLATE_MARK } from './protocol';
import { messageAt } from './history';
import { noticesBetween } from './notices';
import { type Reader, Session } from './session';
import { emptyView } from './view';

const SESSION = '01900000-0000-7000-8000-000000000001';
const USER = '01900000-0000-7000-8000-0000000000f1';
const ANA = '01900000-0000-7000-8000-0000000000a1';
const BEN = '01900000-0000-7000-8000-0000000000b1';
const AT = '2026-11-20T10:00:00Z';
const CAN: Permission[] = ['session_view', 'message_post', 'side_post', 'turn_prompt'];

const nobody: Reader = {
  page: () => Promise.reject(new Error('no page')),
  events: () => Promise.reject(new Error('no events')),
};

const joinedAna: SessionEvent = {
  stream: 'main',
  seq: 1,
  id: USER,
  kind: 'participant.joined',
  actor: 'system',
  at: AT,
  data: {
    participant: { id: ANA, user_id: USER, kind: 'user', role: 'owner', display_name: 'Ana', colour: 1, guest: false, membership: 'joined', joined_at: AT },
  },
};

const made: Session[] = [];

function newSession(reader: Reader = nobody): Session {
  const makeSocket = (url: string, protocol: string) => new HandSocket(url, protocol) as unknown as WebSocket;
  const session = new Session({ session: SESSION, user: USER, url: 'ws://test/api/v1/ws', reader, makeSocket });
  made.push(session);
  return session;
}

const welcome: ServerFrame = {
  type: 'welcome',
  connection_id: ANA,
  now: AT,
  heartbeat_ms: 15_000,
  limits: { message_bytes: 65_536, frame_bytes: 1_048_576, commands_per_second: 50, window: 32 },
  version: '0.1.0',
};

function posted(seq: number, id: string, text: string, actor = ANA): SessionEvent {
  return { stream: 'main', seq, id, kind: 'message.posted', actor, at: AT, data: { text } };
}

const events = (...items: SessionEvent[]): ServerFrame => ({ type: 'events', session_id: SESSION, stream: 'main', items });

/** Opens the newest socket and answers its subscription: everything up to `head` is known. */
function goLive(head = 0, streams = 'main side'.split(' ')): HandSocket {
  const socket = HandSocket.last;
  socket.open();
  socket.say(welcome);
  const { id } = socket.sentOf('subscribe')[0]!;
  socket.say({
    type: 'subscribed',
    re: id,
    session_id: SESSION,
    you: { participant_id: ANA, role: 'collaborator', can: CAN },
    people: [{ participant_id: BEN, status: 'active', last_active_at: AT }],
    streams: streams.map((stream) => ({
      stream: stream as 'main',
      epoch: 'abcdefghijkm',
      head: stream === 'main' ? head : 0,
      mode: 'live' as const,
    })),
  });
  return socket;
}

const ok = (re: number, id: string, seq: number): ServerFrame => ({
  type: 'ok',
  re,
  session_id: SESSION,
  stream: 'main',
  seq,
  id,
});

const problem = (code: string, retryable: boolean, retry_after_ms = 0): Problem => ({
  type: `/api/problems#${code}`,
  title: code,
  status: 409,
  detail: code,
  code,
  retryable,
  retry_after_ms,
});

describe('a session', () => {
  beforeEach(() => {
    localStorage.clear();
    HandSocket.all.length = 0;
    vi.useFakeTimers();
  });
  afterEach(() => {
    for (const session of made.splice(0)) session.close();
    vi.useRealTimers();
  });

  it('shows a message as pending at once and settles it by its id', () => {
    const session = newSession();
    session.open();
    const socket = goLive();
    const key = session.post('hello', { ask: true });
    expect(session.state.pending).toMatchObject([{ key, state: 'unsent', data: { text: 'hello', ask: true } }]);
    const [command] = socket.sentOf('command');
    expect(command).toMatchObject({ key, name: 'message.post', stream: 'main', seen: 0, retry: false });
    socket.say(ok(command!.id, key, 1));
    expect(session.state.pending).toMatchObject([{ key, state: 'recorded' }]);
    expect(localStorage).toHaveLength(0);
    socket.say(events(posted(1, key, 'hello')));
    expect(session.state.pending).toEqual([]);
    expect(session.state.view.streams.main?.messages.map((m) => m.text)).toEqual(['hello']);
  });

  it('sends what was written while offline after it is back, once, under the same key', async () => {
    const session = newSession();
    session.open();
    const first = goLive();
    const sent = session.post('one');
    first.die();
    const unsent = session.post('two');
    expect(session.state.pending.map((p) => p.state)).toEqual(['unsent', 'unsent']);
    await vi.advanceTimersByTimeAsync(300);
    expect(HandSocket.all).toHaveLength(2);
    const second = goLive(1);
    const commands = second.sentOf('command');
    expect(commands.map((c) => [c.key, c.retry])).toEqual([
      [sent, true],
      [unsent, false],
    ]);
    // The first one had been recorded before the connection went.
    second.say(events(posted(1, sent, 'one')), ok(commands[0]!.id, sent, 1), ok(commands[1]!.id, unsent, 2));
    second.say(events(posted(2, unsent, 'two')));
    expect(session.state.pending).toEqual([]);
    expect(session.state.view.streams.main?.messages.map((m) => m.text)).toEqual(['one', 'two']);
  });

  it('survives a reload: the next page sends the same keys again', () => {
    const before = newSession();
    before.open();
    goLive();
    const keys = [before.post('one'), before.post('two', { stream: 'side' })];
    before.close();

    const after = newSession();
    expect(after.state.pending.map((p) => p.key)).toEqual(keys);
    after.open();
    const socket = goLive();
    expect(socket.sentOf('command').map((c) => [c.key, c.stream, c.retry])).toEqual([
      [keys[0], 'main', true],
      [keys[1], 'side', true],
    ]);
  });

  it('keeps the text of a refused message, over a reload too, until it is dismissed', () => {
    const session = newSession();
    session.open();
    const socket = goLive();
    const key = session.post('precious');
    const stop = session.stop(BEN);
    const [post, other] = socket.sentOf('command');
    socket.say({ type: 'error', re: post!.id, session_id: SESSION, problem: problem('forbidden', false) });
    socket.say({ type: 'error', re: other!.id, session_id: SESSION, problem: problem('no_such_turn', false) });
    expect(session.state.pending.map((p) => [p.key, p.state, p.problem?.code])).toEqual([
      [key, 'refused', 'forbidden'],
      [stop, 'refused', 'no_such_turn'],
    ]);
    const again = newSession();
    expect(again.state.pending).toMatchObject([{ key, state: 'refused', data: { text: 'precious' } }]);
    again.open();
    expect(goLive().sentOf('command')).toEqual([]);
    again.dismiss(key);
    expect(again.state.pending).toEqual([]);
    expect(localStorage).toHaveLength(0);
  });

  it('sends a command again by itself when it was refused for now', async () => {
    const session = newSession();
    session.open();
    const socket = goLive();
    const key = session.post('later');
    const [first] = socket.sentOf('command');
    socket.say({ type: 'error', re: first!.id, session_id: SESSION, problem: problem('overloaded', true, 500) });
    expect(session.state.pending).toMatchObject([{ key, state: 'unsent' }]);
    await vi.advanceTimersByTimeAsync(800);
    expect(socket.sentOf('command').map((c) => [c.key, c.retry])).toEqual([
      [key, false],
      [key, true],
    ]);
  });

  it('applies compressed and plain frames in the order in which they came', async () => {
    vi.useRealTimers();
    const session = newSession();
    session.open();
    const socket = goLive();
    const pack = (frame: ServerFrame) => {
      const body = deflateRawSync(Buffer.from(JSON.stringify(frame)));
      return new Uint8Array([DEFLATE_MARK, ...body]).buffer;
    };
    socket.say(
      events(posted(1, BEN, 'one')),
      pack(events(posted(2, `${BEN.slice(0, -1)}2`, 'two'))),
      events(posted(3, `${BEN.slice(0, -1)}3`, 'three')),
      pack(events(posted(4, `${BEN.slice(0, -1)}4`, 'four'))),
    );
    await vi.waitFor(() => expect(session.state.view.streams.main?.head).toBe(4));
    expect(session.state.view.streams.main?.messages.map((m) => m.text)).toEqual(['one', 'two', 'three', 'four']);
    expect(socket.sentOf('subscribe')).toHaveLength(1);
  });

  it('connects again after a frame that it cannot read', async () => {
    const session = newSession();
    session.open();
    const socket = goLive();
    socket.say('{"type":"ev');
    expect(session.state.status.is).toBe('waiting');
    socket.say(events(posted(1, BEN, 'too late')));
    expect(session.state.view.streams.main?.messages ?? []).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    expect(HandSocket.all).toHaveLength(2);
  });

  it('knows who is there and who types, and forgets typing by itself', async () => {
    const session = newSession();
    session.open();
    const socket = goLive();
    expect([...session.state.presence]).toEqual([[BEN, 'active']]);
    const show = (lane: 'presence' | 'typing', data: unknown, who = BEN) =>
      socket.say({
        type: 'ephemeral',
        session_id: SESSION,
        stream: 'main',
        lane,
        items: [{ participant_id: who, data }],
      });
    show('presence', { participant_id: BEN, status: 'idle', last_active_at: AT });
    expect(session.state.presence.get(BEN)).toBe('idle');
    show('presence', { participant_id: BEN, status: 'offline', last_active_at: AT });
    expect(session.state.presence.has(BEN)).toBe(false);
    show('typing', { n: 1 });
    expect(session.state.typing.main).toEqual([BEN]);
    show('typing', null);
    expect(session.state.typing.main).toEqual([]);
    show('typing', { n: 2 });
    await vi.advanceTimersByTimeAsync(7_100);
    expect(session.state.typing.main).toEqual([]);
  });

  it('tells of typing at most every three seconds, and of its end once', async () => {
    const session = newSession();
    session.open();
    const socket = goLive();
    for (let i = 0; i < 10; i++) session.typing('main', true);
    await vi.advanceTimersByTimeAsync(3_100);
    session.typing('main', true);
    session.typing('main', false);
    session.typing('main', false);
    expect(socket.sentOf('ephemeral').map((f) => f.data)).toEqual([{ n: 1 }, { n: 2 }, null]);
  });

  it('shows nothing of a session that was closed to the reader', () => {
    const session = newSession();
    session.open();
    const socket = goLive(1);
    socket.say(events(posted(1, BEN, 'secret')));
    socket.say({ type: 'access', session_id: SESSION, you: { can: [] }, streams: [], reason: 'removed' });
    expect(session.state.removed).toBe('removed');
    expect(session.state.view).toEqual(emptyView());
  });

  it('says why a subscription was refused', () => {
    const session = newSession();
    session.open();
    HandSocket.last.open();
    HandSocket.last.say(welcome, { type: 'error', re: 1, session_id: SESSION, problem: problem('not_found', false) });
    expect(session.state.denied?.code).toBe('not_found');
  });

  it('loads older messages and folds onto them what came meanwhile', async () => {
    const ids = [1, 2, 3].map((n) => `01900000-0000-7000-8000-00000000000${n}`);
    const message = (n: number, text: string) => ({
      id: ids[n]!,
      n,
      seq: n + 1,
      author: BEN,
      at: AT,
      text,
      reply_to: null,
      mentions: [],
      ask: false,
      edited: false,
      redacted: false,
      decision: false,
      answer: null,
    });
    const edit: SessionEvent = {
      stream: 'main',
      seq: 4,
      id: ANA,
      kind: 'message.edited',
      actor: BEN,
      at: AT,
      data: { message: ids[0]!, text: 'edited' },
    };
    const page: Page = { stream: 'main', page: 0, at: 3, messages: [message(0, 'old'), message(1, 'b'), message(2, 'c')] };
    const asked: number[] = [];
    const session = newSession({
      page: (_, n) => {
        asked.push(n);
        return Promise.resolve(page);
      },
      events: () => Promise.resolve({ events: [edit] }),
    });
    session.open();
    const socket = goLive(4);
    const head: View = { ...emptyView(), streams: { main: { head: 3, count: 3, messages: [message(2, 'c')] } } };
    socket.say({ type: 'snapshot', session_id: SESSION, at: { main: 3 }, head }, events(edit));
    const text = (n: number) => messageAt(session.state.view.streams.main, session.state.pages.main, n)?.text;
    expect([text(0), text(2)]).toEqual([undefined, 'c']);
    await Promise.all([session.loadPage('main', 0), session.loadPage('main', 0)]);
    expect(asked).toEqual([0]);
    expect([text(0), text(1), text(2)]).toEqual(['edited', 'b', 'c']);
    socket.say(events({ ...edit, seq: 5, id: BEN, data: { message: ids[1]!, text: 'changed later' } } as SessionEvent));
    expect(text(1)).toBe('changed later');
    socket.say({ type: 'snapshot', session_id: SESSION, at: { main: 900 }, head: { ...head, streams: { main: { head: 900, count: 3, messages: [message(2, 'c')] } } } });
    expect(text(0), 'what happened between is not known').toBeUndefined();
  });

  it('takes everything that the session is from a snapshot of main, not its streams alone', () => {
    const session = newSession();
    session.open();
    const socket = goLive(4);
    const life = { paused: null, ending: null, cause: 'the model is gone', warnings: [], detached: null, report: null };
    const head: View = { ...emptyView(), life, streams: { main: { head: 9, count: 0, messages: [] } } };
    socket.say({ type: 'snapshot', session_id: SESSION, at: { main: 9 }, head });
    expect(session.state.view.life).toEqual(life);
  });

  it('knows what is new, tells the server what was read, and takes up what it remembers', () => {
    vi.useFakeTimers();
    const session = newSession();
    session.open();
    const socket = goLive(3);
    const mention = posted(2, '01900000-0000-7000-8000-000000000012', 'for you', BEN);
    socket.say(events(posted(1, '01900000-0000-7000-8000-000000000011', 'mine'), { ...mention, data: { text: 'x', mentions: [ANA] } } as SessionEvent));
    socket.say({ type: 'snapshot', session_id: SESSION, at: {}, head: emptyView() });
    socket.say(events(posted(3, '01900000-0000-7000-8000-000000000013', 'and more', BEN)));
    expect(session.state.unread.main).toEqual({ count: 0, mentions: 0 });
    socket.say({ type: 'events', session_id: SESSION, stream: 'main', items: [{ ...joinedAna, seq: 4 }] });
    expect(session.state.unread.main).toEqual({ count: 2, mentions: 1 });
    session.seen('main', 2);
    session.seen('main', 1);
    expect(session.state.unread.main).toEqual({ count: 1, mentions: 0 });
    vi.advanceTimersByTime(1_500);
    expect(socket.sentOf('ack').map((f) => f.seq)).toEqual([2]);
    expect(session.state.read.main).toBe(2);
  });

  it('remembers who came and what was renamed', () => {
    const session = newSession();
    session.open();
    const socket = goLive(2);
    const renamed: SessionEvent = { stream: 'main', seq: 1, id: BEN, kind: 'session.renamed', actor: BEN, at: AT, data: { title: 'New' } };
    socket.say(events(renamed, { ...joinedAna, seq: 2 }));
    expect(session.state.notices.map((n) => n.kind)).toEqual(['session.renamed', 'participant.joined']);
    expect(noticesBetween(session.state.notices, 1, 3).map((n) => n.seq)).toEqual([2]);
  });
});
