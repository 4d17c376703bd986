/**
 * A session's history as a socket: what happened comes again, at a pace that the reader sets.
 *
 * Owns: fetching ahead, the order of the streams, pauses, stepping. Must not know: how it looks, how a view is folded.
 * Invariant: what it sends are the frames of a live session, one snapshot and then each event once, in order. Seeking is a
 * new player.
 */

import { problemOf } from '../api/problem';
import type { Id, Problem, ServerFrame, SessionEvent, Stream, View } from './protocol';

/** What a pause is cut to, before the speed counts. Unit: milliseconds. */
export const MAX_GAP_MS = 2_000;
export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16] as const;
export type Speed = (typeof SPEEDS)[number];
/** Days: what is recorded does not go away, and timers hold no more. Unit: milliseconds. */
const HEARTBEAT_MS = 1_000_000_000;
/** How many events are fetched at once. */
const CHUNK = 200;
const STREAMS: readonly Stream[] = ['main', 'side'];

/** The state of a session at a place of its history. */
export interface StateAt {
  epoch: string;
  at: { [S in Stream]?: number };
  time?: string | null;
  view: View;
}

/** What a player reads. */
export interface Recording {
  stateAt(session: Id, seq: number, streams: readonly Stream[]): Promise<StateAt>;
  events(session: Id, stream: Stream, after: number, limit: number): Promise<{ head: number; events: SessionEvent[] }>;
}

export interface PlayerState {
  isPlaying: boolean;
  /** Whether something is being fetched that it waits for. */
  isLoading: boolean;
  /** Whether everything has been shown. */
  isOver: boolean;
  /** The last seq of `main` that is shown. */
  seq: number;
  /** When what is shown last happened. */
  time: string | null;
  problem: Problem | null;
}

interface Step {
  /** How long after the step before it. Unit: milliseconds, as it happened. */
  after: number;
  frame: ServerFrame;
  /** The event that is shown whole with this step. */
  event?: SessionEvent;
}

export class Player {
  state: PlayerState;
  readonly session: Id;
  readonly #recording: Recording;
  readonly #start: StateAt;
  readonly #listeners = new Set<(state: PlayerState) => void>();
  readonly #waiting = new Map<Stream, SessionEvent[]>();
  readonly #fetched = new Map<Stream, number>();
  readonly #heads = new Map<Stream, number>();
  #steps: Step[] = [];
  #socket: Tape | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the first of `#steps` is due, while it is waited for. */
  #due = 0;
  #stepping: Promise<void> = Promise.resolve();
  #speed: number;
  #maxGap: number | null;

  /** Returns a player that stands behind `seq` of `main`. */
  static async at(session: Id, seq: number, recording: Recording, pace: { speed: number; maxGap: number | null }): Promise<Player> {
    return new Player(session, recording, await recording.stateAt(session, seq, STREAMS), pace);
  }

  private constructor(session: Id, recording: Recording, start: StateAt, pace: { speed: number; maxGap: number | null }) {
    this.session = session;
    this.#recording = recording;
    this.#start = start;
    this.#speed = pace.speed;
    this.#maxGap = pace.maxGap;
    for (const [stream, seq] of Object.entries(start.at) as [Stream, number][]) {
      this.#waiting.set(stream, []);
      this.#fetched.set(stream, seq);
    }
    this.state = { isPlaying: false, isLoading: false, isOver: false, seq: start.at.main ?? 0, time: start.time ?? null, problem: null };
  }

