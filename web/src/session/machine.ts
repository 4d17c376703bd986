/**
 * The sync machine: what a client does with sockets, frames, commands and time.
 *
 * Owns: the order of everything between a user's wish and the wire. Must not know: sockets, clocks, randomness; time
 * comes in through `tick`, keys and jitter through `Entropy`. Invariant: every input is handled at once and completely;
 * what it causes is taken out with `poll`.
 *
 * It is the twin of `crates/client/src/machine.rs`; `fixtures/frames/client-machine/*.jsonl` bind both.
 *
 * - `machine/link.ts`: phases of the connection, backoff, watchdog
 * - `machine/sync.ts`: positions, view, snapshots, gaps of one session
 * - `machine/commands.ts`: unanswered commands of one session, in order
 */

import type { Pending } from './machine/commands';
import { jittered, Link, type Status } from './machine/link';
import { earliest, type Effect, SessionSync } from './machine/sync';
import {
  type Accepted,
  type ClientFrame,
  type Id,
  isFinalClose,
  type Lane,
  type Page,
  type Problem,
  type ServerFrame,
  type SessionEvent,
  type Stream,
} from './protocol';

/** Where keys and jitter come from. */
export interface Entropy {
  /** Returns a fresh UUIDv7. */
  key(): Id;
  /** Returns a number from 0 to 1, evenly spread. */
  jitter(): number;
}

type Frame<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>;

/** What the machine wants done or known. */
export type Output =
  /** Open a socket; report `connected` or `disconnected`. */
  | { out: 'connect' }
  /** Drop the socket; report nothing more about it. */
  | { out: 'close' }
  | { out: 'send'; frame: ClientFrame }
  | { out: 'status'; status: Status }
  /** A command was answered for good: recorded, or refused. */
  | { out: 'settled'; session: Id; key: Id; result: { ok: Accepted } | { problem: Problem } }
  /** A command was refused for now and is sent again by itself. */
  | { out: 'postponed'; session: Id; key: Id; problem: Problem; until_ms: number }
  /** A subscription was refused for good; nothing of the session is held any more. */
  | { out: 'refused'; session: Id; problem: Problem }
  /** An event was folded into the view. */
  | { out: 'applied'; session: Id; event: SessionEvent }
  | { out: 'ephemeral'; frame: Frame<'ephemeral'> }
  /** What the reader may see or do is something else now. */
  | { out: 'access'; frame: Frame<'access'> }
  /** View, role or subscription of a session changed. Comes after everything else that one input caused. */
  | { out: 'changed'; session: Id };

export interface MachineOptions {
  /** Absent when a cookie logs in. */
  token?: string;
  features: string[];
  entropy: Entropy;
}

export class Machine {
  readonly #options: MachineOptions;
  readonly #link = new Link();
  readonly #sessions = new Map<Id, SessionSync>();
  #now = 0;
  /** The last id given to a request. */
  #lastId = 0;
  #outputs: Output[] = [];
  readonly #changed = new Set<Id>();

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  get status(): Status {
    return this.#link.status;
  }

  /** Returns a session that is subscribed or has unanswered commands. */
  session(session: Id): SessionSync | undefined {
    return this.#sessions.get(session);
  }

