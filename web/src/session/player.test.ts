import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Outbox } from './outbox';
import { Player, type Recording } from './player';
import type { SessionEvent } from './protocol';
import { Session } from './session';
import { emptyView } from './view';

const SESSION = '01900000-0000-7000-8000-000000000001';
const USER = '01900000-0000-7000-8000-0000000000f1';
const ANA = '01900000-0000-7000-8000-0000000000a1';
const id = (n: number) => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const START = Date.UTC(2026, 10, 25, 9, 0, 0);
const at = (seconds: number) => new Date(START + seconds * 1000).toISOString();

const said = (stream: 'main' | 'side', seq: number, seconds: number): SessionEvent =>
  ({ stream, seq, id: id(seq + (stream === 'side' ? 500 : 0)), kind: 'message.posted', actor: ANA, at: at(seconds), data: { text: `${stream} ${seq}` } }) as SessionEvent;

const main = [said('main', 1, 0), said('main', 2, 1), said('main', 3, 61), said('main', 4, 62)];
const side = [said('side', 1, 1.5)];

let failing = false;
const recording: Recording = {
  stateAt: (_, seq) => Promise.resolve({ epoch: 'abc', at: { main: seq, side: 0 }, time: seq > 0 ? at(0) : null, view: { ...emptyView(), streams: { main: { head: seq, count: 0, messages: [] } } } }),
  events: (_, stream, after) =>
    failing
      ? Promise.reject(new TypeError('gone'))
      : Promise.resolve({ head: stream === 'main' ? 4 : 1, events: (stream === 'main' ? main : side).filter((event) => event.seq > after) }),
};

async function played(seq: number, speed = 1, maxGap: number | null = 2_000) {
  const player = await Player.at(SESSION, seq, recording, { speed, maxGap });
  const session = new Session({
    session: SESSION,
    user: USER,
    url: 'ws://test',
    reader: { page: () => Promise.reject(new Error('no page')), events: () => Promise.reject(new Error('no events')) },
    outbox: new Outbox(USER, SESSION, null),
    makeSocket: player.makeSocket,
  });
  session.open();
  await vi.advanceTimersByTimeAsync(0);
  const texts = (stream: 'main' | 'side' = 'main') => (session.state.view.streams[stream]?.messages ?? []).map((m) => m.text);
  return { player, session, texts };
}

beforeEach(() => {
  vi.useFakeTimers();
  failing = false;
});
afterEach(() => vi.useRealTimers());

describe('a recorded session', () => {
  it('is shown as it was at its place, and nothing moves before somebody plays it', async () => {
    const { player, session, texts } = await played(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(session.state.live).toBe(true);
    expect(session.state.you?.can).toEqual([]);
    expect([player.state.seq, texts()]).toEqual([1, []]);
  });

  it('comes again at its pace, with long pauses cut, both streams in the order in which they happened', async () => {
    const { player, texts } = await played(1);
    player.play();
    await vi.advanceTimersByTimeAsync(999);
    expect(texts()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(texts()).toEqual(['main 2']);
    await vi.advanceTimersByTimeAsync(500);
    expect(texts('side')).toEqual(['side 1']);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(texts()).toEqual(['main 2']);
    await vi.advanceTimersByTimeAsync(1);
    expect(texts()).toEqual(['main 2', 'main 3']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(player.state).toMatchObject({ seq: 4, isOver: true, isPlaying: false, time: at(62) });
  });

  it('goes as fast as it is told, from the moment on at which it is told', async () => {
    const { player, texts } = await played(1, 0.25);
    player.play();
    await vi.advanceTimersByTimeAsync(2_000);
    player.pace({ speed: 4 });
    await vi.advanceTimersByTimeAsync(124);
    expect(texts()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(texts()).toEqual(['main 2']);
  });

  it('stands still when it is paused, and steps one event at a time', async () => {
    const { player, texts } = await played(1);
    player.play();
    await vi.advanceTimersByTimeAsync(500);
    player.pause();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(texts()).toEqual([]);
    await player.step();
    expect([texts(), texts('side')]).toEqual([['main 2'], []]);
    await player.step();
    expect(texts('side')).toEqual(['side 1']);
    await player.step();
    await player.step();
    expect(player.state).toMatchObject({ seq: 4, isOver: true });
  });

  it('steps once for each time it is asked to, however quickly that is', async () => {
    const { player, texts } = await played(0);
    void player.step();
    void player.step();
    await player.step();
    await vi.advanceTimersByTimeAsync(0);
    expect([texts(), texts('side')]).toEqual([['main 1', 'main 2'], ['side 1']]);
  });

  it('says what went wrong, stands still, and goes on when it is asked to', async () => {
    const { player, texts } = await played(1);
    failing = true;
    player.play();
    await vi.advanceTimersByTimeAsync(0);
    expect(player.state).toMatchObject({ isPlaying: false, isLoading: false });
    expect(player.state.problem).not.toBeNull();
    failing = false;
    player.play();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([player.state.problem, texts()]).toEqual([null, ['main 2']]);
  });
});