  listen(listener: (state: PlayerState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The socket of a session that is fed from here. */
  readonly makeSocket = (): WebSocket => {
    this.#socket = new Tape((request) => this.#answer(request));
    return this.#socket as unknown as WebSocket;
  };

  play(): void {
    if (this.state.isPlaying || this.state.isOver) return;
    this.#set({ isPlaying: true, problem: null });
    void this.#next();
  }

  pause(): void {
    clearTimeout(this.#timer);
    this.#set({ isPlaying: false });
  }

  /** Shows the next event at once, and stands still. Steps that are asked for while one is fetched come after it. */
  step(): Promise<void> {
    this.#stepping = this.#stepping.then(() => this.#stepOn());
    return this.#stepping;
  }

  async #stepOn(): Promise<void> {
    this.pause();
    if (!(await this.#ready())) return;
    let shown: SessionEvent | undefined;
    while (!shown && this.#steps.length > 0) shown = this.#show(this.#steps.shift()!);
    await this.#ready();
  }

  /** Changes the pace; what is waited for now comes as much sooner or later. */
  pace({ speed = this.#speed, maxGap = this.#maxGap }: { speed?: number; maxGap?: number | null }): void {
    const left = Math.max(0, this.#due - Date.now()) * this.#speed;
    [this.#speed, this.#maxGap] = [speed, maxGap];
    if (!this.state.isPlaying || this.#steps.length === 0) return;
    clearTimeout(this.#timer);
    this.#wait(Math.min(left, maxGap ?? Infinity) / speed);
  }

  stop(): void {
    this.pause();
    this.#listeners.clear();
    this.#socket = null;
  }

  #set(change: Partial<PlayerState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.#listeners) listener(this.state);
  }

  /** Answers what a session's machine asks of a server. */
  #answer(request: { type: string; id?: number }): ServerFrame[] {
    if (request.type === 'hello') {
      const limits = { message_bytes: 0, frame_bytes: 0, commands_per_second: 0, window: 0 };
      return [{ type: 'welcome', connection_id: this.session, now: this.state.time ?? '', heartbeat_ms: HEARTBEAT_MS, limits, version: '' }];
    }
    if (request.type !== 'subscribe') return [];
    const streams = (Object.entries(this.#start.at) as [Stream, number][]).map(([stream, head]) => ({
      stream,
      epoch: this.#start.epoch,
      head,
      mode: 'snapshot' as const,
    }));
    return [
      { type: 'subscribed', re: request.id ?? 0, session_id: this.session, you: { participant_id: null, role: null, can: [] }, people: [], streams },
      { type: 'snapshot', session_id: this.session, at: this.#start.at, head: this.#start.view },
    ];
  }

  async #next(): Promise<void> {
    if (!(await this.#ready()) || !this.state.isPlaying) return;
    const gap = this.#steps[0]!.after;
    this.#wait(Math.min(gap, this.#maxGap ?? Infinity) / this.#speed);
  }

  #wait(ms: number): void {
    this.#due = Date.now() + ms;
    this.#timer = setTimeout(() => {
      this.#show(this.#steps.shift()!);
      void this.#next();
    }, ms);
  }

  /** Sends a step's frame. Returns the event that is whole with it. */
  #show({ frame, event }: Step): SessionEvent | undefined {
    this.#socket?.hear(frame);
    if (event) this.#set({ time: event.at, ...(event.stream === 'main' ? { seq: event.seq } : {}) });
    return event;
  }

  /** Sees that there is a step. Returns whether there is one. */
  async #ready(): Promise<boolean> {
    if (this.#steps.length > 0) return true;
    try {
      await this.#fetch();
    } catch (error) {
      this.#set({ isPlaying: false, isLoading: false, problem: problemOf(error) });
      return false;
    }
    const next = this.#take();
    if (!next) {
      this.#set({ isPlaying: false, isLoading: false, isOver: true });
      return false;
    }
    this.#steps = stepsOf(next, this.state.time, this.session);
    if (this.state.isLoading) this.#set({ isLoading: false });
    return true;
  }

  /** Fetches more of each stream that has nothing ready and is not at its end: only then is it known which comes first. */
  async #fetch(): Promise<void> {
    const wanting = [...this.#waiting].filter(([stream, waiting]) => {
      const head = this.#heads.get(stream);
      return waiting.length === 0 && (head === undefined || this.#fetched.get(stream)! < head);
    });
    if (wanting.length === 0) return;
    this.#set({ isLoading: true });
    await Promise.all(
      wanting.map(async ([stream, waiting]) => {
        const { head, events } = await this.#recording.events(this.session, stream, this.#fetched.get(stream)!, CHUNK);
        this.#heads.set(stream, head);
        waiting.push(...events);
        if (events.length > 0) this.#fetched.set(stream, events.at(-1)!.seq);
        else this.#heads.set(stream, this.#fetched.get(stream)!);
      }),
    );
  }

  /** Takes the event that happened first. */
  #take(): SessionEvent | undefined {
    let first: SessionEvent[] | undefined;
    for (const waiting of this.#waiting.values()) {
      if (waiting.length > 0 && (!first || Date.parse(waiting[0]!.at) < Date.parse(first[0]!.at))) first = waiting;
    }
    return first?.shift();
  }
}

/** Returns what one event shows: the pieces in which an answer's text came, then the event. */
function stepsOf(event: SessionEvent, last: string | null, session_id: Id): Step[] {
  const gap = last === null ? 0 : Math.max(0, Date.parse(event.at) - Date.parse(last));
  const steps: Step[] = [];
  let paced = 0;
  if (event.kind === 'turn.progressed') {
    const { turn, message, text, pace = [] } = event.data;
    let [from, offset] = [0, event.data.offset];
    for (const [after, units] of pace) {
      const piece = text.slice(from, from + units);
      if (piece === '') break;
      steps.push({ after, frame: { type: 'delta', session_id, turn, message, offset, text: piece } });
      from += units;
      offset += units;
      paced += after;
    }
  }
  const rest = Math.max(0, gap - paced);
  if (steps.length > 0) steps[0]!.after += rest;
  steps.push({
    after: steps.length > 0 ? 0 : rest,
    frame: { type: 'events', session_id, stream: event.stream, items: [event] },
    event,
  });
  return steps;
}

/** As much of a WebSocket as a session uses. */
class Tape {
  binaryType = 'arraybuffer';
  readyState = 1;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly #answer: (request: { type: string; id?: number }) => ServerFrame[];

  constructor(answer: (request: { type: string; id?: number }) => ServerFrame[]) {
    this.#answer = answer;
    queueMicrotask(() => this.onopen?.());
  }

  send(text: string): void {
    const answers = this.#answer(JSON.parse(text));
    queueMicrotask(() => answers.forEach((frame) => this.hear(frame)));
  }

  hear(frame: ServerFrame): void {
    if (this.readyState === 1) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  close(): void {
    this.readyState = 3;
  }
}