  /** Returns when `tick` must be called next. Unit: milliseconds of the caller's clock. */
  deadline(): number | null {
    const sessions = this.#link.isReady ? [...this.#sessions.values()].map((s) => s.deadline()) : [];
    return earliest([...sessions, this.#link.deadline()]);
  }

  /** Takes out the next thing to do or know. */
  poll(): Output | undefined {
    const output = this.#outputs.shift();
    if (output) return output;
    const [session] = [...this.#changed].sort();
    if (session === undefined) return undefined;
    this.#changed.delete(session);
    return { out: 'changed', session };
  }

  /** Starts connecting, unless a connection exists or is being made. Also the way out of `failed`. */
  connect(): void {
    if (!['idle', 'failed', 'closed', 'waiting'].includes(this.#link.status.is)) return;
    this.#link.connecting(this.#now);
    this.#pushStatus();
    this.#outputs.push({ out: 'connect' });
  }

  /** Closes the connection for good; what is held and unanswered stays. */
  close(): void {
    if (this.#link.isOpen || this.#link.status.is === 'connecting') this.#outputs.push({ out: 'close' });
    this.#dropSubscriptions();
    this.#link.ended({ is: 'closed' });
    this.#pushStatus();
  }

  /** The socket is open. */
  connected(): void {
    if (this.#link.status.is !== 'connecting') return;
    this.#link.greeting(this.#now);
    this.#pushStatus();
    const { token, features } = this.#options;
    this.#send({ type: 'hello', ...(token === undefined ? {} : { token }), features });
  }

  /** The socket is gone, or could not be opened; `code` is the close code, if one came. */
  disconnected(code: number | null): void {
    if (!this.#link.isOpen && this.#link.status.is !== 'connecting') return;
    if (code !== null && isFinalClose(code)) {
      this.#dropSubscriptions();
      this.#link.ended({ is: 'failed', code });
      this.#pushStatus();
    } else {
      this.#lost();
    }
  }

  /** Time has passed. `now` never decreases; a smaller one counts as the last one. */
  tick(now: number): void {
    this.#now = Math.max(this.#now, now);
    switch (this.#link.due(this.#now)) {
      case 'connect':
        this.connect();
        break;
      case 'ping':
        this.#send({ type: 'ping', id: ++this.#lastId });
        break;
      case 'give_up':
        this.#outputs.push({ out: 'close' });
        this.#lost();
        break;
      case 'nothing':
    }
    if (!this.#link.isReady) return;
    for (const [session, sync] of this.#inOrder()) {
      if (sync.isDue(this.#now)) this.#sendSubscribe(session);
      this.#sendCommands(session);
    }
  }

  /** Wants these streams of a session; those not named are given up. */
  subscribe(session: Id, streams: readonly Stream[]): void {
    this.#open(session).want(streams);
    if (this.#link.isReady) this.#sendSubscribe(session);
  }

  /** Wants nothing more of a session; its view goes, unanswered commands stay. */
  unsubscribe(session: Id): void {
    const sync = this.#sessions.get(session);
    if (!sync) return;
    sync.want([]);
    if (sync.commands.length === 0) this.#sessions.delete(session);
    this.#changed.add(session);
    if (this.#link.isReady) this.#send({ type: 'unsubscribe', id: ++this.#lastId, session_id: session });
  }

  /** Gives a command and returns its key, under which it settles. */
  command(session: Id, stream: Stream, name: string, data: unknown): Id {
    const key = this.#options.entropy.key();
    const seen = this.#open(session).position(stream);
    this.give(session, { key, stream, seen, name, data });
    return key;
  }

  /** Gives a command whose key was made before, so that it could be stored first. */
  give(session: Id, command: Pending): void {
    this.#give(session, command, false);
  }

  /** Gives a command again that was given before this machine was made. */
  resume(session: Id, command: Pending): void {
    if (!this.#open(session).commands.has(command.key)) this.#give(session, command, true);
  }

  /** Shows something to those who are there; dropped while there is no connection. */
  ephemeral(session: Id, stream: Stream, lane: Lane, data: unknown): void {
    if (this.#link.isReady) this.#send({ type: 'ephemeral', session_id: session, stream, lane, data });
  }

  /** Tells how far the reader has read; dropped while there is no connection. */
  ack(session: Id, stream: Stream, seq: number): void {
    if (this.#link.isReady) this.#send({ type: 'ack', session_id: session, stream, seq });
  }

  /** Puts a page of older messages in front of those held. */
  older(session: Id, page: Page): void {
    this.#with(session, (s) => s.older(page));
  }

  /** A frame has come. */
  frame(frame: ServerFrame): void {
    if (!this.#link.isOpen) return;
    this.#link.heard(this.#now);
    const now = this.#now;
    switch (frame.type) {
      case 'welcome':
        return this.#welcomed(frame.heartbeat_ms);
      case 'subscribed':
        this.#with(frame.session_id, (s) => {
          s.subscribed(frame, now);
          return 'changed';
        });
        return this.#resubscribeIfDue(frame.session_id);
      case 'snapshot':
        return this.#with(frame.session_id, (s) => s.snapshot(frame, now));
      case 'events':
        return this.#events(frame);
      case 'delta':
        return this.#with(frame.session_id, (s) => s.delta(frame));
      case 'access':
        this.#outputs.push({ out: 'access', frame });
        return this.#with(frame.session_id, (s) => s.access(frame));
      case 'lagging':
        this.#with(frame.session_id, (s) => {
          s.lagging(frame.stream, now);
          return 'nothing';
        });
        return this.#resubscribeIfDue(frame.session_id);
      case 'reset':
        return this.#with(frame.session_id, (s) => s.reset(frame));
      case 'head':
        return this.#with(frame.session_id, (s) => {
          s.head(frame, now);
          return 'nothing';
        });
      case 'ok':
        return this.#accepted(frame);
      case 'error':
        return this.#error(frame);
      case 'ephemeral':
        this.#outputs.push({ out: 'ephemeral', frame });
        return;
      case 'bye':
        return this.#link.askedToWait(frame.retry_after_ms);
      case 'unsubscribed':
      case 'pong':
        return;
      default:
        // A frame of a newer server.
        frame satisfies never;
    }
  }

  #welcomed(heartbeatMs: number): void {
    if (this.#link.status.is !== 'greeting') return;
    this.#link.ready(this.#now, heartbeatMs);
    this.#pushStatus();
    for (const [session] of this.#inOrder()) {
      this.#sendSubscribe(session);
      this.#sendCommands(session);
    }
  }

  #events(frame: Frame<'events'>): void {
    const session = frame.session_id;
    const sync = this.#sessions.get(session);
    if (!sync) return;
    const { taken, effect } = sync.events(frame.stream, frame.items, this.#now);
    for (const event of taken) this.#outputs.push({ out: 'applied', session, event });
    this.#after(session, effect);
    this.#resubscribeIfDue(session);
  }

  #accepted(frame: Accepted): void {
    const session = frame.session_id;
    const command = this.#sessions.get(session)?.commands.accepted(frame.id);
    if (!command) return;
    this.#outputs.push({ out: 'settled', session, key: command.key, result: { ok: frame } });
    this.#sendCommands(session);
  }

  #error(frame: Frame<'error'>): void {
    const { re, problem } = frame;
    if (re === undefined || re === null) return;
    for (const [session, sync] of this.#inOrder()) {
      const key = sync.commands.keyOf(re);
      if (key !== null) return this.#commandRefused(session, sync, key, re, problem);
      if (sync.asked(re)) return this.#subscribeRefused(session, sync, problem);
    }
  }

  #commandRefused(session: Id, sync: SessionSync, key: Id, re: number, problem: Problem): void {
    if (problem.retryable || problem.code === 'retry_in_order') {
      const until_ms = this.#now + this.#pause(problem, sync.commands.refusals);
      sync.commands.postponed(re, until_ms);
      this.#outputs.push({ out: 'postponed', session, key, problem, until_ms });
    } else {
      sync.commands.refused(re);
      this.#outputs.push({ out: 'settled', session, key, result: { problem } });
    }
    this.#sendCommands(session);
  }

  #subscribeRefused(session: Id, sync: SessionSync, problem: Problem): void {
    if (problem.retryable) {
      sync.subscribePostponed(this.#now + this.#pause(problem, sync.subscribeRefusals));
    } else {
      sync.refused();
      this.#outputs.push({ out: 'refused', session, problem });
      this.#changed.add(session);
    }
  }

  #pause(problem: Problem, refusals: number): number {
    return (problem.retry_after_ms ?? 0) + jittered(refusals, this.#options.entropy.jitter());
  }

  #give(session: Id, command: Pending, retry: boolean): void {
    this.#open(session).commands.push(command, retry);
    if (this.#link.isReady) this.#sendCommands(session);
  }

  #open(session: Id): SessionSync {
    const sync = this.#sessions.get(session) ?? new SessionSync();
    this.#sessions.set(session, sync);
    return sync;
  }

  #inOrder(): [Id, SessionSync][] {
    return [...this.#sessions].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  #with(session: Id, change: (sync: SessionSync) => Effect): void {
    const sync = this.#sessions.get(session);
    if (sync) this.#after(session, change(sync));
  }

  #after(session: Id, effect: Effect): void {
    if (effect !== 'nothing') this.#changed.add(session);
    if (effect === 'resubscribe') this.#sendSubscribe(session);
  }

  #resubscribeIfDue(session: Id): void {
    if (this.#link.isReady && this.#sessions.get(session)?.isDue(this.#now)) this.#sendSubscribe(session);
  }

  #sendSubscribe(session: Id): void {
    const sync = this.#sessions.get(session);
    if (sync?.isWanted) this.#send(sync.subscribe(session, ++this.#lastId, this.#now));
  }

  #sendCommands(session: Id): void {
    const sync = this.#sessions.get(session);
    for (const frame of sync?.commands.sendable(this.#now, session, () => ++this.#lastId) ?? []) this.#send(frame);
  }

  #send(frame: ClientFrame): void {
    this.#link.lastOut = this.#now;
    this.#outputs.push({ out: 'send', frame });
  }

  #lost(): void {
    this.#dropSubscriptions();
    this.#link.lost(this.#now, this.#options.entropy.jitter());
    this.#pushStatus();
  }

  #dropSubscriptions(): void {
    for (const sync of this.#sessions.values()) sync.disconnected();
  }

  #pushStatus(): void {
    this.#outputs.push({ out: 'status', status: this.#link.status });
  }
}
