/**
 * The connection: phases, backoff and the watchdog.
 *
 * Owns: when to connect, ping and give up. Must not know: sessions. Invariant: at most one socket exists, and after
 * `close` nothing more is expected from it.
 */

/** How long connecting and the greeting may take. Unit: milliseconds. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** A connection that was ready this long starts the next backoff from the beginning. Unit: milliseconds. */
export const STABLE_MS = 5_000;
/** The heartbeat until the server has said its own. Unit: milliseconds. */
const HEARTBEAT_MS = 15_000;

/** How the connection stands. */
export type Status =
  | { is: 'idle' }
  | { is: 'connecting' }
  /** The socket is open, `hello` is sent, `welcome` has not come. */
  | { is: 'greeting' }
  | { is: 'ready' }
  /** The connection is gone; the next attempt comes at this time. */
  | { is: 'waiting'; until_ms: number }
  /** The server refused for good; only a new `connect` tries again. */
  | { is: 'failed'; code: number }
  | { is: 'closed' };

export type Due = 'nothing' | 'connect' | 'ping' | 'give_up';

export class Link {
  status: Status = { is: 'idle' };
  lastOut = 0;
  #attempt = 0;
  #retryAfter = 0;
  #heartbeat = HEARTBEAT_MS;
  #since = 0;
  #lastIn = 0;

  get isReady(): boolean {
    return this.status.is === 'ready';
  }

  get isOpen(): boolean {
    return this.status.is === 'greeting' || this.status.is === 'ready';
  }

  connecting(now: number): void {
    this.status = { is: 'connecting' };
    this.#since = now;
  }

  greeting(now: number): void {
    this.status = { is: 'greeting' };
    this.#since = now;
    this.#lastIn = now;
  }

  ready(now: number, heartbeatMs: number): void {
    this.status = { is: 'ready' };
    this.#since = now;
    this.#heartbeat = Math.max(heartbeatMs, 1);
  }

  heard(now: number): void {
    this.#lastIn = now;
  }

  askedToWait(ms: number): void {
    this.#retryAfter = ms;
  }

  /** Full jitter over a ceiling that doubles, after whatever pause the server asked for. */
  lost(now: number, jitter: number): void {
    if (this.isReady && now - this.#since >= STABLE_MS) this.#attempt = 0;
    const pause = this.#retryAfter + jittered(this.#attempt, jitter);
    this.#attempt += 1;
    this.#retryAfter = 0;
    this.status = { is: 'waiting', until_ms: now + pause };
  }

  ended(status: Status): void {
    this.status = status;
    this.#attempt = 0;
    this.#retryAfter = 0;
  }

  due(now: number): Due {
    const { is } = this.status;
    if (this.status.is === 'waiting' && now >= this.status.until_ms) return 'connect';
    if ((is === 'connecting' || is === 'greeting') && now >= this.#since + CONNECT_TIMEOUT_MS) return 'give_up';
    if (is === 'ready' && now >= this.#lastIn + 2 * this.#heartbeat) return 'give_up';
    if (is === 'ready' && now >= this.lastOut + this.#heartbeat) return 'ping';
    return 'nothing';
  }

  deadline(): number | null {
    switch (this.status.is) {
      case 'waiting':
        return this.status.until_ms;
      case 'connecting':
      case 'greeting':
        return this.#since + CONNECT_TIMEOUT_MS;
      case 'ready':
        return Math.min(this.#lastIn + 2 * this.#heartbeat, this.lastOut + this.#heartbeat);
      default:
        return null;
    }
  }
}

/** Ceiling of the pause before attempt `attempt`, from 0. Unit: milliseconds. */
export function backoffCeiling(attempt: number): number {
  return Math.min(250 * 2 ** Math.min(attempt, 16), 15_000);
}

/** Returns the pause before attempt `attempt` (from 0). Unit: milliseconds. */
export function jittered(attempt: number, jitter: number): number {
  return Math.round(Math.min(Math.max(jitter, 0), 1) * backoffCeiling(attempt));
}
