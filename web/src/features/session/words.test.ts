import { describe, expect, it } from 'vitest';
import type { Status } from '../../session/machine/link';
import type { PendingCommand } from '../../session/session';
import type { DetachedView, LifeView } from '../../session/protocol';
import { awayWords, connectionWords } from './words';

const pending = ['unsent', 'unsent', 'recorded', 'refused'].map((state) => ({ state }) as PendingCommand);
const words = (status: Status, live = false, online = true) => connectionWords({ status, live, pending }, online);

describe('the connection in words', () => {
  it('counts what waits, and nothing else', () => {
    expect(words({ is: 'waiting', until_ms: 1 })).toBe('reconnecting, 2 unsent');
    expect(words({ is: 'connecting' }, false, false)).toBe('offline, 2 unsent');
    expect(words({ is: 'failed', code: 4401 })).toBe('disconnected, 2 unsent');
    expect(words({ is: 'ready' })).toBe('catching up, 2 unsent');
    expect(words({ is: 'ready' }, true)).toBe('live');
    expect(connectionWords({ status: { is: 'ready' }, live: true, pending }, true, false), 'beside “paused” or “ended”').toBe('connected');
    expect(connectionWords({ status: { is: 'connecting' }, live: false, pending: [] }, true)).toBe('reconnecting');
    expect(connectionWords({ status: { is: 'idle' }, live: false, pending: [] }, true)).toBe('connecting');
  });
});

describe('what was done while nobody was here', () => {
  const life = (change: Partial<DetachedView>): LifeView => ({
    paused: null,
    ending: null,
    cause: null,
    warnings: [],
    report: null,
    detached: { since: '2026-11-20T10:00:00Z', why: 'asked', until: null, by: null, done: null, ...change },
  });
  const done = { at: '2026-11-20T10:30:00Z', turns: 2, unfinished: 1 };
  const loadedAt = Date.parse('2026-11-20T11:00:00Z');

  it('is told to who comes back, once there is something to tell', () => {
    expect(awayWords(undefined, loadedAt)).toBe('');
    expect(awayWords(life({}), loadedAt)).toBe('');
    const words = 'While nobody was here, 2 answers were finished. 1 of them did not come to its end.';
    expect(awayWords(life({ done }), loadedAt)).toBe(words);
    expect(awayWords(life({ done, until: '2026-11-20T11:00:02Z' }), loadedAt)).toBe(words);
  });

  it('is no news to who comes later', () => {
    expect(awayWords(life({ done, until: '2026-11-20T10:45:00Z' }), loadedAt)).toBe('');
  });
});
