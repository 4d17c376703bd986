import { describe, expect, it } from 'vitest';
import type { Status } from '../../session/machine/link';
import type { PendingCommand } from '../../session/session';
import { connectionWords } from './words';

const pending = ['unsent', 'unsent', 'recorded', 'refused'].map((state) => ({ state }) as PendingCommand);
const words = (status: Status, live = false, online = true) => connectionWords({ status, live, pending }, online);

describe('the connection in words', () => {
  it('counts what waits, and nothing else', () => {
    expect(words({ is: 'waiting', until_ms: 1 })).toBe('reconnecting, 2 unsent');
    expect(words({ is: 'connecting' }, false, false)).toBe('offline, 2 unsent');
    expect(words({ is: 'failed', code: 4401 })).toBe('disconnected, 2 unsent');
    expect(words({ is: 'ready' })).toBe('catching up, 2 unsent');
    expect(words({ is: 'ready' }, true)).toBe('live');
    expect(connectionWords({ status: { is: 'connecting' }, live: false, pending: [] }, true)).toBe('reconnecting');
    expect(connectionWords({ status: { is: 'idle' }, live: false, pending: [] }, true)).toBe('connecting');
  });
});
